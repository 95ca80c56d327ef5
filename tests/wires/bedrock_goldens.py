"""What the goldens of Bedrock's Converse hold, in words: their bodies are frames, which no editor can write.

``python -m tests.wires.bedrock_goldens`` writes them.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.wires.frames import event, exception, frame

FOLDER = Path(__file__).parent / "golden" / "bedrock"
STREAM = "application/vnd.amazon.eventstream"
TEXT = "Two is a prime."

Golden = tuple[dict[str, object], bytes]


def said(*pieces: str, at: int = 0) -> bytes:
    return b"".join(event("contentBlockDelta", {"contentBlockIndex": at, "delta": {"text": each}}) for each in pieces)


def thought(*pieces: object, at: int = 0) -> bytes:
    blocks = [{"text": each} if isinstance(each, str) else each for each in pieces]
    return b"".join(
        event("contentBlockDelta", {"contentBlockIndex": at, "delta": {"reasoningContent": each}}) for each in blocks
    )


def usage(prompt: int = 9, completion: int = 3, **more: object) -> bytes:
    counts = {"inputTokens": prompt, "outputTokens": completion, "totalTokens": prompt + completion, **more}
    return event("metadata", {"usage": counts, "metrics": {"latencyMs": 210}, "p": "abcdefghij"})


def stopped(reason: str = "end_turn") -> bytes:
    return event("messageStop", {"stopReason": reason, "p": "abcd"})


START = event("messageStart", {"role": "assistant", "p": "abcdefgh"})
BLOCK_END = event("contentBlockStop", {"contentBlockIndex": 0, "p": "ab"})
SPOKEN = START + said("Two is", " a prime.")
ASKS = event(
    "contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "weather"}}}
)
ASKS += event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"city": "Ulm"}'}}})


def stream(body: bytes, **expected: object) -> Golden:
    return {"content-type": STREAM, **expected}, body


def whole(content: list[object], reason: str = "end_turn", **expected: object) -> Golden:
    document = {
        "metrics": {"latencyMs": 400},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12},
    }
    return {"content-type": "application/json", **expected}, json.dumps(document).encode()


def refused(status: int, error: str, message: str, **expected: object) -> Golden:
    head = {"content-type": "application/json", "status": status, "header-x-amzn-ErrorType": f"{error}:http://internal"}
    return {**head, **expected}, json.dumps({"message": message}).encode()


def broken_off(error: str, message: str, amounts_to: int, before: bytes = START, **expected: object) -> Golden:
    amount = {"amounts-to": amounts_to, "message-has": message[:20]}
    return stream(before + exception(error, message), **expected, **amount)


_DAMAGED = bytearray(SPOKEN + BLOCK_END + stopped() + usage())
_DAMAGED[len(START) + 40] ^= 1

GOLDENS: dict[str, Golden] = {
    "plain": stream(
        SPOKEN + BLOCK_END + stopped() + usage(), text=TEXT, usage="9/3", **{
            "header-x-amzn-RequestId": "0a1b-2c", "response-id": "0a1b-2c", "model": "asked-for",
        },
    ),
    "whole": whole([{"text": TEXT}], text=TEXT, usage="9/3"),
    "thinking": stream(
        START + thought("Is two", " odd?", {"signature": "EqQB"}) + BLOCK_END + said(TEXT, at=1) + stopped() + usage(),
        text=TEXT, reasoning="Is two odd?", usage="9/3",
    ),
    "thinking-redacted": stream(
        START + thought({"redactedContent": "RXFR"}) + said(TEXT, at=1) + stopped() + usage(), text=TEXT, usage="9/3",
    ),
    "thinking-only-length": stream(
        START + thought("Is two odd?") + stopped("max_tokens") + usage(), reasoning="Is two odd?", finish="length",
        usage="9/3",
    ),
    "length": stream(SPOKEN + stopped("max_tokens") + usage(), text=TEXT, finish="length", usage="9/3"),
    "stop-sequence": stream(SPOKEN + stopped("stop_sequence") + usage(), text=TEXT, usage="9/3"),
    "unicode-line-separator": stream(
        START + said("Two\u2028is \u0085a", " prime \U0001f600.") + stopped() + usage(),
        text=json.dumps("Two\u2028is \u0085a prime \U0001f600."), usage="9/3",
    ),
    "unknown-event": stream(
        event("initial-response", {}) + START + event("contentBlockGlow", {"error": None, "delta": {"text": "no"}})
        + said(TEXT) + event("contentBlockDelta", {"delta": {"citation": {"title": "x"}}}) + stopped() + usage(),
        text=TEXT, usage="9/3",
    ),
    "usage-absent": stream(SPOKEN + stopped(), text=TEXT),
    "cached-usage": stream(
        SPOKEN + stopped() + usage(cacheReadInputTokens=20, cacheWriteInputTokens=5, totalTokens=37), text=TEXT,
        usage="34/3/20/5",
    ),
    "filter-before-text": stream(START + stopped("content_filtered") + usage(), failure="content filter"),
    "filter-after-text": stream(
        SPOKEN + stopped("content_filtered") + usage(), failure="content filter", partial=TEXT
    ),
    "prompt-blocked": stream(
        START + said("Sorry, not this.") + stopped("guardrail_intervened")
        + event("metadata", {"usage": {"inputTokens": 0}, "trace": {"guardrail": {"actionReason": "blocked"}}}),
        failure="content filter", partial="Sorry, not this.",
    ),
    "tool-only": stream(
        START + ASKS + stopped("tool_use") + usage(), failure="bad request", **{"message-has": "the tool weather"}
    ),
    "tool-with-text": stream(
        SPOKEN + ASKS + stopped("tool_use") + usage(), text=TEXT, finish="tool_calls", usage="9/3",
        notes="the reply asks for the tool weather; llx_magic runs none",
    ),
    "empty": stream(
        START + BLOCK_END + stopped() + usage(), failure="unusable reply", **{"message-has": "empty reply"}
    ),
    "cut-after-text": stream(
        SPOKEN + BLOCK_END, failure="unusable reply", partial=TEXT, **{"message-has": "before the reply was complete"}
    ),
    "cut-before-text": stream(START, failure="unusable reply", **{"message-has": "ended without a reply"}),
    "cut-in-a-frame": stream(
        SPOKEN + stopped()[:-9], failure="unusable reply", partial=TEXT,
        **{"message-has": "before the reply was complete"},
    ),
    "silence-after-finish": stream(SPOKEN + stopped(), text=TEXT, ends="silence"),
    "bad-json-middle": stream(
        SPOKEN + event("contentBlockDelta", b'{"delta": {"te') + stopped() + usage(), failure="unusable reply",
        partial=TEXT, **{"message-has": "an unusable piece of the stream"},
    ),
    "error-event-overloaded": broken_off(
        "serviceUnavailableException", "Bedrock is unable to process your request.", 500, failure="server error"
    ),
    "error-event-rate-limit": broken_off(
        "throttlingException", "Too many requests, please wait before trying again.", 429, failure="rate limit"
    ),
    "error-event-day": broken_off(
        "throttlingException", "Too many tokens per day, please wait before trying again.", 429, failure="rate limit",
        quota="yes",
    ),
    "error-event-internal": broken_off(
        "internalServerException", "The system encountered an unexpected error.", 500, failure="server error"
    ),
    "error-event-validation": broken_off(
        "validationException", "The value at inferenceConfig is wrong.", 400, failure="bad request"
    ),
    "error-event-context": broken_off(
        "validationException", "Input is too long for requested model.", 400, failure="context too long"
    ),
    "error-after-text": broken_off(
        "modelStreamErrorException", "Model produced an error while streaming.", 500, SPOKEN, failure="server error",
        partial=TEXT,
    ),
    "error-without-type": stream(
        SPOKEN + frame({
            ":message-type": "error", ":error-code": "InternalError", ":error-message": "An internal server error",
        }, b""),
        failure="server error", partial=TEXT, **{"amounts-to": 500, "message-has": "An internal server error"},
    ),
    "error-after-the-end": stream(SPOKEN + stopped() + exception("throttlingException", "Too many"), text=TEXT),
    "context-window-full": stream(
        SPOKEN + stopped("model_context_window_exceeded") + usage(), text=TEXT, finish="length", usage="9/3"
    ),
    "malformed-output": stream(
        SPOKEN + stopped("malformed_model_output") + usage(), failure="unusable reply", partial=TEXT,
        **{"message-has": "malformed_model_output"},
    ),
    "malformed-tool": stream(
        START + ASKS + stopped("malformed_tool_use") + usage(), failure="unusable reply",
        **{"message-has": "malformed_tool_use"},
    ),
    "page-instead": (
        {"content-type": STREAM, "failure": "unusable reply", "message-has": "a web page instead of a reply: Sign in"},
        b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>",
    ),
    "label-of-a-proxy": (
        {"content-type": "application/octet-stream", "text": TEXT, "usage": "9/3"}, SPOKEN + stopped() + usage(),
    ),
    "whole-under-the-label-of-a-stream": (
        {"content-type": f"{STREAM}; of=json", "text": TEXT, "usage": "9/3"}, whole([{"text": TEXT}])[1],
    ),
    "damaged-frame": stream(bytes(_DAMAGED), failure="unusable reply", **{"message-has": "its frames is damaged"}),
    "damaged-after-the-end": stream(SPOKEN + stopped() + b"\x00\x00\x00\x03" + bytes(40), text=TEXT),
    "endless-frame": stream(
        SPOKEN + b"\x7f\xff\xff\xff" + bytes(40), failure="reply too large", partial=TEXT,
        **{"message-has": "a frame of more than 16 MiB"},
    ),
    "short-frame": stream(
        SPOKEN + b"\x00\x00\x00\x03" + bytes(40), failure="unusable reply", partial=TEXT, **{"message-has": "damaged"}
    ),
    "whole-thinking": whole(
        [{"reasoningContent": {"reasoningText": {"text": "Is two odd?", "signature": "E"}}}, {"text": TEXT}],
        text=TEXT, reasoning="Is two odd?", usage="9/3",
    ),
    "whole-cited": whole(
        [{"citationsContent": {"content": [{"text": TEXT}], "citations": [{"title": "Euclid"}]}}], text=TEXT,
        usage="9/3",
    ),
    "whole-tool": whole(
        [{"toolUse": {"toolUseId": "t1", "name": "weather", "input": {}}}], "tool_use", failure="bad request",
        **{"message-has": "the tool weather"},
    ),
    "whole-filtered": whole([{"text": "No."}], "guardrail_intervened", failure="content filter", partial="No."),
    "whole-empty": whole([], failure="unusable reply", **{"message-has": "empty reply"}),
    "unknown-operation": (
        {"content-type": "application/json", "failure": "unusable reply", "message-has": "it holds no output"},
        b'{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}',
    ),
    "status-400": refused(400, "ValidationException", "The provided request is not valid", failure="bad request"),
    "status-400-quota": refused(
        400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account.",
        failure="rate limit", quota="yes",
    ),
    "status-400-on-demand": refused(
        400, "ValidationException", "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u2019t "
        "supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
        failure="access refused", **{"message-has": "; name an inference profile: us., eu. \u2026 or global."},
    ),
    "status-400-model": refused(
        400, "ValidationException", "The provided model identifier is invalid.", failure="access refused"
    ),
    "status-401": refused(401, "UnauthorizedException", "Unauthorized", failure="access refused"),
    "status-403": refused(
        403, "AccessDeniedException", "You don't have access to the model with the specified model ID.",
        failure="access refused",
    ),
    "status-403-clock": refused(
        403, "InvalidSignatureException", "Signature expired: 20261126T100000Z is now earlier than 20261126T110000Z",
        failure="access refused", **{"message-has": "; this machine's clock is wrong"},
    ),
    "status-403-expired": refused(
        403, "ExpiredTokenException", "The security token included in the request is expired",
        failure="access refused", **{"message-has": "; sign in anew, as with aws sso login, or take a new key"},
    ),
    "status-403-key": refused(
        403, "UnrecognizedClientException", "The security token included in the request is invalid.",
        failure="access refused",
    ),
    "status-404": refused(404, "ResourceNotFoundException", "Could not find the model.", failure="access refused"),
    "status-408": refused(408, "ModelTimeoutException", "Model has timed out.", failure="server error"),
    "status-424": refused(424, "ModelErrorException", "An error occurred in the model.", failure="server error"),
    "status-429": refused(
        429, "ThrottlingException", "Too many requests, please wait before trying again.", failure="rate limit"
    ),
    "status-429-quota": refused(
        429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", failure="rate limit",
        quota="yes",
    ),
    "status-429-cold": refused(
        429, "ModelNotReadyException", "Model is not ready for inference.", failure="server error"
    ),
    "status-500": refused(500, "InternalServerException", "Unexpected error.", failure="server error"),
    "status-503": refused(503, "ServiceUnavailableException", "Bedrock is unable.", failure="server error"),
    "status-context": refused(
        400, "ValidationException", "Input is too long for requested model.", failure="context too long"
    ),
    "status-filter": refused(
        400, "ValidationException", "Output blocked by content filtering policy", failure="content filter"
    ),
    "status-in-the-body": (
        {"content-type": "application/json", "status": 400, "failure": "rate limit"},
        b'{"__type":"com.amazonaws.bedrock#ThrottlingException","message":"Slow down"}',
    ),
}  # fmt: skip

ABSENT = """\
ping-flood: an event stream has no heartbeats
refusal: Converse has no word for a refusal in the model's own words
"""

TERMINAL = '"stopReason": "'


def write() -> None:
    """Write all goldens."""
    FOLDER.mkdir(exist_ok=True)
    for name, (head, body) in GOLDENS.items():
        for ending, content in files_of(head, body).items():
            (FOLDER / f"{name}{ending}").write_bytes(content)
    (FOLDER / "ABSENT.txt").write_text(ABSENT)
    (FOLDER / "TERMINAL.txt").write_text(TERMINAL + "\n")


def files_of(head: dict[str, object], body: bytes) -> dict[str, bytes]:
    """Return the content of a golden's files by their endings."""
    lines = "".join(f"{key}: {value}\n" for key, value in head.items()).encode()
    return {".txt": lines, ".bin": body} if b"\x00" in body else {".txt": lines + b"\n" + body}


if __name__ == "__main__":
    write()
