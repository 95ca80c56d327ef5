"""The decoder of server-sent events needs no HTTP: bytes in, events out."""

from __future__ import annotations

import itertools
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.reading.sse import EventDecoder, EventTooLarge, ServerEvent
from tests.growing import growth


def decode(*pieces: bytes, limit: int = 2**20) -> list[ServerEvent]:
    """Feed the pieces and return all events, without flushing."""
    decoder = EventDecoder(limit)
    return [event for piece in pieces for event in decoder.feed(piece)]


def data_of(*pieces: bytes) -> list[str]:
    return [event.data for event in decode(*pieces)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_of_the_standard_ends_a_line(end):
    """CR, LF and CRLF each end a line; a doubled one ends an event."""
    assert data_of(b"data: one" + end + end + b"data: two" + end + end) == ["one", "two"]


def test_mixed_line_ends_are_understood():
    """One stream may use all three."""
    assert data_of(b"data: a\r\n\ndata: b\r\rdata: c\n\r\n") == ["a", "b", "c"]


def test_a_crlf_cut_between_two_feeds_is_one_line_end():
    """The LF that follows a CR in the next feed adds no blank line."""
    assert data_of(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_an_event_that_ends_in_cr_is_dispatched_at_once():
    """The decoder does not wait to see whether an LF follows."""
    assert data_of(b"data: a\r\r") == ["a"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_other_separators_stay_inside_the_data(separator):
    """What Python's ``str.splitlines`` would split at is data here."""
    assert data_of(f"data: a{separator}b\n\n".encode()) == [f"a{separator}b"]


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b" ", b"    ", b"\t", b"\0\0"])
def test_data_behind_what_says_nothing_is_not_lost(before):
    """The standard takes the line for an unknown field; a proxy that joins streams would so take text from a reply."""
    assert data_of(b"data: a\n\n" + before + b"data: b\n\ndata: c\n\n") == ["a", "b", "c"]


def test_data_lines_of_one_event_are_joined_by_line_feeds():
    """Each line counts, an empty one too; one space after the colon is dropped, no more."""
    assert data_of(b"data: a\ndata:  b\ndata:\ndata\ndata:c\n\n") == ["a\n b\n\n\nc"]


def test_comments_and_unknown_fields_are_dropped():
    """Keep-alive comments, ids, retries and strangers give no event."""
    assert data_of(b": ping\n\nid: 1\nretry: 5\nstranger: x\ndatabase: y\n:\ndata: a\n: in between\n\n") == ["a"]


def test_the_event_type_holds_for_one_event():
    """A named event is followed by one of the default type; a name without data names nothing."""
    events = decode(b"event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\nevent\ndata: d\n\n")
    expected = [("error", "a"), ("message", "b"), ("message", "c"), ("message", "d")]
    assert events == [ServerEvent(*each) for each in expected]


def test_empty_data_is_an_event():
    """``data:`` alone dispatches the empty string, as the standard says."""
    assert data_of(b"data:\n\n") == [""]


def test_utf8_cut_between_feeds_is_put_together():
    """No character is lost where a read ends inside one."""
    raw = "data: Grün ☂ 😀\n\n".encode()
    assert data_of(*(raw[i : i + 1] for i in range(len(raw)))) == ["Grün ☂ 😀"]


def test_bytes_that_are_no_utf8_become_replacement_characters():
    """A bad byte spoils one character, not the stream."""
    assert data_of(b"data: a\xffb\n\n") == ["a\ufffdb"]


@pytest.mark.parametrize(
    "between", [b"a\xe2\x98", b"\xff", b"", b" a", b"data: a", b"a\ndata: b", b"a\n: c", b"a\n\n", b"a\n", b"a\r"]
)
def test_events_that_come_at_once_are_those_that_come_one_by_one(between):
    """Several in one read are told apart in one go where all are plain: one that is not changes none of the others."""
    stream = b"data: x\n\ndata: " + between + b"\n\ndata: y\n\n"
    assert data_of(stream) == data_of(*(bytes([each]) for each in stream))


def test_an_event_without_its_blank_line_is_dispatched_only_by_flush():
    """Feeding alone follows the standard; the end of the stream stands for the blank line."""
    for tail in (b"data: b", b"data: b\n", b"data: b\r", b"data: b\r\n"):
        decoder = EventDecoder()
        assert decoder.feed(b"data: a\n\n" + tail) == [ServerEvent("message", "a")]
        assert decoder.flush() == [ServerEvent("message", "b")]
        assert decoder.flush() == []


def test_flush_of_a_finished_stream_gives_nothing():
    """Nothing is dispatched twice, and a comment is no event."""
    for stream in (b"", b"data: a\n\n", b": bye", b"event: x\n"):
        decoder = EventDecoder()
        decoder.feed(stream)
        assert decoder.flush() == []


@pytest.mark.parametrize(
    "piece", [b"a" * 1000, b": comment\n" * 100, b"data: a\n" * 100, b"data\n" * 200, b"id: 1\n\n" * 99]
)
def test_what_never_completes_an_event_is_refused_at_the_limit(piece):
    """An endless line, comments or data lines without end: all stop at the cap."""
    decoder = EventDecoder(limit=20_000)
    decoder.feed(b"data: ")
    with pytest.raises(EventTooLarge):
        deque(map(decoder.feed, [piece] * 100), maxlen=0)


def test_many_complete_events_never_meet_the_limit():
    """The cap is on what is held, not on the stream, in many feeds or in one."""
    event = b"data: " + b"a" * 900 + b"\n\n"
    assert len(decode(*[event] * 100, limit=1000)) == 100
    assert len(decode(event * 100, limit=1000)) == 100
    assert len(decode(*[event[:450], event[450:]] * 100, limit=1000)) == 100


def test_one_event_beyond_the_limit_is_refused_in_a_single_feed():
    """It does not matter that it is complete."""
    with pytest.raises(EventTooLarge):
        decode(b"data: " + b"a" * 2000 + b"\n\n", limit=1000)


FIELDS = st.sampled_from(
    ["data: x", 'data:{"a": 1}', "data", "data:", "event: e", ": c", "id: 1", "odd", "data: é☂😀\u2028"]
)
STREAMS = st.lists(st.tuples(FIELDS, st.sampled_from(["\n", "\r", "\r\n", "\n\n", "\r\n\r\n"])), max_size=12)


@given(STREAMS, st.lists(st.integers(0, 200), max_size=6))
def test_where_the_stream_is_cut_makes_no_difference(lines, cuts):
    """Any way of cutting a stream into feeds gives the events of the whole."""
    raw = "".join(field + end for field, end in lines).encode()
    bounds = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    pieces = [raw[a:b] for a, b in itertools.pairwise(bounds)]
    cut_up, whole = EventDecoder(), EventDecoder()
    events = [event for piece in pieces for event in cut_up.feed(piece)]
    assert events + cut_up.flush() == whole.feed(raw) + whole.flush()


def _read_endless_line(pieces: int) -> None:
    decoder = EventDecoder()
    for _ in range(pieces):
        decoder.feed(b"abcdefgh")
    decoder.feed(b"\n\n")


def test_an_endless_line_in_little_pieces_costs_in_proportion():
    """Eight times the pieces take far less than sixty-four times the time."""
    assert growth(lambda: _read_endless_line(10_000), lambda: _read_endless_line(80_000), most=30, least=1e-4) < 30
