"""Pieces that add text and nothing else are read quickly; whatever comes, the reply is the same as read patiently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.backends.wires.openai_chunk import read_plain_text
from tests.backends.kit import delta, read

WORDS = st.sampled_from(["", " two", "{", "é", "\ud83d", "\ude00", "<think>", None, 7, ["x"], {"text": "y"}])
OTHERS = st.sampled_from(["", "because", None, [], [{"type": "text", "text": "z"}], 0, False])
MORE = ("refusal", "reasoning_content", "reasoning", "reasoning_details", "thinking", "tool_calls", "function_call")


@st.composite
def _chunk(draw: st.DrawFn) -> dict[str, Any]:
    words: dict[str, Any] = {"content": draw(WORDS)}
    if draw(st.booleans()):
        words[draw(st.sampled_from(MORE))] = draw(OTHERS)
    choice: dict[str, Any] = {"delta": words}
    choice |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "index": st.sampled_from([0, 1, None, "0", "1", False]),
                "finish_reason": st.sampled_from([None, "", "stop", "length"]),
                "logprobs": st.sampled_from([None, {"content": []}]),
                "error": st.sampled_from([None, "", {"message": "broken"}]),
            },
        )
    )
    chunk: dict[str, Any] = {"choices": [choice] * draw(st.sampled_from([1, 1, 1, 2, 0]))}
    return chunk | draw(st.fixed_dictionaries({}, optional={
        "id": st.sampled_from(["a", "b", "", None, 7]),
        "model": st.sampled_from(["m", "n", "", None, 7]),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 1, "completion_tokens": 2}]),
        "error": st.sampled_from([None, "", {"message": "broken", "code": 500}]),
    }))  # fmt: skip


def _patiently(chunks: list[dict[str, Any]]) -> list[object]:
    """Return the events under a name, which are not looked at for plain text."""
    return [ServerEvent("chunk", json.dumps(each)) for each in chunks]


@given(st.lists(_chunk(), max_size=6))
@example([{**delta("two"), "id": "a"}, {**delta(" is"), "id": "b"}, {**delta("", "stop"), "id": "b"}])
@example([delta("one", "stop"), delta(" more"), {"choices": [{"index": 1, "delta": {"content": "other"}}]}])
def test_what_comes_is_the_same_reply_read_quickly_and_patiently(chunks):
    chunks = [{**delta("One"), "id": "a", "model": "m"}, *chunks]
    quick, its_pieces = read(*chunks, "[DONE]")
    patient, theirs = read(*_patiently(chunks), "[DONE]")
    assert quick == patient
    assert (its_pieces.text, its_pieces.reasoning) == (theirs.text, theirs.reasoning)


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        pytest.param(delta(" two"), " two", id="text alone"),
        pytest.param(delta(" two", tool_calls=None, role="assistant"), " two", id="nulls and a role"),
        pytest.param(delta(" two", "stop"), "", id="the end"),
        pytest.param(delta(" two", reasoning="so"), "", id="reasoning"),
        pytest.param({**delta(" two"), "usage": {"prompt_tokens": 1}}, "", id="usage"),
        pytest.param({**delta(" two"), "id": "another"}, "", id="another reply"),
        pytest.param({"choices": []}, "", id="no choice"),
    ],
)
def test_a_piece_is_plain_where_it_adds_text_and_nothing_else(chunk, text):
    assert read_plain_text(json.dumps(chunk), None, None) == text
