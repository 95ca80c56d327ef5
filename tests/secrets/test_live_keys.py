"""Every key that the process has used is taken out of whatever is foreign, whoever repeats it and in whatever dress."""

from __future__ import annotations

import asyncio
import base64
import gc
import html
import itertools
import json
import pickle
import quopri
import traceback
from urllib.parse import quote

import pytest

from llx_magic.backends.wording import one_line
from llx_magic.errors import LlxError
from llx_magic.keys.redaction import LIVE_KEYS, LONGEST_READ, LiveKeys
from llx_magic.session.session import Session
from llx_magic.text.screen import printable
from tests.faults.server import FaultServer
from tests.growing import growth
from tests.notebook.kit import write_model
from tests.secrets.sweep import Sweep, attributes, plain

KEY, OTHER = plain("mine"), plain("of another backend")


def through(between: str) -> str:
    """The key with something between its letters."""
    return between.join(KEY)


DRESSES = {
    "a null": "\0".join(KEY),
    "a bell once": KEY[:20] + "\a" + KEY[20:],
    "a zero-width space": through("\u200b"),
    "a zero-width joiner and a byte-order mark": through("\u200d\ufeff"),
    "a soft hyphen": through("\u00ad"),
    "a right-to-left override": through("\u202e"),
    "an isolate": through("\u2066"),
    "a combining mark": through("\u0301"),
    "a variation selector": through("\ufe0f"),
    "a tag character": through("\U000e0041"),
    "a blank that is a letter of Braille": through("\u2800"),
    "what has no glyph": through("\ufff0\ue000\U00013430"),
    "colours": through("\x1b[31m"),
    "a title of the terminal": KEY[:20] + "\x1b]0;x\x07" + KEY[20:],
    "a C1 sequence": through("\x9b0m"),
    "an open sequence": KEY[:20] + "\x1b[" + KEY[20:],
    "delete": through("\x7f"),
    "spaces": through(" "),
    "lines": "\n".join(KEY[at : at + 8] for at in range(0, len(KEY), 8)),
    "carriage returns": through("\r\n  "),
    "lines of quoted-printable": "=\r\n".join(KEY[at : at + 8] for at in range(0, len(KEY), 8)),
    "quoted-printable": "".join(f"={ord(c):02X}" for c in KEY),
    "quoted-printable by Python": quopri.encodestring(f"a=b {KEY}".encode()).decode(),
    "UTF-16 shown byte by byte": KEY.encode("utf-16-le").decode("latin-1"),
    "capitals": KEY.upper(),
    "small letters": KEY.lower(),
    "percent": "".join(f"%{ord(c):02x}" for c in KEY),
    "percent of percent": quote(quote("".join(f"%{ord(c):02x}" for c in KEY), safe=""), safe=""),
    "percent u": "".join(f"%u{ord(c):04x}" for c in KEY),
    "JSON escapes": "".join(f"\\u{ord(c):04X}" for c in KEY),
    "JSON escapes twice": json.dumps("".join(f"\\u{ord(c):04X}" for c in KEY)),
    "JavaScript escapes": "".join(f"\\u{{{ord(c):x}}}" for c in KEY),
    "escapes of Python": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "long escapes of Python": "".join(f"\\U{ord(c):08x}" for c in KEY),
    "numbers of C": " ".join(f"0x{ord(c):02x}" for c in KEY),
    "octal escapes": "".join(f"\\{ord(c):03o}" for c in KEY),
    "decimal entities": "".join(f"&#{ord(c)};" for c in KEY),
    "entities of entities": html.escape("".join(f"&#{ord(c)};" for c in KEY)),
    "hexadecimal entities": "".join(f"&#x{ord(c):x};" for c in KEY),
    "entities without an end": "".join(f"&#{ord(c)}" for c in KEY),
    "named entities": KEY.replace("-", "&hyphen;"),
    "hexadecimal": KEY.encode().hex(),
    "hexadecimal with colons": KEY.encode().hex(":"),
    "hexadecimal with spaces": KEY.encode().hex(" "),
    "base64 in lines": base64.encodebytes(b"x" * 40 + KEY.encode()).decode(),
    "base64 in an address": f"https://a.example/v1?k={quote(base64.b64encode(KEY.encode()).decode(), safe='')}",
    **{f"base64 after {n}": base64.b64encode(b"x" * n + KEY.encode()).decode() for n in range(3)},
    **{f"base64url after {n}": base64.urlsafe_b64encode(b"~?" * n + KEY.encode()).decode() for n in range(3)},
    "base64 within percent within JSON": json.dumps(quote(base64.b64encode(KEY.encode()).decode(), safe="")),
}
"""The key as a server may write it: one who reads what is shown, or copies it, would have it."""


def undressed(text: str) -> str:
    """What a reader makes of a text: printable, on one line, without spaces."""
    return "".join(c for c in printable(text) if c.isalnum() or c in "-_+/")


