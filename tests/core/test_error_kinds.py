"""What kind of failure each server's error is, with a status and inside a success: one judgement, one table."""

from __future__ import annotations

import json

import pytest

from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.core.admission import outcome_of
from llx_magic.core.breaker import Outcome
from llx_magic.core.cooldown import cool_down_seconds
from llx_magic.core.failure import FailureKind, retry_delay
from llx_magic.settings.layers import settings_of
from tests.backends.kit import KEY, delta, read, read_body, read_whole, refusal

CONTEXT, FILTER, ACCESS = FailureKind.CONTEXT_LENGTH, FailureKind.CONTENT_FILTER, FailureKind.ACCESS
RATE, SERVER, REQUEST = FailureKind.RATE_LIMIT, FailureKind.SERVER, FailureKind.BAD_REQUEST
CONFLICT = FailureKind.CONFLICT
GOOGLE = "type.googleapis.com/google.rpc."


def said(message: object, **more: object) -> dict[str, object]:
    return {"error": {"message": message, **more}}


def google(code: int, status: str, message: str, *details: dict[str, object]) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


TOO_LONG = {
    "OpenAI's code": said("x", code="context_length_exceeded"),
    "OpenAI": said("This model's maximum context length is 8192 tokens. However, your messages have 9000 tokens."),
    "vLLM": said("The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    "vLLM, today": said("You passed 5000 input tokens and requested 16 output tokens. However, the model's context "
                        "length is only 4096 tokens.", type="BadRequestError", code=400),
    "SGLang": said("The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    "SGLang, requested": said("Requested token count exceeds the model's maximum context length of 4096 tokens."),
    "SGLang, input": said("Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens)."),
    "llama.cpp": said("the request exceeds the available context size", type="exceed_context_size_error", code=400),
    "LM Studio": {"error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is "
                           "loaded with context length of only 4096 tokens"},
    "LM Studio, keep": {"error": "The number of tokens to keep from the initial prompt is greater than the context"},
    "LM Studio, n_keep": {"error": "Cannot truncate prompt with n_keep (5000) >= n_ctx (4096)"},
    "Ollama": said("the input length exceeds the context length"),
    "Ollama, cloud": {"error": "prompt too long; exceeded max context length by 12 tokens"},
    "Anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
    "Anthropic, together": said("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
                                type="invalid_request_error"),
    "Gemini": google(400, "INVALID_ARGUMENT", "The input token count (40000) exceeds the maximum number of tokens "
                                              "allowed (32000)."),
    "Mistral": {"object": "error", "type": "invalid_request_error", "code": "3051",
                "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
                           "context length"},
    "TGI": {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000",
            "error_type": "validation"},
    "TGI, inputs": {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"},
    "Cohere": {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000."},
    "xAI": {"code": "invalid-argument", "error": "This model's maximum prompt length is 131072 but the request has 9"},
    "Moonshot": said("Invalid request: Your request exceeded model token limit: 8192", type="invalid_request_error"),
    "Fireworks": said("The prompt is too long: 5000, model maximum context length: 4095", object="error"),
    "Bedrock": {"message": "Input is too long for requested model.", "__type": "ValidationException"},
    "Qwen": said("Range of input length should be [1, 30720]", code="invalid_parameter_error"),
    "Cloudflare": {"errors": [{"message": "AiError: The estimated number of input and output tokens (9) exceeded "
                                          "this model context window limit (8)", "code": 5021}], "success": False},
    "GitHub": said("Request body too large for gpt-4o model. Max size: 8000 tokens.", code="tokens_limit_reached"),
    "GitHub, words alone": said("Request body too large for gpt-4o model. Max size: 8000 tokens."),
    "Copilot": said("prompt token count of 140000 exceeds the limit of 128000", code="x"),
    "TensorRT-LLM": {"object": "error", "type": "BadRequestError", "code": 400, "message":
                     "The sum of prompt length (5000.0), query length (0) should not exceed max_num_tokens (4096)"},
    "AI21": {"detail": "Context length exceeds limit of 256000"},
    "MiniMax": {"base_resp": {"status_code": 2013, "status_msg": "invalid params, context window exceeds limit"}},
    "Snowflake": {"message": "max tokens of 8192 exceeded", "error_code": "x"},
    "watsonx": {"errors": [{"code": "invalid_input_argument", "message": "Invalid input argument for Model 'x': the "
                            "number of input tokens 9000 cannot exceed the total tokens limit 8192"}]},
    "Baidu": {"error_code": 336007, "error_msg": "the max input characters is 11200"},
    "Zhipu": said("Prompt 超长", code="x"),
    "SiliconFlow": {"code": 20015, "message": "length of prompt_tokens (40000) must be less than max_seq_len (32768)."},
    "TabbyAPI": {"detail": "Prompt length 5000 is greater than max_seq_len 4096"},
    "KoboldCpp": {"detail": {"msg": "max_context_length exceeded", "type": "bad_input"}},
    "DeepSpeed": {"detail": "Request exceeds max sequence length 4096"},
    "llama.cpp, KV": said("Input prompt is too big compared to KV size. Please try increasing KV size."),
    "Perplexity": said('["The requested number of tokens 5000 exceeds the maximum 4096"]', type="bad_request"),
}  # fmt: skip


@pytest.mark.parametrize("document", TOO_LONG.values(), ids=TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422, 500, None])
def test_a_prompt_that_is_too_long_is_told_in_every_servers_words(document, status):
    """It is asked once and counts against nobody, with whatever status it comes."""
    failure = read(document)[0] if status is None else refusal(status, document)
    assert failure.kind is CONTEXT, failure
    assert not failure.counts
    assert delay_after(failure) is None


def test_llamacpp_says_too_long_by_a_500_and_in_the_middle_of_a_stream():
    """Its present words, under each of its codes."""
    error = said("Context size has been exceeded.", type="server_error", code=500)
    assert refusal(500, error).kind is CONTEXT
    assert read(delta("Half"), error)[0].kind is CONTEXT
    assert read(delta("Half"), ServerEvent("error", json.dumps(error["error"])))[0].kind is CONTEXT


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (413, "Request too large for model `x` in organization `o` on tokens per minute (TPM): Limit 60, Requested 80"),
        (429, "Request too large for x in organization o on tokens per min (TPM): Limit 300, Requested 400. The "),
        (None, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000."),
    ],
)  # fmt: skip
def test_a_request_beyond_a_whole_minutes_tokens_is_too_long_and_no_rate_limit(status, message):
    """No wait makes it fit."""
    error = said(message, type="tokens", code="rate_limit_exceeded")
    assert (read(error)[0] if status is None else refusal(status, error)).kind is CONTEXT


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (None, "Input tokens per minute: 50000 used, which exceeds the limit of 40000", RATE),
        (None, "The number of tokens per minute has exceeded your limit", RATE),
        (400, "Prompt tokens per minute for your organization exceeds the limit", REQUEST),
        (503, "等待时间超长", SERVER),
        (400, "参数 model 大小写敏感", REQUEST),
        (403, "账号违规已被封禁", ACCESS),
    ],
)
def test_words_of_a_prompt_too_long_or_of_a_filter_that_speak_of_something_else_are_neither(status, message, kind):
    """A limit per minute, a time that was too long, a name whose case matters, an account that was closed."""
    assert (read(said(message))[0] if status is None else refusal(status, said(message))).kind is kind


