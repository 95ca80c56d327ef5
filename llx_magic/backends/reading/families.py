"""Codes and words of errors, from all servers, by what they mean: one table.

Every repeat in a pattern is bounded, so that a search takes time in proportion to the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from llx_magic.backends.reading.lenient import folded
from llx_magic.core.failure import FailureKind


class Family(NamedTuple):
    """Errors of one kind: codes, however a server writes them, and a pattern of words.

    ``status`` is what such an error amounts to where it came without one. ``quota`` means that more than a moment's
    allowance is spent.
    """

    kind: FailureKind
    status: int
    codes: frozenset[str]
    words: re.Pattern[str] | None = None
    quota: bool = False


def _family(kind: FailureKind, status: int, codes: str, words: str = "", *, quota: bool = False) -> Family:
    pattern = re.compile(words, re.IGNORECASE) if words else None
    return Family(kind, status, frozenset(map(folded, codes.split())), pattern, quota)


_A = r"(?:\w{1,30} ){0,3}"
"""Up to three words in between."""

_OF_A_TIME = r"[^.]{0,60}\b(?:rate|per (?:minute|second|hour|day|month))\b"
"""What makes a limit one of tokens in a time, which has nothing to do with how long a prompt may be."""

NEVER_FITS = _family(
    FailureKind.CONTEXT_LENGTH,
    413,
    "",
    r"request too large for .{0,200}(?:tokens per|TPM)|limit:? \d{1,12},? requested:? \d{1,12}[^.]{0,40}reduce",
)
"""A request for more tokens than the server gives in a minute (Groq, OpenAI): no wait makes it fit."""

CONTEXT = _family(
    FailureKind.CONTEXT_LENGTH,
    400,
    "context_length_exceeded exceed_context_size_error context_window_exceeded string_above_max_length "
    "model_context_window_exceeded context_length_error prompt_too_long input_too_long context_too_long "
    "token_limit_exceeded tokens_limit_exceeded max_context_length_exceeded context_window_exceeded_error "
    "tokens_limit_reached model_max_prompt_tokens_exceeded 1261",
    r"max(?:imum)?[ _](?:sequence|seq|context|prompt|input|model)[ _]len(?:gth)?"
    r"|context[ _](?:length|window|size|limit) (?:has been |have been |is |was |of )?(?:exceed|only)"
    rf"|exceed\w{{0,4}} {_A}context[ _-]?(?:length|window|size|limit)"
    rf"|(?:longer|larger|greater|more|bigger) than {_A}(?:maximum |max )?(?:context|model)(?:'s)? {_A}"
    r"(?:length|size|window)"
    r"|context length is only|too large for model with"
    rf"|(?:prompt|inputs?|messages?|conversation) (?:text |tokens? |token count )?(?:is|are|was) too (?:long|large|big)"
    r"|(?:prompt|input)(?: token)?(?: length)? too long|input is longer than"
    r"|input length .{0,40}exceed|too many (?:input |total |prompt )?tokens(?! per|,? please wait)"
    r"|input token count .{0,40}exceeds|reduce (?:the|your) (?:length of the )?(?:messages|prompt|message|input)"
    r"|tokens .{0,12}max_new_tokens.{0,4} must be <=|`?inputs`? must have less than"
    r"|context (?:the )?overflows?|n_keep .{0,40}n_ctx|tokens to keep from the initial prompt is greater"
    r"|exceeded (?:the )?model token limit|exceed(?:s|ed)? .{0,30}(?:context|token) (?:window )?limit"
    r"|range of input length should be|input length should be|max input characters"
    rf"|number of tokens\b(?!{_OF_A_TIME}) .{{0,40}}exceed|max(?:imum)?[ _]tokens of \d{{1,12}} exceeded"
    rf"|(?:prompt|input) (?:token|length)s?\b(?!{_OF_A_TIME}).{{0,60}} exceeds? (?:the )?(?!{_OF_A_TIME}).{{0,20}}"
    r"(?:limit|max)|too large for .{0,60}max size: \d{1,12} tokens|(?<!时间)超长",
)
FILTER = _family(
    FailureKind.CONTENT_FILTER,
    400,
    "content_filter content_filtered content_policy_violation content_policy ResponsibleAIPolicyViolation "
    "moderation_blocked moderation moderation_error data_inspection_failed content_moderation "
    "image_content_policy_violation misalignment_policy_violation bio_policy cyber_policy_violation invalid_prompt "
    "safety prohibited_content blocklist sensitive_content content_blocked guardrail_intervened new_sensitive "
    "InputTextSensitiveContentDetected OutputTextSensitiveContentDetected 1301",
    r"content management policy|content[ _]policy violation|responsible ?ai ?(?:policy|practices)"
    rf"|violat\w{{1,6}} {_A}(?:content|usage|safety|acceptable use|guardrail) (?:policy|policies|guidelines)"
    r"|(?:content|safety|moderation) (?:filter|filtering|system)\w{0,3} (?:has |have |was )?"
    r"(?:blocked|rejected|flagged|trigg)"
    rf"|(?:rejected|blocked|flagged|refused|filtered|stopped|triggered) (?:by|as a result of|due to|because of) {_A}"
    r"(?:content|safety|moderation|guardrail|policy)"
    r"|(?:input|prompt|request|content|text|message|output)s? (?:was|were|is|has been|got|may be) "
    r"(?:flagged|filtered|blocked by (?:content|safety)|moderated|considered (?:unsafe|inappropriate))"
    r"|flagged (?:as|for|by)|requires moderation and|content filter(?:ing)? policy|our safety system|safety system"
    r"|blocked (?:input|output)\b"
    r"|content exists risk|(?:unsafe|inappropriate|sensitive) content|(?:input|output) new_sensitive"
    r"|may contain (?:\w{1,20} ){0,3}(?:unsafe|inappropriate|sensitive|harmful|prohibited) "
    r"|(?<!大小写)敏感|违规(?!.{0,8}(?:封|禁用|冻结|停用))",  # case sensitive; an account that is closed for a breach
)
QUOTA = _family(
    FailureKind.RATE_LIMIT,
    429,
    "insufficient_quota billing_hard_limit_reached insufficient_credits insufficient_credit insufficient_balance "
    "insufficient_funds quota_exhausted exceeded_current_quota exceeded_current_quota_error credits_exhausted "
    "out_of_credits payment_required_error enforced_spend_limit_reached contract_spend_limit_reached "
    "spend_limit_reached spending_limit_reached budget_exceeded ServiceQuotaExceededException Arrearage "
    "AllocationQuota.FreeTierOnly insufficient_user_quota pre_consume_token_quota_failed AccountOverdueError "
    "token_quota_reached 1113 3036",
    rf"(?:insufficient|not enough) {_A}(?:credits?|balance|quota|funds)|balance is (?:too low|insufficient|not enough)"
    r"|out of credits|requires more credits|can only afford"
    r"|no (?:more |remaining )?credits|credits? (?:is |are |have )?(?:exhausted|expired)"
    rf"|(?:exceeded|reached|over) your {_A}(?:quota|usage limits?|spend\w{{0,4}} limit|credit limit|credits|budget)"
    rf"|exceed\w{{0,4}} {_A}(?:spend\w{{0,4}}|credit|budget) limit|out of {_A}quota"
    r"|(?:quota|credit|budget) (?:limit )?(?:has been |is |was )?(?:exhausted|used up|exceeded)"
    r"(?! for (?:quota metric|\S{1,60}googleapis))"  # Google's quotas are of a minute, unless its codes say a day
    rf"|ran out of {_A}(?:credits?|quota)"
    rf"|(?:used|exhausted) (?:all|up) {_A}(?:credits?|quota|allocation)"
    rf"|billing hard limit|spend(?:ing)? limit {_A}(?:reached|exceeded)"
    r"|(?:too many tokens|requests|models|tokens|neurons|limit)[ -]per[ -]day"
    r"|(?:requests|calls|tokens) ?(?:per|/) ?(?:day|month)\b"
    rf"|daily {_A}(?:limit|quota|allocation)|account is in arrears|overdue balance"
    r"|余额不足|欠费|额度.{0,2}(?:用尽|不足)"
    r"|purchase (?:more )?credits|add (?:more )?credits|recharge your|top up your",
    quota=True,
)
ACCESS = _family(
    FailureKind.ACCESS,
    403,
    "invalid_api_key API_KEY_INVALID invalid_key incorrect_api_key missing_api_key api_key_expired no_api_key "
    "authentication_error authentication_required authentication_failed invalid_authentication "
    "invalid_authentication_error auth_error unauthorized unauthenticated unauthorized_error permission_denied "
    "permission_error permission_denied_error insufficient_permissions access_denied AccessDeniedException forbidden "
    "forbidden_error account_deactivated account_suspended access_terminated_error model_not_found "
    "model_not_found_error "
    "model_not_available model_not_exist invalid_model invalid_model_error unknown_model not_found not_found_error "
    "NotFoundError DeploymentNotFound ResourceNotFoundException resource_not_found UnrecognizedClientException "
    "InvalidSignatureException ExpiredTokenException unsupported_country_region_territory FAILED_PRECONDITION "
    "billing_error billing_not_active organization_deactivated invalid_organization key_disabled",
    rf"(?:api[ _-]?key|access token) {_A}"
    r"(?:not valid|invalid|expired|missing|revoked|leaked|disabled|not found|required)"
    r"|(?:invalid|incorrect|missing|expired|wrong|unknown|no) (?:\w{1,20} ){0,2}(?:api[ _-]?key|x-api-key|credentials?|"
    r"(?:auth\w{0,12}|access|bearer|security) token|authentication)"
    r"|renew the api[ _-]?key|did not provide an api[ _-]?key"
    r"|authentication (?:failed|required|error|fails)|log[ -]?in fail|unauthori[sz]ed"
    r"|models? .{0,80}(?:does not exist|doesn't exist|do not exist|not found|not exist\b|not available"
    r"|has been deprecated|is deprecated|decommissioned|is not a valid|not loaded|was not found)"
    r"|models? \S{1,80} is not supported|not a valid model"
    r"|no such model|unknown model|invalid model|unsupported model"
    r"|model identifier is invalid|on-demand throughput"
    rf"|(?:location|country|region|territory)[^.]{{0,30}} not (?:supported|available|allowed)"
    rf"|not (?:supported|available|allowed) in your {_A}(?:country|region|location)"
    rf"|(?:do(?:es)? not|don't|doesn't) have {_A}(?:access|permission)"
    r"|permission denied|access (?:is )?denied|not authorized"
    r"|billing (?:is |has been )?(?:not enabled|disabled|not active)"
    rf"|enable billing|(?:account|organization|project|key) (?:is |has been |was )?{_A}"
    r"(?:deactivated|suspended|disabled|blocked|terminated)",
)
CAPACITY = _family(
    FailureKind.SERVER,
    503,
    "service_tier_capacity_exceeded 3505 3040 engine_overloaded engine_overloaded_error ModelNotReadyException "
    "model_overloaded capacity_exceeded no_capacity overloaded overloaded_error server_overloaded",
    r"service tier capacity|engine is currently overloaded|capacity (?:temporarily )?exceeded",
)
"""A server that is full for everybody, whatever status it says so with."""

RATE = _family(
    FailureKind.RATE_LIMIT,
    429,
    "rate_limit_exceeded rate_limit_error rate_limit rate_limited rate_limit_reached rate_limit_reached_error "
    "rateLimitExceeded too_many_requests too_many_requests_error RESOURCE_EXHAUSTED ThrottlingException throttling "
    "throttled Throttling.RateQuota Throttling.AllocationQuota Throttling.User request_limit_exceeded "
    "requests_limit_exceeded limit_requests ramp_limit_exceeded tpm_limit_exceeded rpm_limit_exceeded "
    "concurrency_limit_exceeded 1302 1303",
    r"rate[ -]?limit|too many requests|(?:requests|tokens|limit) per (?:minute|second|hour)"
    r"|throttl|request limit reached",
)
SERVER = _family(
    FailureKind.SERVER,
    500,
    "server_error internal_server_error internal_error internal InternalServerException InternalFailure api_error "
    "service_error unavailable unavailable_error service_unavailable service_unavailable_error "
    "ServiceUnavailableException timeout timeout_error request_timeout gateway_timeout deadline_exceeded bad_gateway "
    "upstream_error upstream_timeout provider_error server_busy busy slow_down temporarily_unavailable "
    "ModelTimeoutException ModelErrorException ModelStreamErrorException vector_store_timeout "
    "insufficient_system_resource network_error 1305",
    r"overloaded|at (?:full |max\w{0,4} )?capacity"
    rf"|(?:temporarily|currently|service|server|upstream|model) {_A}(?:unavailable|busy)"
    r"|internal (?:server )?error|bad gateway|gateway time-?out"
    r"|upstream connect|connection refused|tim(?:ed|e)[ -]?out"
    r"|no (?:available |healthy )(?:channel|upstream|server|worker|instance)"
    r"|loading model|is (?:still |currently )?(?:being )?loading"
    r"|try again later|high (?:demand|load|traffic)|insufficient system resource",
)
CRASH = _family(
    FailureKind.SERVER,
    500,
    "",
    r"model has crashed|model (?:has been |was |is )?unloaded|runner process has terminated|failed to load model",
)
"""What servers on one's own machine answer with status 400 although no request is to blame (LM Studio)."""

MISTAKE = _family(
    FailureKind.BAD_REQUEST,
    400,
    "",
    r"(?:image|audio|video|file) input is not supported|mmproj|does not support images",
)
"""What llama.cpp answers with status 500 although the request is to blame."""

REQUEST = _family(
    FailureKind.BAD_REQUEST,
    400,
    "invalid_request_error invalid_request bad_request bad_request_error BadRequestError INVALID_ARGUMENT "
    "ValidationException validation_error unprocessable_entity unsupported_parameter unsupported_value "
    "unknown_parameter "
    "invalid_parameter invalid_parameter_error InvalidParameter missing_required_parameter invalid_value invalid_type "
    "extra_forbidden request_too_large invalid_input invalid_params invalid_image invalid_image_format "
    "invalid_base64_image invalid_image_url invalid_image_mode image_too_large image_too_small image_parse_error "
    "image_file_too_large image_file_not_found unsupported_image_media_type empty_image_file failed_to_download_image",
    r"extra inputs are not permitted|(?:unknown|unrecognized|unsupported) (?:field|parameter|request argument)"
    r"|unsupported value|invalid (?:request|argument|parameter)",
)
CONFLICT = _family(FailureKind.CONFLICT, 409, "conflict conflict_error")
