"""What the body of a success looks like decides how it is read; its label does not."""

from __future__ import annotations

import itertools
import json
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.http.decompress import Decompressor
from llx_magic.backends.reading.body import BodyDecoder
from llx_magic.backends.reading.sse import EventTooLarge
from llx_magic.core.failure import FailureKind
from llx_magic.core.reply import Answer, Usage
from tests.backends.kit import delta, read_body

PIECES = [delta("Gr\u00fcn "), delta("\u2602 \u2028 "), delta("\U0001f600.", "stop")]
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
CHUNKS = [json.dumps(each, ensure_ascii=False) for each in [*PIECES, USAGE]]
TEXT = "Gr\u00fcn \u2602 \u2028 \U0001f600."
WHOLE = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": USAGE["usage"],
}

BODIES = {
    "events": "".join(f"data: {each}\n\n" for each in [*CHUNKS, "[DONE]"]),
    "events, no empty lines": "".join(f"data: {each}\n" for each in [*CHUNKS, "[DONE]"]),
    "events, no field": "\n\n".join(CHUNKS),
    "events after comments": ": processing\n\n" * 3 + "".join(f"data: {each}\n\n" for each in CHUNKS),
    "events after a bare object": "".join(f"data: {each}\n\n" for each in CHUNKS[:2]) + "\n\n".join(CHUNKS[2:]),
    "a bare object of several lines": "id: 1\n\n"
    + "\n\n".join(json.dumps(json.loads(each), indent=1) for each in CHUNKS),
    "lines": "\n".join(CHUNKS),
    "lines with an end mark": "\n".join([*CHUNKS, "data: [DONE]", ""]),
    "lines with carriage returns": "\r\n".join(CHUNKS),
    "an array": "[" + ",\n".join(CHUNKS) + "]",
    "an array of several lines": json.dumps([json.loads(each) for each in CHUNKS], indent=2) + "\r\n",
    "an array and an end mark": "[" + "\r\n,\r\n".join(CHUNKS) + "]data: [DONE]\n\n",
    "a document": json.dumps(WHOLE),
    "a document of several lines": json.dumps(WHOLE, indent=2) + "\n",
    "a document after white space": " \n\n\t" + json.dumps(WHOLE),
    "a document and an end mark": json.dumps(WHOLE) + "data: [DONE]\n\n",
    "a document, a line end and an end mark": json.dumps(WHOLE) + "\n\ndata: [DONE]\n\n",
    "a document of several lines and an end mark": json.dumps(WHOLE, indent=2) + "\n\ndata: [DONE]\n\n",
    "documents without anything between": "".join(CHUNKS),
    "a document in an event": f"data: {json.dumps(WHOLE)}\n\n",
    "a document in an array": json.dumps([WHOLE]),
    "a marked document": "\ufeff" + json.dumps(WHOLE),
    "marked events": "\ufeff" + "".join(f"data: {each}\n\n" for each in CHUNKS),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_each_layout_gives_the_same_reply(body):
    """Text, usage and finish reason."""
    answer = read_body(body.encode())
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.usage, answer.finish_reason) == (TEXT, Usage(3, 2), "stop")


@given(st.sampled_from(sorted(BODIES)), st.lists(st.integers(0, 2000), max_size=6))
def test_where_a_body_is_cut_into_pieces_makes_no_difference(name, cuts):
    """In the middle of a mark, of a character, of a line end."""
    raw = BODIES[name].encode()
    bounds = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    assert read_body(*(raw[a:b] for a, b in itertools.pairwise(bounds))).text == TEXT


@pytest.mark.parametrize(
    "name",
    [
        "events",
        "marked events",
        "lines",
        "events, no empty lines",
        "a document in an event",
        "an array of several lines",
    ],
)
def test_a_body_byte_by_byte_is_the_same(name):
    """The slowest network there is."""
    assert read_body(*(bytes([each]) for each in BODIES[name].encode())).text == TEXT


@pytest.mark.parametrize(
    "name", ["events", "lines", "an array", "an array and an end mark", "a document", "a document of several lines"]
)
def test_a_body_that_is_cut_short_is_no_reply(name):
    """Whatever its layout, each of its beginnings without a finish reason fails."""
    raw = BODIES[name].encode()
    end = raw.find(b'"finish_reason": "stop"')
    for size in range(0, end, 7):
        assert not isinstance(read_body(raw[:size]), Answer), raw[:size]


