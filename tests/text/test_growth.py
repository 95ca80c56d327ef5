"""What reads a text of others takes time in proportion to it: twice the text, twice the time."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from llx_magic.backends.reading.body import BodyDecoder
from llx_magic.backends.reading.errors import read_error
from llx_magic.backends.reading.sse import EventDecoder
from llx_magic.backends.reading.thinking import ThinkSplitter, part_without_opening
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.commands import piped
from llx_magic.commands.prompt import read_prompt
from llx_magic.commands.words import split
from llx_magic.core.failure import BackendFailed
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import Usage
from llx_magic.errors import LlxError
from llx_magic.files.strictjson import parse
from llx_magic.keys.redaction import LiveKeys
from llx_magic.notebook.transform import hand_over_prompts
from llx_magic.profiles.codec import read_document
from llx_magic.providers.address import base_url
from llx_magic.session.turns import decode
from llx_magic.text.blocks import code_of, read_json
from llx_magic.text.screen import one_line, printable, split_at_open_sequence
from llx_magic.text.tables import read_table
from llx_magic.text.wording import nearest
from tests.growing import growth, seconds

KEY = "sk-0123456789abcdefghijklmnop"
MOST = 10.0
"""How many times as long four times the text may take: in proportion it is 4, by the square 16."""

NOISE = 0.004
"""Seconds of the processor below which nothing is compared."""


class Ears:
    """Takes the pieces of a reply."""

    def on_sending(self, to: str) -> None:
        pass

    def on_connected(self) -> None:
        pass

    def on_text(self, piece: str) -> None:
        pass

    def on_reasoning(self, piece: str) -> None:
        pass

    def on_usage(self, usage: Usage) -> None:
        pass

    def on_rates(self, facts: RateFacts) -> None:
        pass


def assert_in_proportion(work, small: object, large: object) -> None:
    """Hold that the work takes no longer than it may, whether or not the text is refused."""

    def read(given: object) -> None:
        with contextlib.suppress(LlxError, ValueError):
            work(given)

    grown = growth(functools.partial(read, small), functools.partial(read, large), most=MOST, least=NOISE)
    assert grown < MOST


def reply(data: bytes, size: int = 64) -> None:
    reader, body = ReplyReader("a", "m", Ears()), BodyDecoder()
    with contextlib.suppress(BackendFailed):
        for at in range(0, len(data), size):
            for event in body.feed(data[at : at + size]):
                reader.take(event)
        for event in body.flush():
            reader.take(event)
        reader.end()


def events(data: bytes) -> None:
    decoder = EventDecoder()
    for at in range(len(data)):
        decoder.feed(data[at : at + 1])
    decoder.flush()


def cleaned(text: str) -> None:
    held = ""
    for letter in text:
        shown, held = split_at_open_sequence(held + letter)
        printable(shown)


def thought(text: str) -> None:
    splitter = ThinkSplitter()
    for letter in text:
        splitter.feed(letter)
    splitter.rest()


def without_key(text: str) -> None:
    pieces = LiveKeys(KEY).in_pieces()
    for letter in text:
        pieces.feed(letter)
    pieces.rest()


def chunks(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


BYTES = {
    "documents one behind another": (reply, b"{}", 20_000),
    "documents with blanks": (reply, b"{} data: ", 10_000),
    "arrays": (reply, b"[]", 20_000),
    "documents in lines": (reply, b"{}\n", 10_000),
    "an open object": (reply, b"{ ", 50_000),
    "blank lines": (reply, b"\n \r\n", 50_000),
    "events": (reply, b"data: x\n\n", 5_000),
    "an event in lines": (reply, b"data: {\n", 10_000),
    "heartbeats": (reply, b": ping\n\n", 10_000),
    "chunks": (reply, chunks("a <think>"), 1_000),
    "reasoning without an end": (reply, chunks("<think> a </thin"), 1_000),
    "an event byte by byte": (events, b"data: {", 8_000),
    "lines byte by byte": (events, b"data: x\n", 10_000),
    "ends of lines byte by byte": (events, b"\r\n", 20_000),
    "an error of braces": (read_error, b'{"error":', 50_000),
    "an error in words": (read_error, b"try again in 1 m ", 50_000),
    "a page": (read_error, b"<title", 50_000),
    "standard input": (piped.decoded, b"a\r\n\xef\xbb\xbf", 50_000),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_of_others_are_read_in_time_in_proportion(name):
    work, unit, count = BYTES[name]
    assert_in_proportion(work, unit * count, unit * count * 4)


TEXTS = {
    "think byte by byte": (thought, "<think> a </think", 2_000),
    "think without an opening": (part_without_opening, "```\n</thin", 50_000),
    "sequences": (printable, "\x1b]", 100_000),
    "a sequence that does not end": (printable, "\x1b[0;", 100_000),
    "sequences in pieces": (cleaned, "\x1b]0;a", 5_000),
    "a sequence in pieces that does not end": (cleaned, "0", 20_000),
    "one line": (one_line, "a \n\x1b", 100_000),
    "fences": (code_of, "```\n", 1_000),
    "quotes": (code_of, "> ", 5_000),
    "lists": (code_of, "- a\n  ", 500),
    "brackets": (code_of, "[a](", 500),
    "a program": (code_of, "x=1\n", 1_000),
    "JSON": (read_json, '{"a":[', 1_000),
    "a table": (read_table, "|a|b|\n", 500),
    "options": (read_prompt, "-q ", 2_000),
    "settings": (read_prompt, "--set a=b ", 1_000),
    "quotation marks": (read_prompt, "'a'\"", 5_000),
    "words": (split, "a 'b' ", 5_000),
    "lines that go on": (lambda text: hand_over_prompts(text.splitlines(keepends=True)), "%llx a?\n", 2_000),
    "addresses": (lambda text: base_url(f"https://h{text}"), "/chat/completions", 100),
    "a name": (lambda text: nearest(text, ("alpha", "beta")), "ab", 100_000),
    "a profile of brackets": (parse, "[", 100_000),
    "a profile of one text": (lambda text: parse(f'{{"a":"{text}'), '\\"', 100_000),
    "a key in pieces": (without_key, KEY[:12], 1_000),
    "half a key in pieces": (without_key, "s", 10_000),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_others_are_read_in_time_in_proportion(name):
    work, unit, count = TEXTS[name]
    assert_in_proportion(work, unit * count, unit * count * 4)


def test_a_long_text_with_a_key_in_it_takes_no_longer_than_what_is_shown_of_it():
    keys = LiveKeys(KEY)
    assert_in_proportion(keys.without, "\\u0073k" * 10_000, "\\u0073k" * 80_000)


@pytest.mark.parametrize("where", ["ephemeralSettings", "top"])
def test_a_profile_of_many_unknown_keys_is_read_in_time_in_proportion(where):
    def document(count: int) -> str:
        odd = {f"timeout_m{number}": 1 for number in range(count)}
        inner = {"ephemeralSettings": odd} if where == "ephemeralSettings" else odd
        return json.dumps({"provider": "openai", "model": "m", **inner})

    assert_in_proportion(lambda text: read_document(text, "a"), document(500), document(2_000))


def test_a_conversation_is_read_in_time_in_proportion():
    def content(count: int) -> bytes:
        turn = {"cell": None, "prompt": "p" * 100, "reply": "r", "backend": "b", "model": "m", "at": "x"}
        return json.dumps({"version": 1, "turns": [turn] * count}).encode()

    assert_in_proportion(lambda raw: decode(Path("plan.json"), raw), content(2_000), content(8_000))


def test_more_options_than_a_command_takes_are_refused_in_one_line():
    with pytest.raises(LlxError, match=r"^%llx: more than 500 options "):
        read_prompt("-q " * 501)
    assert len(read_prompt("--set a=b " * 400)[0].all("set")) == 400


def test_an_address_longer_than_servers_take_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^must be an address of at most 2000 characters, got 170009$"):
        base_url("https://h" + "/chat/completions" * 10_000)


def test_more_documents_than_a_reply_has_pieces_are_refused_in_one_line():
    body = BodyDecoder()
    body.feed(b"{}" * 200_000)
    with pytest.raises(LlxError, match=r"^a reply of more than 100000 JSON documents$"):
        body.flush()


def test_what_is_taken_out_of_a_reply_takes_far_less_time_than_to_draw_it():
    text = "[" * 100_000
    drawing = seconds(lambda: MarkdownIt("commonmark").parse(text))
    for read in (code_of, read_json, read_table):

        def taking(read=read) -> None:
            with contextlib.suppress(LlxError):
                read(text)

        assert min(seconds(taking) for _ in range(3)) < drawing / 4, read
