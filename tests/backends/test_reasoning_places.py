"""Reasoning wherever a server puts it: a sign of life, kept apart; what reads the answer reads what follows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.text.blocks import code_blocks, read_json
from tests.backends.kit import delta, read, read_whole

PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "so it is"}]}]

PLACES = {
    "reasoning_content": {"reasoning_content": "so it is"},
    "reasoning": {"reasoning": "so it is"},
    "thinking": {"thinking": "so it is"},
    "an object": {"reasoning_content": {"text": "so it is"}},
    "a list": {"reasoning": ["so ", {"content": "it is"}]},
    "OpenRouter": {"reasoning_details": [{"type": "reasoning.text", "text": "so it is", "signature": "x"}]},
    "OpenRouter, summary": {"reasoning_details": [{"type": "reasoning.summary", "summary": "so it is"}]},
    "OpenRouter, twice": {
        "reasoning": "so it is",
        "reasoning_details": [{"type": "reasoning.text", "text": "so it is"}],
    },
    "reasoning_text": {"reasoning_text": "so it is"},
    "LiteLLM": {"thinking_blocks": [{"type": "thinking", "thinking": "so it is", "signature": "x"}]},
    "vLLM, twice": {"reasoning": "so it is", "reasoning_content": "so it is"},
    "OpenRouter, encrypted": {
        "reasoning_details": [
            {"type": "reasoning.encrypted", "data": "x"},
            {"type": "reasoning.text", "text": "so it is"},
        ]
    },
    "Mistral": {"content": PARTS},
    "a part of type reasoning": {"content": [{"type": "reasoning", "text": "so it is"}]},
    "tags": {"content": "<think>so it is</think>"},
}


@pytest.mark.parametrize("words", PLACES.values(), ids=PLACES)
def test_reasoning_is_reported_and_kept_once_wherever_it_stands(words):
    """As pieces of a stream, and in a whole message."""
    answer, pieces = read({"choices": [{"delta": words}]}, delta("Yes", "stop"))
    assert (answer.text, answer.reasoning) == ("Yes", "so it is")
    assert "".join(pieces.reasoning) == "so it is"
    if "content" not in words:
        whole = read_whole({"choices": [{"message": {"content": "Yes", **words}, "finish_reason": "stop"}]})
        assert (whole.text, whole.reasoning) == ("Yes", "so it is")


def test_reasoning_and_text_may_be_parts_of_one_content():
    """As Mistral sends the piece at which the one goes over into the other."""
    content = [*PARTS, {"type": "text", "text": "Yes"}]
    answer, _ = read(delta(content, "stop"))
    assert (answer.text, answer.reasoning) == ("Yes", "so it is")


# --- tags in the text -------------------------------------------------------------------------------------------------

TAGGED = {
    "<think>a < b</think>Yes": ("a < b", "Yes"),
    "\n\n<think>\na\n</think>\n\nYes": ("a\n", "Yes"),
    "<thinking>a</thinking> Yes": ("a", "Yes"),
    "<THINK>a</Think>Yes": ("a", "Yes"),
    "[THINK]a[/THINK]Yes": ("a", "Yes"),
    "<thought>a</thought>Yes": ("a", "Yes"),
    "<think>a</thinking></think>Yes": ("a</thinking>", "Yes"),
    "<think></think>Yes": ("", "Yes"),
    "<think>\n\n</think>\n\nYes": ("", "Yes"),
    "<think>a</think>Yes <think>b</think>": ("a", "Yes <think>b</think>"),
    "Yes <think>b</think>": ("", "Yes <think>b</think>"),
    "`<think>` opens it": ("", "`<think>` opens it"),
    "<thin": ("", "<thin"),
    "<thinker>Yes": ("", "<thinker>Yes"),
    "  Yes": ("", "  Yes"),
    "<think>a</think>Yes</think>No": ("a", "Yes</think>No"),
    "<think>a\u0130</think>Yes": ("a\u0130", "Yes"),
}


@pytest.mark.parametrize(("text", "parted"), TAGGED.items())
def test_reasoning_between_tags_at_the_head_of_the_text_is_told_apart(text, parted):
    """A tag anywhere else is text."""
    answer, pieces = read(delta(text, "stop"))
    assert (answer.reasoning, answer.text) == parted
    assert ("".join(pieces.reasoning), "".join(pieces.text)) == parted


@given(st.sampled_from(sorted(TAGGED)), st.lists(st.integers(0, 60), max_size=5))
def test_where_the_tags_are_cut_makes_no_difference(text, cuts):
    """A tag is a few tokens, and each comes by itself."""
    bounds = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    answer, pieces = read(*(delta(text[a:b]) for a, b in itertools.pairwise(bounds)), "[DONE]")
    assert (answer.reasoning, answer.text) == TAGGED[text]
    assert "".join(pieces.text) == answer.text


def test_reasoning_between_tags_is_given_out_as_it_comes():
    """So that it counts for the limit on the first token; only what may be the closing tag is held back."""
    _, pieces = read(delta("<think>a"), delta("b </thi"), delta("s c"), delta("</think>Yes", "stop"))
    assert pieces.reasoning == ["a", "b ", "</this c"]


def test_json_and_code_are_read_from_what_follows():
    """Whatever braces and fences the reasoning holds."""
    answer, _ = read(delta('<think>{"b": 2} ```py\nx```</think>{"a":1}', "stop"))
    assert read_json(answer.text) == {"a": 1}
    answer, _ = read(delta("<think>```py\nx\n```</think>\n```py\ny\n```", "stop"))
    assert [block.text for block in code_blocks(answer.text)] == ["y\n"]


@pytest.mark.parametrize("end", [delta(None, "stop"), "[DONE]"])
def test_reasoning_that_no_tag_ends_is_the_answer_where_nothing_follows(end):
    """A reply is not lost for a tag."""
    answer, pieces = read(delta("<think>Yes, it is."), end)
    assert (answer.text, answer.reasoning) == ("Yes, it is.", "")
    assert "".join(pieces.text) == "Yes, it is."


def test_reasoning_that_no_tag_ends_stays_reasoning_where_the_tokens_ran_out():
    """The reply is empty, cut, and says so."""
    answer, _ = read(delta("<think>Yes, it"), delta(None, "length"))
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("", "Yes, it", "length")


@pytest.mark.parametrize("last", [delta(None, "abort"), delta(None, "content_filter")])
def test_reasoning_that_was_broken_off_is_no_answer(last):
    """Nor is it where the stream was cut."""
    assert not hasattr(read(delta("<think>Yes, it"), last)[0], "text")
    assert not hasattr(read(delta("<think>Yes, it"))[0], "text")


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("I add.\n</think>\n\nFour.", "I add.", "Four."),
        ('I add.</think>{"a":1}', "I add.", '{"a":1}'),
        ("The tag `</think>` closes it.", "", "The tag `</think>` closes it."),
        ("```html\n</think>\n```\nDone.", "", "```html\n</think>\n```\nDone."),
        ("I add.\n</think>\n", "", "I add.\n</think>\n"),
        ("a</think>b</think>c", "", "a</think>b</think>c"),
        ("Four. <think>a</think> b", "", "Four. <think>a</think> b"),
    ],
)
def test_reasoning_that_the_prompt_opened_is_told_apart_at_the_end(text, reasoning, answer):
    """Some templates put the opening tag into the prompt; nothing tells before the closing one, and a note says so."""
    found, pieces = read(delta(text, "stop"))
    assert (found.reasoning, found.text) == (reasoning, answer)
    assert found.notes == (("what came before </think> was taken for reasoning",) if reasoning else ())
    assert "".join(pieces.text) == text


@given(st.text(st.sampled_from("<thinkg/> \n[]TH"), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_no_text_is_lost_or_doubled_by_looking_for_tags(text, cuts):
    """Whatever stands there, the parts are the text without at most one pair of tags and the blanks around it."""
    bounds = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    outcome, _ = read(*(delta(text[a:b]) for a, b in itertools.pairwise(bounds)), delta("end", "stop"))
    squeezed = "".join((outcome.reasoning + outcome.text).split())
    assert len("".join((text + "end").split())) - len(squeezed) in (0, 7, 8, 10, 15, 21)
