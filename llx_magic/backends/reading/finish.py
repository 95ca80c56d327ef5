"""Why a model stopped: the words of all servers, and the few that they mean."""

from __future__ import annotations

import enum
import functools

from llx_magic.backends.reading.families import CAPACITY, CONTEXT, FILTER, RATE, SERVER
from llx_magic.backends.reading.lenient import folded


class Finish(enum.StrEnum):
    """What a server's word for the end of a reply means."""

    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool_calls"
    FILTER = "content_filter"
    REFUSED = "refusal"
    BROKEN = "error"


_WORDS: dict[Finish, str] = {
    Finish.STOP: """
        stop stopped stop_sequence stop_word stop_words stop_string stop_string_found stop_criteria end_turn end_id
        end_of_sequence end_of_text end_of_turn eos eos_token eos_found eot complete completed completion finish
        finished done success succeeded normal natural reason_stop
    """,
    Finish.LENGTH: """
        length length_limit length_capped limit max_tokens max_token max_length max_len model_length token_limit
        tokens_limit max_tokens_reached max_output_tokens max_completion_tokens max_new_tokens max_generated_tokens
        max_predicted_tokens_reached output_limit truncated truncation context context_length context_length_reached
        context_window context_limit context_overflow max_context_length reason_max_len reason_max_context error_limit
    """,
    Finish.TOOL: """
        tool_calls tool_call tool_use tool tools function_call function_calls function reason_tool_calls
    """,
    Finish.FILTER: """
        content_filtering content_filter_error filter filtered safety_filter safety_block unsafe recitation prohibited
        spii language image_safety image_prohibited_content image_recitation model_armor jailbreak sensitive guardrail
        guardrails error_toxic toxic toxicity moderated flagged blocked blocked_content policy_violation risk_control
        risk censored image_other
    """,
    Finish.REFUSED: "refusal refused",
    Finish.BROKEN: """
        error errored failed failure fail abort aborted cancel canceled cancelled user_cancel user_canceled
        user_cancelled user_stopped interrupt interrupted incomplete insufficient_system_resources
        insufficient_resource insufficient_resources connection_error disconnect disconnected timed_out time_limit
        deadline reason_time_limit overload load unload model_unloaded evicted preempt preempted shutdown oom
        out_of_memory exception crash crashed terminated killed malformed_function_call malformed_response
        malformed_model_output malformed_tool_use unexpected_tool_call too_many_tool_calls missing_thought_signature
        no_image other continuation pause_turn
    """,
}
"""Words of OpenAI and of servers that speak its form, some of them under the words of another: vLLM, SGLang, llama.cpp,
TGI, TensorRT-LLM, LM Studio, Ollama, Azure, Mistral, DeepSeek, Moonshot, Zhipu, Qwen, xAI, Groq, Gemini, Anthropic,
Bedrock, Cohere, watsonx. Of OTHER and MALFORMED_FUNCTION_CALL Gemini says nothing but that no usable reply came."""

_UNDECIDED = "null none nil undefined unspecified notfinished inprogress unfinished running continue"
"""What says, as a word, that the reply has not ended: the text "null" is Qwen's."""


@functools.lru_cache(maxsize=256)
def _bare(word: str) -> str:
    """Return the word without its case, what joins its parts, and the name of the enumeration it is a member of."""
    return folded(word.rpartition(".")[2]).removeprefix("finishreason")


_MEANINGS = {
    **dict.fromkeys(FILTER.codes, Finish.FILTER),
    **dict.fromkeys(CONTEXT.codes, Finish.LENGTH),
    **dict.fromkeys(SERVER.codes | CAPACITY.codes | RATE.codes, Finish.BROKEN),
    **{_bare(word): meaning for meaning, words in _WORDS.items() for word in words.split()},
}
"""What a code of an error means stands in its family, and means the same as a word for the end."""

_NO_END = frozenset(("", *_UNDECIDED.split()))
_LONGEST_WORD = 60


def meaning_of(word: str) -> Finish | None:
    """Return what a server's word means, whatever its case (``MAX_TOKENS``, ``maxTokens``); None where unknown."""
    return _MEANINGS.get(_bare(word)) if len(word) <= _LONGEST_WORD else None


def says_nothing(word: str) -> bool:
    """Return whether the word says that the reply goes on."""
    return len(word) <= _LONGEST_WORD and _bare(word) in _NO_END