@pytest.mark.parametrize("dress", DRESSES)
def test_a_key_goes_in_every_dress(dress):
    """Before and after a text is cleaned, whole and in part, and the words around it stay."""
    text = f"refused, since {DRESSES[dress]} is no key"
    shown = one_line(LiveKeys(KEY).without(text))
    assert shown.startswith("refused, since ")
    assert shown.endswith("is no key")
    look = Sweep({"key": KEY})
    assert not look.found_in([shown, undressed(shown), shown.lower(), shown.upper()])
    assert len(shown) <= len("refused, since  is no key") + 70


def test_honest_words_stay_beside_any_number_of_keys():
    """What a key might be read out of by chance is not taken for one."""
    live = LiveKeys(*(plain(f"key {at}") for at in range(40)))
    for said in (
        "Rate limit reached for gpt-4o in organization org-AbCdEf123 on tokens per min (TPM): Limit 30000, Used 29000.",
        'invalid "messages[0].content": expected a string, got \\"null\\" &amp; more (50%25)',
        "0123456789abcdef0123456789abcdef eyJhbGciOiJIUzI1NiJ9.e30 c29tZSBsb25nIHRleHQgdGhhdCBpcyBubyBrZXk=",
        "línea a\u0301 \u202eabc\u202c 日本語 👩\u200d👩\u200d👧 \x1b[1mbold\x1b[0m",
    ):
        assert live.without(said) == said