FILTERED = {
    "Azure": (400, said("The response was filtered", code="content_filter",
                        innererror={"code": "ResponsibleAIPolicyViolation"})),
    "Azure, words alone": (400, said("The response was filtered due to the prompt triggering Azure OpenAI's content "
                                     "management policy.")),
    "OpenAI": (400, said("Your request was rejected as a result of our safety system.", code=None)),
    "OpenAI, flagged": (400, said("Invalid prompt: it was flagged as potentially violating our usage policy.")),
    "OpenAI, code": (400, said("x", code="moderation_blocked")),
    "OpenRouter": (403, said("x requires moderation and your input was flagged for \"violence\"", code=403,
                             metadata={"reasons": ["violence"], "flagged_input": "…"})),
    "Anthropic": (400, said("Output blocked by content filtering policy", type="invalid_request_error")),
    "DeepSeek": (400, said("Content Exists Risk", type="invalid_request_error")),
    "Qwen": (400, said("Input data may contain inappropriate content.", code="data_inspection_failed")),
    "Zhipu": (400, {"error": {"code": "1301", "message": "…"}}),
    "Bedrock": (400, {"message": "The request was blocked by our content filtering policy"}),
    "Mistral": (422, {"object": "error", "message": "The content was flagged by moderation", "type": "x"}),
    "Doubao": (400, said("x", code="OutputTextSensitiveContentDetected")),
    "Doubao, words alone": (400, said("The request failed because the input text may contain sensitive information.")),
    "MiniMax": (400, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
    "Zhipu, words alone": (400, said("系统检测到输入或生成内容可能包含不安全或敏感内容", code="x")),
    "Vertex": (400, google(400, "INVALID_ARGUMENT", "The prompt could not be submitted. This prompt contains sensitive "
                                                    "words that violate Google's Responsible AI practices.")),
    "LiteLLM": (400, said({"error": "Violated guardrail policy", "guardrail": "presidio"}, code="400")),
    "Portkey": (446, said("The prompt was flagged by the guardrail")),
}  # fmt: skip


@pytest.mark.parametrize(("status", "document"), FILTERED.values(), ids=FILTERED)
@pytest.mark.parametrize("inside_a_success", [False, True])
def test_a_refusal_for_safety_is_told_by_its_code_or_by_its_words_alone(status, document, inside_a_success):
    """The message says by whom it was filtered."""
    failure = read(document)[0] if inside_a_success else refusal(status, document)
    assert failure.kind is FILTER, failure
    assert failure.message.startswith("filtered by alpha: ")
    assert not failure.counts


REFUSED_ACCESS = {
    "Gemini, key": google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                          {"@type": GOOGLE + "ErrorInfo", "reason": "API_KEY_INVALID"}),
    "Gemini, expired": google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
    "Gemini, country": google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    "OpenAI, country": said("Country, region, or territory not supported", code="unsupported_country_region_territory"),
    "OpenAI, model": said("The model `gpt-9` does not exist or you do not have access to it.", code="model_not_found"),
    "Mistral, model": {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
    "OpenRouter, model": said("acme/none is not a valid model ID", code=400),
    "Anthropic, key": {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
    "Bedrock, model": {"message": "The provided model identifier is invalid."},
    "Bedrock, throughput": {"message": "Invocation of model ID x with on-demand throughput isn\u2019t supported."},
    "xAI, key": {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xx***xx."},
    "Groq, model": said("The model `x` has been decommissioned and is no longer supported."),
    "LiteLLM, key": said("Authentication Error, Invalid proxy server token passed", type="auth_error", code="401"),
    "account": said("Your account is deactivated", code="account_deactivated"),
    "MiniMax, key": {"base_resp": {"status_code": 1004, "status_msg": "login fail: Please carry the API secret key"}},
    "Baidu, key": {"error_code": 110, "error_msg": "Access token invalid or no longer valid"},
}  # fmt: skip


@pytest.mark.parametrize("document", REFUSED_ACCESS.values(), ids=REFUSED_ACCESS)
@pytest.mark.parametrize("status", [400, None])
def test_a_key_a_model_or_a_country_that_is_refused_is_no_fault_of_the_prompt(document, status):
    """It counts, so that the member is not asked for ever, and a probe that meets it does not close the circuit."""
    failure = read(document)[0] if status is None else refusal(status, document)
    assert failure.kind is ACCESS, failure
    assert outcome_of(failure) is Outcome.COUNTED_FAILURE
    assert delay_after(failure) is None


SPENT = {
    "OpenAI": (429, said("You exceeded your current quota, please check your plan and billing details.",
                         code="insufficient_quota")),
    "Anthropic, credit": (400, said("Your credit balance is too low to access the Anthropic API.",
                                    type="invalid_request_error")),
    "Anthropic, limit": (400, said("You have reached your specified API usage limits. You will regain access on "
                                   "2026-12-01 at 00:00 UTC.", type="invalid_request_error")),
    "OpenRouter": (402, said("Insufficient credits. Add more using https://openrouter.ai/credits", code=402)),
    "OpenRouter, afford": (402, said("This request requires more credits, or fewer max_tokens. You asked for 4096, "
                                     "but can only afford 300.", code=402)),
    "DeepSeek": (402, said("Insufficient Balance", type="unknown_error", code="invalid_request_error")),
    "Moonshot": (429, said("Your account is not active", type="exceeded_current_quota_error")),
    "Zhipu": (429, {"error": {"code": "1113", "message": "…"}}),
    "Qwen": (400, said("Access denied, please make sure your account is in good standing.", code="Arrearage")),
    "new-api": (403, said("user quota is not enough", code="insufficient_user_quota")),
    "Gemini, per day": (429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.",
                                    {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
                                    {"@type": GOOGLE + "RetryInfo", "retryDelay": "38s"})),
    "Bedrock": (429, {"message": "Too many tokens per day, please wait before trying again.",
                      "__type": "ThrottlingException"}),
    "Cloudflare": (429, {"errors": [{"code": 3036, "message": "you have used up your daily free allocation"}]}),
    "Doubao": (403, said("your account has an overdue balance.", code="AccountOverdueError")),
    "Fireworks": (412, said("Account suspended due to exceeding monthly spending limit", code="x")),
    "Hugging Face": (402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
    "NVIDIA": (402, {"status": 402, "detail": "Account 'x': Cloud credits expired"}),
    "watsonx": (403, {"errors": [{"code": "token_quota_reached", "message": "You have reached it."}]}),
    "Novita": (400, {"code": 400, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}),
    "StepFun": (402, said("Your balance is insufficient, please recharge", type="x")),
    "one-api": (403, said("该令牌额度已用尽", type="new_api_error")),
    "Zhipu, words alone": (429, said("余额不足或无可用资源包,请充值。", code="x")),
    "Baidu": (429, {"error_code": 17, "error_msg": "Open api daily request limit reached"}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "document"), SPENT.values(), ids=SPENT)
@pytest.mark.parametrize("inside_a_success", [False, True])
def test_credit_that_is_spent_keeps_the_backend_out_for_long_whatever_the_status(status, document, inside_a_success):
    """An hour, without being counted as a failure of the backend."""
    failure = read(document)[0] if inside_a_success else refusal(status, document)
    assert (failure.kind, failure.quota_exhausted) == (RATE, True), failure
    assert not failure.counts
    assert cool_down_seconds(failure.retry_after, quota_exhausted=failure.quota_exhausted) == 3600.0


LIMITED = {
    "OpenAI": said("Rate limit reached for gpt-4o", type="requests", code="rate_limit_exceeded"),
    "a number": said("slow down", code=429),
    "a number as text": said("slow down", code="429"),
    "Anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
    "Gemini, per minute": google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan.",
                                 {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]},
                                 {"@type": GOOGLE + "RetryInfo", "retryDelay": "38s"}),
    "Mistral": {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"},
    "Bedrock": {"message": "Too many requests, please wait before trying again.", "__type": "ThrottlingException"},
    "Qwen": {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again later."},
    "Zhipu": {"error": {"code": "1302", "message": "…"}},
    "words alone": said("Too many requests"),
    "a string": {"error": "rate limit exceeded"},
    "OpenRouter": said("Provider returned error", code=429, metadata={"raw": "x is temporarily rate-limited upstream"}),
    "MiniMax": {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
    "Baidu": {"error_code": 18, "error_msg": "Open api qps request limit reached"},
}  # fmt: skip


@pytest.mark.parametrize("document", LIMITED.values(), ids=LIMITED)
def test_a_rate_limit_inside_a_success_is_one(document):
    """It cools the backend down and is no failure of it; before any text it is tried again as that status would be."""
    for failure in (read(document)[0], read(delta("Half"), document)[0], read_whole(document)):
        assert (failure.kind, failure.quota_exhausted, failure.status) == (RATE, False, None), failure
        assert not failure.counts
        assert failure.amounts_to == 429
    assert refusal(429, document).kind is RATE


BUSY = {
    "Anthropic": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "OpenAI": (500, said("The server had an error", type="server_error")),
    "Gemini": (503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")),
    "Gemini, internal": (500, google(500, "INTERNAL", "An internal error has occurred.")),
    "Mistral": (429, {"object": "error", "message": "Service tier capacity exceeded for this model.",
                      "type": "service_tier_capacity_exceeded", "code": "3505"}),
    "Moonshot": (429, said("The engine is currently overloaded", type="engine_overloaded_error")),
    "Groq": (498, said("Flex tier capacity exceeded", code="capacity_exceeded")),
    "OpenRouter": (502, said("Your chosen model is down", code=502)),
    "OpenRouter, timeout": (408, said("Your request timed out", code=408)),
    "llama.cpp": (503, said("Loading model", type="unavailable_error", code=503)),
    "Ollama": (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
    "Bedrock": (429, {"__type": "ModelNotReadyException", "message": "The model is not ready"}),
    "Hugging Face": (503, {"error": "Model x is currently loading", "estimated_time": 20.0}),
    "words alone": (503, said("upstream connect error or disconnect/reset before headers")),
}  # fmt: skip


@pytest.mark.parametrize(("status", "document"), BUSY.values(), ids=BUSY)
@pytest.mark.parametrize("inside_a_success", [False, True])
def test_a_server_that_is_full_or_broken_says_so_by_its_code(status, document, inside_a_success):
    """It counts, and is tried again as its status would be."""
    failure = read(document)[0] if inside_a_success else refusal(status, document)
    assert failure.kind is SERVER, failure
    assert failure.counts
    if inside_a_success:
        assert failure.amounts_to in (408, 429, 500, 502, 503, 529)
        assert delay_after(failure) is not None or failure.retry_after == 20.0


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (said("Unsupported value", code="unsupported_value", type="invalid_request_error"), REQUEST),
        (google(400, "INVALID_ARGUMENT", "Unknown name"), REQUEST),
        (said("image input is not supported", code=500), REQUEST),
        ({"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]}, REQUEST),
        (said("busy with another", code=409), CONFLICT),
        (said("boom"), FailureKind.BAD_REPLY),
        (said("boom", type="scripted_error"), FailureKind.BAD_REPLY),
        ({"error": True, "message": "boom"}, FailureKind.BAD_REPLY),
    ],
)
def test_only_what_names_nothing_known_is_an_unusable_reply(document, kind):
    """Everything else has the kind that its code or its words say."""
    assert read(document)[0].kind is kind


def test_an_error_in_a_choice_is_one():
    """OpenRouter puts its provider's there."""
    choice = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "slow down"}}
    for failure in (read(delta("Half"), {"choices": [choice]})[0], read_whole({"choices": [choice]})):
        assert (failure.kind, failure.message) == (RATE, "the server reported an error: slow down")


@pytest.mark.parametrize(("status", "kind"), [(500, RATE), (400, RATE), (502, RATE)])
def test_a_gateway_that_wraps_its_providers_429_in_a_status_of_its_own_still_limits_the_rate(status, kind):
    """The code inside says what happened."""
    assert refusal(status, said("slow down", code=429)).kind is kind


def test_a_named_error_type_in_bedrocks_header_counts_as_its_code():
    """Its body may be a sentence alone."""
    failure = refusal(400, {"message": "slow"}, x_amzn_errortype="ThrottlingException:http://x")
    assert failure.kind is RATE


@pytest.mark.parametrize(
    "document",
    [
        {"error": None}, {"error": ""}, {"error": {}}, {"error": []}, {"error": False}, {"error": 0},
        {"error": {"message": "", "code": None}}, {"base_resp": {"status_code": 0, "status_msg": "success"}},
    ],
)  # fmt: skip
def test_an_empty_error_is_none(document):
    """Gateways send the field with every piece."""
    assert read({**delta("Yes", "stop"), **document})[0].text == "Yes"


@pytest.mark.parametrize(
    "document", [{"errorCode": "0"}, {"error_code": 0, "error_msg": "Success"}, {"error_code": "0", "error_msg": "ok"}]
)
def test_a_piece_without_choices_that_says_all_is_well_is_no_error(document):
    """Gateways count the tokens in such a piece."""
    assert read(delta("Yes", "stop"), {**document, "usage": {"prompt_tokens": 3}})[0].text == "Yes"


# --- the words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        (said("Provider returned error", metadata={"raw": '{"error": {"message": "quota of the key"}}'}),
         "Provider returned error: quota of the key"),
        (said("Provider returned error", metadata={"raw": "the true reason", "provider_name": "Acme"}),
         "Provider returned error: the true reason"),
        ({"success": False, "errors": [{"code": 7, "message": "Could not route"}, {"code": 8, "message": "No route"}]},
         "Could not route; No route"),
        ({"detail": [{"loc": ["body", "messages", 0, "content"], "msg": "Field required"}]},
         "messages.0.content: Field required"),
        (said('{"error": {"message": "inner", "code": 7}}'), "inner"),
        (said("upstream said: {\"message\": \"inner\"}"), "upstream said: inner"),
        ({"type": "about:blank", "title": "Bad Input", "detail": "the key is odd", "status": 500},
         "Bad Input: the key is odd"),
        ({"title": "Only a title", "status": 500}, "Only a title"),
        (said("Unknown parameter.", param="top_k"), "Unknown parameter. (parameter top_k)"),
        ({"error": "invalid_grant", "error_description": "it expired"}, "invalid_grant"),
        ({"timestamp": 1, "status": 500, "error": "Internal Error", "message": "the true reason"}, "the true reason"),
        ({"error": {"error": {"error": "deep"}}}, "deep"),
        ({"message": "boom", "error": True}, "boom"),
        ({"fault": {"faultstring": "Rate limit quota violation", "detail": {"errorcode": "policies.ratelimit"}}},
         "Rate limit quota violation"),
        ({"strange": {"words": "nobody reads this"}}, ""),
        ("<?xml version='1.0'?><Error><Code>X</Code><Message>No &lt;such&gt; bucket</Message></Error>",
         "No <such> bucket"),
        ("<?xml version='1.0'?><Error/>", "an XML document"),
        ("<!-- x --><html><title lang='en'>\n Oops &amp; down\n</title></html>", "Oops & down"),
        ("data: {\"error\": {\"message\": \"framed\"}}\n\n", "framed"),
        ("event: error\ndata: {\"message\": \"framed\"}\n\n", "framed"),
        ("\ufeff{\"message\": \"marked\"}", "marked"),
        ({"base_resp": {"status_code": 1000, "status_msg": "unknown"}}, "unknown"),
    ],
)  # fmt: skip
def test_the_true_reason_is_shown_wherever_it_stands(document, shown):
    """Gateways wrap it, frameworks say where, standards name it otherwise."""
    message = refusal(501, document).message
    assert message == f"501 Not Implemented: {shown}" if shown else message == "501 Not Implemented"


def test_no_key_is_shown_from_any_of_these_places():
    """A gateway repeats what it was sent."""
    document = said("x", metadata={"raw": json.dumps(said(f"bad key {KEY}"))}, param=KEY)
    for failure in (refusal(401, document), read(document)[0], read_body(f"bad key {KEY}".encode())):
        assert KEY not in failure.message
        assert "***" in failure.message


def delay_after(failure) -> float | None:
    """Return how long the first retry at the same backend would be waited for."""
    return retry_delay(failure, 1, settings_of({}), 0.0)
