"""Gives every parser of the package random inputs, made of real ones, and says what came of it.

``python scripts/fuzz.py`` runs each parser on its usual number of inputs; ``--inputs 1000`` on so many, ``--only NAME``
one of them, ``--seed N`` with other inputs. What may come of an input is a value or one of our errors, in one line,
after steps in proportion to the input. Anything else is printed with the input that did it, and the exit status is 1.
The inputs are a function of the seed, the parser and their number alone, so what was found is found again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import math
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import msgspec

from llx_magic.text.values import JsonValue

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llx_magic.backends.reading.body import BodyDecoder
from llx_magic.backends.reading.errors import read_error
from llx_magic.backends.reading.kinds import refused
from llx_magic.backends.reading.rates import told_by_error, told_by_headers
from llx_magic.backends.reading.sse import EventDecoder
from llx_magic.backends.simulated import simulated_script
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.backends.wires.wire import wire_named
from llx_magic.commands import piped
from llx_magic.commands.chat import as_markdown, show
from llx_magic.commands.here import Here
from llx_magic.commands.localtime import day_and_time
from llx_magic.commands.offers import offers
from llx_magic.commands.profiles import pairs, read_params
from llx_magic.commands.prompt import read_prompt
from llx_magic.commands.reading import Asked, Reading
from llx_magic.commands.table import COMMANDS
from llx_magic.commands.where import Where
from llx_magic.commands.words import split, words_of
from llx_magic.consent.pairs import read_pairs
from llx_magic.consent.trust import Trust
from llx_magic.core.message import File, Image, Message
from llx_magic.core.past import Past
from llx_magic.core.peers import Peer, Shared, SharedBackend, Used, card_of, peers_of
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import ChatRequest, Usage
from llx_magic.core.sampling import read_sampling, sampling_of
from llx_magic.core.totals import as_recorded, totals
from llx_magic.errors import LlxError, UsageProblem
from llx_magic.files.names import check_name
from llx_magic.files.ownership import this_user
from llx_magic.keys.keychain import Keychain
from llx_magic.keys.redaction import LiveKeys
from llx_magic.notebook.transform import hand_over_prompts
from llx_magic.notebook.view import shaped
from llx_magic.observe import peers as shown_peers
from llx_magic.pieces import reading as pieces
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.preview import as_html
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.key_source import ProfileKeySource
from llx_magic.providers.address import AddressProblem, base_url
from llx_magic.providers.provider import FORMS
from llx_magic.replay.history import load as load_history
from llx_magic.rows.rows import ROW
from llx_magic.rows.source import source_of
from llx_magic.rows.writing import write_table
from llx_magic.session.conversations import Conversations
from llx_magic.session.session import Session
from llx_magic.settings.declaration import SETTINGS
from llx_magic.settings.layers import read_values
from llx_magic.template.template import Template
from llx_magic.text.blocks import code_of, json_text, read_json, write_json
from llx_magic.text.markdown import markdown_to_html
from llx_magic.text.screen import one_line, printable, split_at_open_sequence
from llx_magic.text.tables import read_table
from llx_magic.text.wording import nearest
from tests.wires import frames

SAMPLES = Path(__file__).with_name("samples")
GOLDENS = Path(__file__).parents[1] / "tests" / "wires" / "golden"
"""The replies of every service, as its form is tested with: a head, an empty line, and the body."""
KEY = "sk-0123456789abcdefghijklmnop"

STEPS_AT_FIRST = 20_000
"""How many lines of Python an input may take at any rate."""

TRACED = 50
"""One of so many inputs is traced, which takes a hundred times as long."""

_TOKENS = (
    b"\0", b"\r\n", b"\n\n", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xed\xa0\xbd", b"\\ud83d", b"\\u0000", b"\x1b[",
    b"\x1b]",
    b"{", b"}", b"[", b"]", b"{{", b"}}", b'"', b"'", b"`", b"```", b"$$", b"|", b"<think>", b"</think>", b"data: ",
    b"[DONE]", b"null", b"true", b"NaN", b"1e999", b"-1", b"0", b"1e-999", b"9" * 400, b"9" * 5000, b"=", b"--", b"-",
    b"%", b"~", b"../", b"@", b"?", b"#", b":", b"://", b",", b"\\", b" ", b"\t", b"\xe2\x80\xa8", b"\xc2\xb5",
    b"\xc5\xbf", b"\xd9\xa3", b"\xc2\xb2", b"Fri, 31 Dec 300000 23:59:59 GMT", b"9999-12-31T23:59:59+14:00", b"a" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class Parser:
    """What is tried, on which real inputs, and on how many made of them."""

    name: str
    run: Callable[[bytes, random.Random], object]
    samples: tuple[bytes, ...]
    inputs: int = 100_000
    steps_per_byte: int = 400
    """How many lines of Python it may take for each byte, beyond ``STEPS_AT_FIRST``."""


@dataclass
class Findings:
    """What came of one parser's inputs."""

    inputs: int = 0
    refused: int = 0
    most_steps: float = 0.0
    faults: list[str] = field(default_factory=list)


