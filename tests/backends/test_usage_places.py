"""Token counts under every name and in every place where servers report them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.reading.usage import counts_of, usage_of
from llx_magic.core.reply import Usage
from tests.backends.kit import delta, read, read_whole

PLAIN = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}

REPORTS = {
    "OpenAI": (
        {**PLAIN, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
         "completion_tokens_details": {"reasoning_tokens": 3, "accepted_prediction_tokens": 0}},
        Usage(10, 5, cached=4, reasoning=3),
    ),
    "Responses": (
        {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
         "output_tokens_details": {"reasoning_tokens": 3}},
        Usage(10, 5, cached=4, reasoning=3),
    ),
    "Anthropic": (
        {"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 1, "output_tokens": 5},
        Usage(10, 5, cached=4, cache_written=1),
    ),
    "LiteLLM for Anthropic": (
        {**PLAIN, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 1},
        Usage(10, 5, cached=4, cache_written=1),
    ),
    "Gemini": (
        {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "cachedContentTokenCount": 4,
         "totalTokenCount": 15},
        Usage(10, 5, cached=4, reasoning=3),
    ),
    "Gemini with tools": (
        {"promptTokenCount": 7, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 15},
        Usage(10, 5),
    ),
    "Gemini's compatible form": (
        {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 15},
        Usage(10, 5, reasoning=3),
    ),
    "xAI": (
        {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 15,
         "completion_tokens_details": {"reasoning_tokens": 3}},
        Usage(10, 5, reasoning=3),
    ),
    "Bedrock": (
        {"inputTokens": 5, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 1},
        Usage(10, 5, cached=4, cache_written=1),
    ),
    "DeepSeek": ({**PLAIN, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, Usage(10, 5, cached=4)),
    "Moonshot": ({**PLAIN, "cached_tokens": 4}, Usage(10, 5, cached=4)),
    "Ollama": ({"prompt_eval_count": 10, "eval_count": 5}, Usage(10, 5)),
    "Cohere": (
        {"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 10.0, "output_tokens": 5.0}},
        Usage(10, 5),
    ),
    "texts": ({"prompt_tokens": "10", "completion_tokens": "5.0"}, Usage(10, 5)),
    "a total alone": ({"total_tokens": 15}, Usage(0, 15)),
    "a prompt alone": ({"prompt_tokens": 10}, Usage(10, 0)),
    "a total that is too small": ({**PLAIN, "total_tokens": 1}, Usage(10, 5)),
    "a list": ([PLAIN], Usage(10, 5)),
}  # fmt: skip


@pytest.mark.parametrize(("reported", "usage"), REPORTS.values(), ids=REPORTS)
def test_each_servers_counts_are_read(reported, usage):
    """What only the total knows is the completion's: it was paid."""
    assert usage_of(counts_of(reported)) == usage
    assert read({**delta("Yes", "stop"), "usage": reported})[0].usage == usage


@pytest.mark.parametrize(
    "reported",
    [
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": -1}, {"prompt_tokens": True}, {"prompt_tokens": 2**60}, {"prompt_tokens": "many"},
        {"prompt_tokens": float("nan")}, {"prompt_tokens": {"x": 1}}, [], {}, None, 7, "15",
    ],
)  # fmt: skip
def test_what_is_no_count_is_no_usage(reported):
    """Counts of nothing too: they would make a rate of 0 tokens per minute."""
    assert usage_of(counts_of(reported)) is None
    assert read({**delta("Yes", "stop"), "usage": reported})[0].usage is None


CHOICE = {"index": 0, "delta": {}, "finish_reason": "stop"}
PLACES = {
    "Moonshot": {"choices": [{**CHOICE, "usage": PLAIN}]},
    "Groq": {"choices": [CHOICE], "x_groq": {"id": "r", "usage": PLAIN}},
    "Groq, beside null": {"choices": [CHOICE], "x_groq": {"usage": PLAIN}, "usage": None},
    "Gemini": {"choices": [CHOICE], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}},
    "a piece without choices": {"choices": [], "usage": PLAIN},
    "a piece without choices, at the top": {"prompt_eval_count": 10, "eval_count": 5, "done": True},
    "Groq without choices": {"choices": [], "x_groq": {"usage": PLAIN}},
}


@pytest.mark.parametrize("piece", PLACES.values(), ids=PLACES)
def test_counts_are_found_in_every_place(piece):
    """In a stream, before or after the finish reason."""
    assert read(delta("Yes"), piece, "[DONE]")[0].usage == Usage(10, 5)
    assert read(delta("Yes", "stop"), piece, "[DONE]")[0].usage == Usage(10, 5)


def test_counts_of_a_whole_reply_are_found_in_its_choice_too():
    """As Moonshot has them."""
    choice = {"message": {"content": "Yes"}, "finish_reason": "stop", "usage": PLAIN}
    assert read_whole({"choices": [choice]}).usage == Usage(10, 5)


def test_of_counts_that_grow_with_each_piece_the_last_are_taken():
    """One by one, since a later piece may leave some out, or count nothing."""
    pieces = [
        {**delta("a"), "usage": {"prompt_tokens": 10, "completion_tokens": n, "total_tokens": 10 + n}} for n in (1, 5)
    ]
    rest = {**delta(None, "stop"), "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    assert read(*pieces, rest)[0].usage == Usage(10, 5)
    assert read(*pieces, {**delta("", "stop"), "usage": {"completion_tokens": 7, "total_tokens": 17}})[
        0
    ].usage == Usage(10, 7)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
NAMES = st.sampled_from(
    ["prompt_tokens", "input_tokens", "total_tokens", "cached_tokens", "completion_tokens", "x_details"]
)


@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES)))
def test_no_report_whatsoever_gives_anything_but_counts(reported):
    """Whole, not negative, and not beyond what a number in JSON can hold."""
    usage = usage_of(counts_of(reported))
    assert usage is None or all(
        0 <= each <= 2**55 for each in (usage.prompt_tokens, usage.completion_tokens, usage.cached)
    )
