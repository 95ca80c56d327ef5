"""What is one prompt and what is another."""

from __future__ import annotations

import pytest

from llx_magic.core.message import File, Image, Message
from llx_magic.replies.key import Keys, asked_of

PICTURE = Image(media_type="image/png", data=b"\x89PNG 1", name="plot.png")
REPORT = File(media_type="application/pdf", data=b"%PDF", name="report.pdf")


def key(*pieces, role="user", schema=None, effort=None, as_json=False) -> bytes:
    content = pieces[0] if len(pieces) == 1 and isinstance(pieces[0], str) else pieces
    return Keys(schema=schema, effort=effort, as_json=as_json).of((Message(role, content),))


def plain(*messages) -> bytes:
    return Keys(schema=None, effort=None, as_json=False).of(messages)


def test_a_key_has_16_bytes_and_is_the_same_in_every_process():
    assert key("Is this a bug?").hex() == "b0e80e1d52b881e7527bd93ea4697ab8"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key("a"), key("b")),
        (key("a"), key("a", role="system")),
        (key("ab", "c"), key("a", "bc")),
        (key("a"), key("a", schema={"type": "object"})),
        (key("a"), key("a", as_json=True)),
        (key("a"), key("a", effort="low")),
        (key("a", PICTURE), key("a")),
        (key("a", PICTURE), key(PICTURE, "a")),
        (key("a", PICTURE), key("a", Image(media_type="image/png", data=b"\x89PNG 2", name="plot.png"))),
        (key("a", REPORT), key("a", File(media_type="application/pdf", data=b"%PDF", name="other.pdf"))),
        (key("a", Image(url="https://e.org/1.png")), key("a", Image(url="https://e.org/2.png"))),
        (
            key("a", schema={"properties": {"why": {}, "label": {}}}),
            key("a", schema={"properties": {"label": {}, "why": {}}}),
        ),
    ],
)
def test_what_changes_the_answer_changes_the_key(one, other):
    assert one != other


def test_a_turn_that_is_divided_is_another_conversation():
    assert plain(Message("user", "a"), Message("user", "b")) != plain(Message("user", ("a", "b")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key("a", PICTURE), key("a", Image(media_type="image/png", data=b"\x89PNG 1", name="renamed.png"))),
        (
            plain(Message("user", "a")),
            plain(Message("user", ("a",))),
        ),
    ],
)
def test_what_changes_no_answer_changes_no_key(one, other):
    assert one == other


@pytest.mark.parametrize("prompt", ["", "\ud800", "\x00", "ä" * 100_000])
def test_every_text_has_a_key(prompt):
    assert len(key(prompt)) == 16


def test_whom_was_asked_is_the_model_and_its_parameters():
    told = [asked_of("m", {}), asked_of("n", {}), asked_of("m", {"temperature": 1}), asked_of("m", {"seed": 1})]
    assert {len(each) for each in told} == {8}
    assert len(set(told)) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"user": "u-1", "stream": True, "service_tier": "flex"}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"top_p": 1, "seed": 3}, {"seed": 3, "top_p": 1}),
    ],
)
def test_parameters_that_change_no_answer_ask_the_same(one, other):
    assert asked_of("m", one) == asked_of("m", other)