# --- inputs ---------------------------------------------------------------------------------------------------------


def mutated(samples: tuple[bytes, ...], chance: random.Random) -> bytes:
    """Return one of the samples, changed in a few places; now and then one that is repeated or nested many times."""
    data = bytearray(chance.choice(samples))
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 8))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 8, 40)))
        match chance.randrange(8):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = chance.choice(_TOKENS)
            case 2:
                data[at:end] = chance.choice(_TOKENS)
            case 3:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 3, 9))))
            case 4:
                data[at:at] = data[at:end] * chance.choice((2, 10, 200))
            case 5:
                other = chance.choice(samples)
                data[at:] = other[chance.randrange(len(other) + 1) :]
            case 6:
                often = chance.choice((150, 300, 600, 4000))
                data[at:at] = (
                    often
                    * chance.choice((b"[", b"{", b"(", b"> ", b"- ", b'{"a":', b"$", b"-", b"_"))
                    * chance.choice((150, 300, 600, 4000))
                )
            case _:
                data[at:end] = data[at:end].swapcase()
    return bytes(data[:20_000])


def text_of(data: bytes) -> str:
    """Return the bytes as text, now and then with halves of surrogate pairs, as JSON and files' names can hold."""
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode("utf-8", "surrogatepass")
    return data.decode("utf-8", "replace")