@pytest.mark.parametrize("dress", [dress for dress in list(DRESSES)[:20] if dress != "an open sequence"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_replys_text_shows_no_key_in_parts_that_join_on_the_screen(dress, size):
    """However it is cut into pieces; what precedes and follows it stays as it is."""
    hidden = LiveKeys(OTHER, KEY).in_pieces()
    text = f"Here\tis\u200b it: {DRESSES[dress]}, so\0 there"
    shown = "".join([*(hidden.feed(text[at : at + size]) for at in range(0, len(text), size)), hidden.rest()])
    assert shown.startswith("Here\tis\u200b it: ")
    assert shown.endswith("***, so\0 there")
    assert KEY[:20] not in undressed(shown)


def test_a_key_that_is_made_after_the_reader_of_a_reply_is_hidden_in_the_reply():
    """As the signature of a request is, which a server may repeat in what it streams."""
    live = LiveKeys(OTHER)
    live.in_pieces().feed("so that what is known of them is kept")
    hidden = live.in_pieces()
    live.add(KEY)
    assert "".join([hidden.feed(f"You are {KEY[:9]}"), hidden.feed(f"{KEY[9:]}."), hidden.rest()]) == "You are ***."


def test_letters_that_cannot_be_seen_do_not_pile_up():
    """A server that goes on with them after what may be a key's beginning is not held back for ever."""
    hidden = LiveKeys(KEY).in_pieces()
    given = sum(len(hidden.feed(piece)) for piece in itertools.chain([KEY[:1]], ["\u200b" * 100] * 100))
    assert given > 5_000


def two_profiles(folder, monkeypatch, address: str) -> Session:
    """One gateway, reached by two profiles with a key each."""
    for name, key in (("mine", KEY), ("theirs", OTHER)):
        monkeypatch.setenv(f"{name.upper()}_KEY", key)
        write_model(folder / "config", name, base_url=address, auth_key_env=f"{name.upper()}_KEY")
    return Session()


def every_dress() -> str:
    return " or ".join(DRESSES.values())


def fault(exchange) -> None:
    exchange.whole(401, json.dumps({"error": {"message": KEY, "code": KEY, "param": KEY}}).encode())


def page(exchange) -> None:
    exchange.whole(502, f"<title>{KEY}</title>".encode(), {"Content-Type": "text/html"})


def header(exchange) -> None:
    exchange.whole(429, b"{}", {"Retry-After": KEY, "X-Request-Id": KEY})


def elsewhere(exchange) -> None:
    exchange.whole(307, b"", {"Location": f"https://x.example/{KEY}"})


def within_reply(exchange) -> None:
    exchange.begin_stream()
    exchange.event({**exchange.delta(content="A"), "id": KEY, "model": KEY})
    exchange.event({"error": {"message": KEY}})
    exchange.end_stream()


@pytest.mark.parametrize("mode", [fault, page, header, elsewhere, within_reply])
def test_one_backends_key_is_in_no_error_of_another(tmp_path, monkeypatch, mode):
    with FaultServer() as server:
        session = two_profiles(tmp_path, monkeypatch, server.base_url)
        asyncio.run(session.balancer("mine").ask("why"))
        server.set_default(mode)
        balancer = session.balancer("theirs")
        with pytest.raises(LlxError) as caught:
            asyncio.run(balancer.ask("why"))
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    told = [str(caught.value), *caught.value.lines(), "".join(trace.format()), *attributes(caught.value)]
    told += [repr(each) for each in balancer.decisions()]
    assert not Sweep({"mine": KEY, "theirs": OTHER}).found_in(told)


def test_a_task_whose_error_nobody_takes_shows_no_key(tmp_path, monkeypatch, caplog):
    """Asyncio in its debug mode says where it was made, and everything is logged."""
    caplog.set_level("DEBUG")

    async def forget(session: Session) -> None:
        task = asyncio.ensure_future(session.balancer("theirs").ask("why"))
        await asyncio.wait([task])
        del task
        gc.collect()

    with FaultServer() as server:
        session = two_profiles(tmp_path, monkeypatch, server.base_url)
        asyncio.run(session.balancer("mine").ask("why"))
        server.set_default(fault)
        asyncio.run(forget(session), debug=True)
    told = [caplog.text, *(f"{each.__dict__}" for each in caplog.records)]
    assert any("never retrieved" in each for each in told)
    assert not Sweep({"mine": KEY, "theirs": OTHER}).found_in(told)


def test_one_backends_key_is_in_no_reply_of_another(tmp_path, monkeypatch):
    """In text, reasoning, the reply's id, the model's name, the finish word and the tools that it asks for."""

    def answer(exchange) -> None:
        exchange.begin_stream()
        for kind in ("reasoning", "content"):
            exchange.event({**exchange.delta(**{kind: f"It is {KEY}."}), "id": KEY, "model": KEY})
        exchange.event(exchange.delta(tool_calls=[{"function": {"name": KEY}}]))
        exchange.event(exchange.delta(finish_reason=KEY))
        exchange.end_stream()

    with FaultServer() as server:
        session = two_profiles(tmp_path, monkeypatch, server.base_url)
        asyncio.run(session.balancer("mine").ask("why"))
        server.set_default(answer)
        reply = asyncio.run(session.balancer("theirs").ask("why"))
    assert str(reply) == "It is ***."
    assert not Sweep({"mine": KEY}).found_in([repr(reply), *attributes(reply)])


def test_a_key_that_was_replaced_is_still_taken_out_of_late_errors(tmp_path, monkeypatch):
    """The server's log may lag behind."""
    with FaultServer() as server:
        session = two_profiles(tmp_path, monkeypatch, server.base_url)
        asyncio.run(session.balancer("mine").ask("why"))
        monkeypatch.setenv("MINE_KEY", plain("rotated"))
        server.set_default(fault)
        with pytest.raises(LlxError) as caught:
            asyncio.run(session.balancer("mine").ask("why"))
    assert not Sweep({"mine": KEY}).found_in([str(caught.value)])


def test_only_the_keys_that_were_used_last_are_remembered():
    """A process whose keys change with each request does not grow."""
    live = LiveKeys(KEY)
    for at in range(1000):
        live.add(plain(str(at)), KEY)
        live.without("something that a server says")
    assert len(live._keys) <= 256
    assert sum(map(len, live._parts.values())) < 40_000
    forgotten = plain("0")[20:]
    assert live.without(f"{plain('999')}, {KEY}, {forgotten}") == f"***, ***, {forgotten}"


def test_what_holds_the_keys_shows_and_gives_away_none():
    live = LiveKeys(KEY)
    hidden = live.in_pieces()
    hidden.feed(KEY[:30])
    assert not Sweep({"key": KEY}).found_in([repr(live), repr(hidden), repr(live._beginnings), f"{live!s:>40}"])
    for thing in (live, hidden, LIVE_KEYS):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)


def feed(live: LiveKeys, text: str) -> None:
    hidden = live.in_pieces()
    for at in range(0, len(text), 5):
        hidden.feed(text[at : at + 5])


def test_forty_keys_make_a_reply_far_less_than_forty_times_the_work():
    """Each piece is looked at once, however many keys there are; a piece of words with none costs little more."""
    text = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 100
    keys = [plain(str(at)) for at in range(40)]
    one, all_of_them = LiveKeys(keys[0]), LiveKeys(*keys)
    assert growth(lambda: feed(one, text), lambda: feed(all_of_them, text), most=8, least=1e-4) < 8


@pytest.mark.parametrize(
    "unit", ["sk-SENTINEL-", "s\u200b", "\x1b[", "%25", "=3D", "\\u00", "&#", "c2", "AAAA", "s \n"]
)
def test_eight_times_the_text_is_no_more_than_eight_times_the_work(unit):
    """Made to be tried in every way, in an error and in a reply."""
    live = LiveKeys(*(plain(str(at)) for at in range(10)))
    small, large = ((unit * size)[:size] for size in (700, 5_600))
    assert growth(lambda: live.without(small), lambda: live.without(large), most=30, least=50e-6) < 30
    few, many = ((unit * size)[:size] for size in (5_000, 40_000))
    assert growth(lambda: feed(live, few), lambda: feed(live, many), most=30, least=200e-6) < 30
    assert len(live.without(unit * LONGEST_READ)) <= LONGEST_READ


def test_a_text_that_is_read_while_a_key_becomes_known_is_not_remembered_with_it():
    keys = LiveKeys("sk-first-abcdefghijklmnop")
    keys.without("so that the index is there")
    text = "bad key sk-second-zyxwvutsrqponm"

    class ReadMeanwhile(str):
        """A key during whose folding another thread reads a text that holds it."""

        __slots__ = ()

        def translate(self, table) -> str:
            keys.without(text)
            return super().translate(table)

    keys.add(ReadMeanwhile("sk-second-zyxwvutsrqponm"))
    assert keys.without(text) == "bad key ***"
