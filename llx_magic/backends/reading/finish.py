"""Why a model stopped: the words of all servers, and the few that they mean."""

from __future__ import annotations

import enum
import re


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
        max_predicted_tokens_reached output_limit truncated truncation context context_length context_length_exceeded
        context_length_reached context_window context_window_exceeded context_limit context_overflow
        max_context_length model_context_window_exceeded reason_max_len reason_max_context error_limit
    """,
    Finish.TOOL: """
        tool_calls tool_call tool_use tool tools function_call function_calls function reason_tool_calls
    """,
    Finish.FILTER: """
        content_filter content_filtered content_filtering content_filter_error content_policy content_policy_violation
        content_moderation filter filtered safety safety_filter safety_block unsafe recitation blocklist
        prohibited_content prohibited spii language image_safety image_prohibited_content image_recitation model_armor
        jailbreak sensitive sensitive_content guardrail guardrails guardrail_intervened error_toxic toxic toxicity
        moderation moderated flagged blocked blocked_content policy_violation risk_control risk censored
        data_inspection_failed
    """,
    Finish.REFUSED: "refusal refused",
    Finish.BROKEN: """
        error errored failed failure fail internal_error server_error internal_server_error abort aborted cancel
        canceled cancelled user_cancel user_canceled user_cancelled user_stopped interrupt interrupted incomplete
        insufficient_system_resource insufficient_system_resources insufficient_resource insufficient_resources
        network_error connection_error disconnect disconnected timeout time_out timed_out time_limit deadline
        deadline_exceeded reason_time_limit overload overloaded rate_limit rate_limited unavailable load unload
        model_unloaded evicted preempt preempted shutdown oom out_of_memory exception crash crashed terminated killed
        malformed_function_call malformed_response malformed_model_output malformed_tool_use unexpected_tool_call
        too_many_tool_calls missing_thought_signature no_image image_other other continuation pause_turn
        upstream_error provider_error bad_gateway service_unavailable
    """,
}
"""Words of OpenAI and of servers that speak its form, some of them under the words of another: vLLM, SGLang, llama.cpp,
TGI, TensorRT-LLM, LM Studio, Ollama, Azure, Mistral, DeepSeek, Moonshot, Zhipu, Qwen, xAI, Groq, Gemini, Anthropic,
Bedrock, Cohere, watsonx. Of OTHER and MALFORMED_FUNCTION_CALL Gemini says nothing but that no usable reply came."""

_UNDECIDED = "null none nil undefined unspecified notfinished inprogress unfinished running continue"
"""What says, as a word, that the reply has not ended: the text "null" is Qwen's."""


def _folded(word: str) -> str:
    """Return the word without its case, what joins its parts, and the name of the enumeration it is a member of."""
    word = word.casefold().rpartition(".")[2]
    return re.sub(r"[^a-z0-9]", "", word).removeprefix("finishreason")


_MEANINGS = {_folded(word): meaning for meaning, words in _WORDS.items() for word in words.split()}
_NO_END = frozenset(("", *_UNDECIDED.split()))
_LONGEST_WORD = 60


def meaning_of(word: str) -> Finish | None:
    """Return what a server's word means, whatever its case (``MAX_TOKENS``, ``maxTokens``); None where unknown."""
    return _MEANINGS.get(_folded(word)) if len(word) <= _LONGEST_WORD else None


def says_nothing(word: str) -> bool:
    """Return whether the word says that the reply goes on."""
    return len(word) <= _LONGEST_WORD and _folded(word) in _NO_END