def test_lines_are_given_out_as_they_come():
    """A stream is shown while it runs, whatever its frame."""
    body = BodyDecoder()
    assert [each.data for each in body.feed(b'{"a": 1}\n{"b"')] == ['{"a": 1}']
    assert [each.data for each in body.feed(b": 2}\n")] == ['{"b": 2}']


def test_the_objects_of_an_array_are_given_out_as_they_come():
    """Also where a bracket or a quotation mark stands in a text, and where an escape is cut in two."""
    body, given = BodyDecoder(), []
    for piece in (b'[{"a": "}]\\', b'\\", "b": ["\\"{"', b"]}\n", b",", b' {"c": 2}', b"]"):
        given.append([each.data for each in body.feed(piece)])
    assert given == [[], [], ['{"a": "}]\\\\", "b": ["\\"{"]}'], [], ['{"c": 2}'], []]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", FailureKind.BAD_REPLY, "an empty reply body"),
        (b"\n\n", FailureKind.BAD_REPLY, "the stream ended without a reply"),
        (b": comment\n\n", FailureKind.BAD_REPLY, "the stream ended without a reply"),
        (b"<html><title>Sign in</title>", FailureKind.BAD_REPLY, "a web page instead of a reply: Sign in"),
        (b"\n <!doctype html><p>", FailureKind.BAD_REPLY, "a web page instead of a reply: an HTML page"),
        (b"it broke", FailureKind.BAD_REPLY, "an unusable reply: 'it broke'"),
        (b"upstream connect error or disconnect", FailureKind.SERVER, "an unusable reply: 'upstream connect error"),
        (b"error code: 1015 rate limited", FailureKind.RATE_LIMIT, "an unusable reply: 'error code: 1015"),
        (b'{"error": {"message": "boom"}}', FailureKind.BAD_REPLY, "the server reported an error: boom"),
        (b'{"error": {"message": "boom"}}\n', FailureKind.BAD_REPLY, "the server reported an error: boom"),
        (b'{\n "error": {\n  "message": "boom"}}', FailureKind.BAD_REPLY, "the server reported an error: boom"),
        (
            b'[{"error": {"code": 429, "message": "slow"}}]',
            FailureKind.RATE_LIMIT,
            "the server reported an error: slow",
        ),
        (b'error: {"message": "boom"}\n\n', FailureKind.BAD_REPLY, "the server reported an error: boom"),
        (b"event: error\ndata: boom\n\n", FailureKind.BAD_REPLY, "the server reported an error: boom"),
        (b': x\n\n{"error": {\n"message": "boom"}}\n\n', FailureKind.BAD_REPLY, "the server reported an error: boom"),
        (b'{"detail": "Not here"}', FailureKind.BAD_REPLY, "the server reported an error: Not here"),
        (b'{"message": "no such thing", "code": 7}', FailureKind.BAD_REPLY, "the server reported an error: no such"),
        (b'{"id": "x"}', FailureKind.BAD_REPLY, "an unusable reply: it holds no choices"),
        (b'{"choices": [{"message": {"content": "Ha', FailureKind.BAD_REPLY, "an unusable reply: "),
    ],
)
def test_a_body_that_is_no_reply_says_what_it_is(body, kind, message):
    """In its own words, and with their kind; cut in two it is the same."""
    for cut in (0, len(body) // 2):
        failure = read_body(*([body[:cut], body[cut:]] if cut else [body]))
        assert failure.kind is kind, failure
        assert failure.message.startswith(message), failure.message


@pytest.mark.parametrize("piece", [b" " * 65536, b"{" + b" " * 65536, b"[" + b"1," * 32768, b"x" * 65536])
def test_a_body_without_end_is_refused_at_the_limit(piece):
    """White space, a document, an array, a line."""
    with pytest.raises(EventTooLarge, match=r"16777216 bytes|16 MiB"):
        deque(map(BodyDecoder().feed, [piece] * 300), maxlen=0)


def test_gzip_is_undone_where_no_header_names_it_and_left_where_there_is_none():
    """A header may be lost, or kept, by a gateway on the way."""
    import gzip

    raw = BODIES["events"].encode()
    assert b"".join(Decompressor("").feed(gzip.compress(raw))) == raw
    assert b"".join(Decompressor("gzip").feed(raw)) == raw
    assert b"".join(Decompressor("deflate").feed(BODIES["a document"].encode())) == BODIES["a document"].encode()