def pieces_of(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Cut the bytes as a network does."""
    at = 0
    while at < len(data):
        size = chance.choice((1, 2, 7, 60, 500, 5000))
        yield data[at : at + size]
        at += size


# --- parsers --------------------------------------------------------------------------------------------------------


class _Ears:
    """Takes the pieces of a reply."""

    def on_sending(self, to: str) -> None: ...

    def on_connected(self) -> None: ...

    def on_text(self, piece: str) -> None:
        printable(piece).encode("utf-8")

    def on_reasoning(self, piece: str) -> None:
        piece.encode("utf-8")

    def on_usage(self, usage: Usage) -> None:
        """Take nothing."""

    def on_rates(self, facts: RateFacts) -> None:
        assert facts


def _events(data: bytes, chance: random.Random) -> None:
    decoder = EventDecoder(limit=10_000)
    for piece in pieces_of(data, chance):
        decoder.feed(piece)
    decoder.flush()


def _reply(data: bytes, chance: random.Random) -> None:
    reader, body = ReplyReader("alpha", "m", _Ears()), BodyDecoder()
    reader.came_with({}, 1e9)
    for piece in pieces_of(data, chance):
        for event in body.feed(piece):
            reader.take(event)
    for event in body.flush():
        reader.take(event)
    answer = reader.end()
    answer.text.encode("utf-8")
    repr(answer)


def _reply_in(form: str) -> Callable[[bytes, random.Random], None]:
    def read(data: bytes, chance: random.Random) -> None:
        reader = wire_named(form).reader("alpha", "m", _Ears())
        reader.came_with({}, 1e9)
        for piece in pieces_of(data, chance):
            reader.feed(piece)
        reader.flush()
        repr(reader.end())

    return read


def _framed(data: bytes, chance: random.Random) -> None:
    """Read lines as the payloads of frames that are whole; a frame that was changed itself is not looked into."""
    kinds = ("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "output", "")
    _reply_in("bedrock")(b"".join(frames.event(chance.choice(kinds), line) for line in data.split(b"\n")), chance)


_PAYLOADS = (
    b'{"role":"assistant"}\n{"delta":{"text":"Four."}}\n{"stopReason":"end_turn"}\n{"usage":{"inputTokens":9}}',
    b'{"delta":{"reasoningContent":{"text":"2+2"}}}\n{"start":{"toolUse":{"name":"f"}}}\n{"stopReason":"tool_use"}',
    b'{"message":{"content":[{"citationsContent":{"content":[{"text":"a"}]}},{"reasoningContent":{"reasoningText":{}}}]}}',
)


def _error_body(data: bytes, chance: random.Random) -> None:
    head, _, rest = data.partition(b"\n")
    value = head.decode("latin-1")
    names = (
        "retry-after", "retry-after-ms", "date", "x-ratelimit-reset-requests", "x-ratelimit-limit-requests",
        "ratelimit", "ratelimit-policy", "location", "x-amzn-errortype",
    )  # fmt: skip
    headers = {chance.choice(names): value, chance.choice(names): value, "x-ratelimit-remaining-requests": "0"}
    status = chance.choice((302, 400, 401, 404, 413, 429, 500, 503, 599))
    error = read_error(rest or data)
    for limit in (*told_by_headers(headers, 1e9), *told_by_error(error, headers, 1e9)):
        assert all(0 <= each < math.inf for each in msgspec.structs.astuple(limit)[1:] if each is not None)
    found = refused(status, headers, error, name="alpha", wall_clock=1e9)
    _check_line(found.message)


def _profile(data: bytes, chance: random.Random) -> None:
    document = read_document(data, "alpha", label="alpha.json")
    read_document(write_document(document), "alpha")
    if isinstance(document, ModelProfile):
        if document.provider == "simulated":
            simulated_script(document.params)
        _asked(document.params)


def _asked(params: Mapping[str, JsonValue]) -> None:
    request = ChatRequest(messages=(Message("user", "hello"),), params=params, streaming=True)
    read_sampling(sampling_of(params, json=False))
    for form in FORMS.values():
        wire_named(form).encode(request, "m")


def _settings(data: bytes, chance: random.Random) -> None:
    text = text_of(data)
    setting = chance.choice(list(SETTINGS.values()))
    setting.show_with_unit(setting.read(text))
    with contextlib.suppress(ValueError, RecursionError):
        setting.show_with_unit(setting.read(json.loads(text)))


def _setting_names(data: bytes, chance: random.Random) -> None:
    read_values(pairs(split(text_of(data)), "--set"))


def _parameters(data: bytes, chance: random.Random) -> None:
    params = read_params(split(text_of(data)))
    _asked(params)
    simulated_script(params)


def _address(data: bytes, chance: random.Random) -> None:
    try:
        base_url(text_of(data))
    except AddressProblem as problem:
        _check_line(str(problem))


class _Row:
    colour = "red"


_NAMESPACE = {"n": 5, "x": "text", "xs": [1, 2, 3], "d": {"a": 1}, "obj": _Row(), "f": 1.5, "none": None}


def _expressions(data: bytes, chance: random.Random) -> None:
    Template(text_of(data)).render(_NAMESPACE)


def _markdown(data: bytes, chance: random.Random) -> None:
    html = markdown_to_html(data.decode("utf-8", "replace"), coloured=chance.random() < 0.2)
    if "<script" in html or "javascript:" in html.lower().partition("href=")[2].partition(">")[0]:
        raise AssertionError("what was rendered is not safe")


def _forms(data: bytes, chance: random.Random) -> None:
    text = data.decode("utf-8", "replace")
    for form in ("code", "json", "text", "markdown"):
        shaped(text, form)
    code_of(text)
    for read in (lambda: write_json(read_json(text)), lambda: json_text(text), lambda: read_table(text)):
        try:
            read()
        except LlxError as problem:
            _check_line(str(problem))


def _standard_input(data: bytes, chance: random.Random) -> None:
    piped.decoded(data).encode("utf-8")
    piped.argument(os.fsdecode(data), "the prompt")


def _options(data: bytes, chance: random.Random) -> None:
    text = text_of(data)
    for read in (read_prompt, lambda line: read_prompt(line, "why"), split, _hand_over):
        try:
            read(text)
        except LlxError as problem:
            _check_line(str(problem))


def _hand_over(text: str) -> None:
    hand_over_prompts(text.splitlines(keepends=True))


def _commands(data: bytes, chance: random.Random) -> None:
    row, where = chance.choice(list(COMMANDS.values())), chance.choice(list(Where))
    reading = Reading(row.load(), row.typed(where), where)
    for word in words_of(text_of(data)):
        reading.take(word.text)
    if reading.pending is None:  # the value of an option may be the name of something in the session
        offers(Here(where, _no_session), reading, "-")
    try:
        reading.asked()
    except LlxError as problem:
        _check_line(str(problem))


def _no_session() -> Session:
    raise AssertionError("options are offered without a session")


def _texts(data: bytes, chance: random.Random) -> None:
    text = text_of(data)
    _check_line(one_line(text))
    held = ""
    for piece in pieces_of(data, chance):
        shown, held = split_at_open_sequence(held + text_of(piece))
        printable(shown)
    day_and_time(text)
    LiveKeys(KEY).without(text)
    try:
        check_name(text)
    except LlxError as problem:
        _check_line(str(problem) + nearest(text, ("alpha", "beta")))


MOST_CARD_LINES = 12
"""How many lines two processes that share a backend have at most, whatever they are called."""


def _cards(data: bytes, chance: random.Random) -> None:
    """What another process says of itself, read and shown in every way."""
    card = card_of(data)
    found = peers_of([Peer(card, chance.random()), Peer(card_of(data[::-1]), 1.0, has_probe=True)], 2, Used())
    shared = Shared("team", (SharedBackend("model", found),))
    _check_line(shown_peers.holder_of(shared.backends[0]))
    assert len(shown_peers.plain(shared).splitlines()) <= MOST_CARD_LINES
    shown_peers.as_html(shared)


class Folder:
    """A folder for the parsers that read files, one file each."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def conversation(self, data: bytes, chance: random.Random) -> None:
        """A conversation's file, read and shown in every way."""
        conversations = Conversations(self.path)
        (self.path / "plan.json").write_bytes(data)
        conversations.all()
        as_markdown(conversations.get("plan"))
        session = Session()
        session.conversations = conversations
        show(Here(Where.SHELL, lambda: session), Asked("", "", {"name": ["plan"]}))

    def key_file(self, data: bytes, chance: random.Random) -> None:
        """A key in a file of its own."""
        path = self.path / "key"
        path.write_bytes(data)
        path.chmod(0o600)
        profile = read_document(
            json.dumps({"provider": "openai", "model": "m", "ephemeralSettings": {"auth-keyfile": str(path)}}), "alpha"
        )
        assert isinstance(profile, ModelProfile)
        ProfileKeySource(profile, None, needs_key=True, own_host=True).read()

    def history(self, data: bytes, chance: random.Random) -> None:
        """A history that somebody saved, and what it came to."""
        (self.path / "history.jsonl").write_bytes(data)
        kernels = load_history(self.path / "history.jsonl")
        past = Past(kernels)
        past.course(chance.random)
        events = [event for each in kernels for event in each]
        totals(as_recorded(past.asked_of({"a", "b"}), events), events)

    def key_names(self, data: bytes, chance: random.Random) -> None:
        """The list of the keys in the keyring."""
        (self.path / "keys.json").write_bytes(data)
        Keychain(self.path).names()

    def rows(self, data: bytes, chance: random.Random) -> None:
        """The rows of a file, which are written again as JSON on every line, and read from there."""
        given, written = self.path / f"rows{chance.choice(('.csv', '.tsv', '.jsonl'))}", self.path / "written.jsonl"
        given.write_bytes(data)
        source = source_of(given)
        rows = [row[ROW] for row in source if ROW not in source.columns]
        write_table(source.joined({}), written)
        again = [row[ROW] for row in source_of(written) if ROW not in source.columns]
        if len(again) != len(rows):
            raise AssertionError(f"{len(rows)} rows were read, {len(again)} were written")

    def trusted(self, data: bytes, chance: random.Random) -> None:
        """The list of what the user has allowed, and the variable that names more."""
        path = self.path / "trusted.json"
        path.write_bytes(data)
        path.chmod(0o600)
        trust = Trust(self.path, this_user())
        _, problem = trust.look_up()
        _check_line(problem)
        read_pairs(text_of(data))
        trust.remembered()


def _pieces(data: bytes, chance: random.Random) -> object:
    given = (Image(data, name="it"), File(data, name=chance.choice(("it", "it.png", "it.pdf", "it.md"))))
    try:
        (message,) = pieces.read([Message("user", given)], chance.choice((5, 2048)))
    except UnreadableError as problem:
        raise UsageProblem(str(problem)) from None
    return as_html(piece for piece in message.pieces if not isinstance(piece, str))


def samples(name: str) -> tuple[bytes, ...]:
    """Return real inputs: the lines of a file, each with the escapes of Python's bytes."""
    lines = (SAMPLES / f"{name}.txt").read_text("ascii").splitlines()
    return tuple(line.encode().decode("unicode_escape").encode("latin-1") for line in lines)


def goldens(form: str) -> tuple[bytes, ...]:
    """Return the bodies of a form's golden replies."""
    files = [path for path in sorted((GOLDENS / form).iterdir()) if path.stem.islower()]
    bodies = [_body(path) for path in files]
    return tuple(body for body in bodies if body)


def pictures() -> tuple[bytes, ...]:
    """Return a small picture in each format that is read, still and moving, a document and a text."""
    from PIL import Image

    found = [b"%PDF-1.7 a document", b"# A text"]
    frames = [Image.effect_noise((12, 10), 60).convert("P"), Image.new("P", (12, 10))]
    for name in ("PNG", "GIF", "TIFF", "WEBP", "JPEG", "BMP", "ICO", "PPM"):
        page, moving = io.BytesIO(), name in ("PNG", "GIF", "TIFF", "WEBP")
        options = {"save_all": True, "append_images": frames[1:]} if moving else {}
        frames[0].convert("P" if moving else "RGB").save(page, format=name, **options)
        found.append(page.getvalue())
    return tuple(found)


def _body(path: Path) -> bytes:
    data = path.read_bytes()
    return data if path.suffix == ".bin" else data.partition(b"\n\n")[2]


def parsers(folder: Path) -> tuple[Parser, ...]:
    """Return every parser; those that read files do so in the folder."""
    files = Folder(folder)
    return (
        Parser("server-sent events", _events, samples("replies")),
        Parser("replies", _reply, samples("replies")),
        *(
            Parser(f"replies of {each.name}", _reply_in(each.name), goldens(each.name))
            for each in sorted(GOLDENS.iterdir())
            if each.is_dir()
        ),
        Parser("payloads of frames", _framed, _PAYLOADS),
        Parser("error bodies and waits", _error_body, samples("errors")),
        Parser("profiles", _profile, samples("profiles")),
        Parser("settings", _settings, samples("settings")),
        Parser("settings of a line", _setting_names, samples("setting-lines")),
        Parser("parameters", _parameters, samples("parameters")),
        Parser("addresses", _address, samples("addresses")),
        Parser("expressions", _expressions, samples("expressions"), 20_000),
        Parser("Markdown", _markdown, samples("markdown"), 10_000, 1_000),
        Parser("forms of replies", _forms, (*samples("markdown"), *samples("forms")), 20_000, 2_000),
        Parser("images and files", _pieces, pictures(), 20_000),
        Parser("standard input", _standard_input, samples("standard-input")),
        Parser("options", _options, samples("lines"), 20_000),
        Parser("commands", _commands, samples("lines"), 20_000),
        Parser("texts", _texts, samples("texts")),
        Parser("cards of processes", _cards, samples("cards"), 20_000),
        Parser("conversations", files.conversation, samples("conversations"), 20_000),
        Parser("key files", files.key_file, samples("key-files"), 20_000),
        Parser("histories", files.history, samples("histories"), 5_000, 2_000),
        Parser("rows of files", files.rows, samples("rows"), 5_000, 2_000),
        Parser("what is trusted", files.trusted, samples("trusted"), 20_000),
        Parser("names of keys", files.key_names, samples("key-names"), 20_000),
    )


# --- judging --------------------------------------------------------------------------------------------------------


def _check_line(said: str) -> None:
    if len(said.splitlines()) > 1 or "\x1b" in said:
        raise AssertionError(f"an error of several lines: {said!r}")
    if len(said) > 5_000:
        raise AssertionError(f"an error of {len(said)} characters: {said[:100]!r}")
    said.encode("utf-8")


class _Steps:
    """Counts the lines that Python runs."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _frame: FrameType, event: str, _arg: object) -> _Steps:
        self.count += event == "line"
        return self


def tried(parser: Parser, data: bytes, chance: random.Random, *, traced: bool) -> tuple[bool, int]:
    """Run the parser on the input; whether it was refused, and how many steps it took where they were counted."""
    steps, before = _Steps(), sys.gettrace()
    if traced:  # a second time: what is imported at first use is not a step
        again = random.Random()  # noqa: S311
        again.setstate(chance.getstate())
        with contextlib.suppress(LlxError):
            parser.run(data, again)
        sys.settrace(steps)
    try:
        parser.run(data, chance)
    except LlxError as problem:
        sys.settrace(before)
        _check_line(str(problem))
        return True, steps.count
    finally:
        sys.settrace(before)
    return False, steps.count


def fuzz(parser: Parser, inputs: int, seed: int, most_faults: int = 20) -> Findings:
    """Try so many inputs and return what came of them."""
    found = Findings()
    kinds: collections.Counter[str] = collections.Counter()
    for number in range(inputs):
        chance = random.Random(f"{seed} {parser.name} {number}")  # noqa: S311 - inputs that can be made again
        data = mutated(parser.samples, chance)
        found.inputs += 1
        try:
            was_refused, steps = tried(parser, data, chance, traced=number % TRACED == 0)
            found.refused += was_refused
            share = steps / (STEPS_AT_FIRST + parser.steps_per_byte * len(data))
            found.most_steps = max(found.most_steps, share)
            if share > 1:
                raise AssertionError(f"{steps} steps for {len(data)} bytes")
        except Exception as problem:  # noqa: BLE001 - whatever escapes is what is looked for
            frame = traceback.extract_tb(problem.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            kinds[f"{type(problem).__name__} at {where}"] += 1
            if kinds[f"{type(problem).__name__} at {where}"] == 1 and len(found.faults) < most_faults:
                what = f"{type(problem).__name__}: {str(problem)[:200]}"
                found.faults.append(f"input {number}: {what} ({where}) of {data[:300]!r}")
    return found


def main() -> int:
    """Run what is asked for and print a line for each parser, then what was found."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--inputs", type=int, help="how many inputs each parser is given (else its usual number)")
    asked.add_argument("--only", help="only the parsers whose name holds this")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for parser in parsers(Path(folder)):
            if given.only and given.only not in parser.name:
                continue
            found = fuzz(parser, given.inputs or parser.inputs, given.seed)
            share = found.most_steps * 100
            print(
                f"{parser.name:24} {found.inputs:8,} inputs, {found.refused:8,} refused in one line, "
                f"{share:4.0f}% of the steps allowed, {len(found.faults)} faults",
                flush=True,
            )
            for fault in found.faults:
                print(f"  {fault}")
            faults += len(found.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
