"""What the quick server answers in each service's own form: a whole reply, and a stream of so many pieces.

A request is told by its path. Every event is an HTTP chunk of its own, as services send them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.wires.frames import event as frame

Document = dict[str, object]


class Replies(NamedTuple):
    """One form's replies: a body, and a stream's content type and its events as bytes."""

    whole: bytes
    kind: str
    events: list[bytes]


def form_replies(text: str, pieces: Iterable[str]) -> dict[bytes, Replies]:
    """Return the replies by what is found in the path of a request; the first that is found counts."""
    made = list(pieces)
    return {
        b"/messages": _anthropic(text, made),
        b"enerateContent": _gemini(text, made),
        b"/api/chat": _ollama(text, made),
        b"/v2/chat": _cohere(text, made),
        b"/converse": _bedrock(text, made),
        b"/responses": _responses(text, made),
    }


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _named(events: Iterable[Document]) -> list[bytes]:
    return [b"event: " + str(each["type"]).encode() + b"\ndata: " + _json(each) + b"\n\n" for each in events]


def _anthropic(text: str, pieces: list[str]) -> Replies:
    message: Document = {"id": "msg_1", "type": "message", "role": "assistant", "model": "mock"}
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    events: list[Document] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": each}}
            for each in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": len(pieces)}},
        {"type": "message_stop"},
    ]
    whole = {**message, "content": [{"type": "text", "text": text}], **ended, "usage": usage}
    return Replies(_json(whole), "text/event-stream", _named(events))


def _gemini(text: str, pieces: list[str]) -> Replies:
    def document(piece: str, **more: str) -> bytes:
        candidate = {"content": {"parts": [{"text": piece}], "role": "model"}, "index": 0, **more}
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        named = {"modelVersion": "mock", "responseId": "r-1"}
        return _json({"candidates": [candidate], "usageMetadata": usage, **named})

    documents = [document(piece) for piece in pieces] + [document("", finishReason="STOP")]
    events = [b"data: " + each + b"\r\n\r\n" for each in documents]
    return Replies(document(text, finishReason="STOP"), "text/event-stream", events)


def _ollama(text: str, pieces: list[str]) -> Replies:
    def line(piece: str, **more: object) -> bytes:
        about = {"model": "mock", "created_at": "2026-01-01T00:00:00.123456789Z"}
        return _json({**about, "message": {"role": "assistant", "content": piece}, "done": False, **more}) + b"\n"

    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": 5, "total_duration": 1_000_000}
    return Replies(line(text, **end), "application/x-ndjson", [*map(line, pieces), line("", **end)])


def _cohere(text: str, pieces: list[str]) -> Replies:
    usage = {
        "billed_units": {"input_tokens": 4, "output_tokens": 5},
        "tokens": {"input_tokens": 10, "output_tokens": 5},
    }

    def content(kind: str, **part: str) -> Document:
        return {"type": kind, "index": 0, "delta": {"message": {"content": part}}}

    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    events: list[Document] = [{"type": "message-start", "id": "c-1", "delta": {"message": message}}]
    events.append(content("content-start", type="text", text=""))
    events += [content("content-delta", text=piece) for piece in pieces]
    events.append({"type": "content-end", "index": 0})
    events.append({"type": "message-end", "id": "c-1", "delta": {"finish_reason": "COMPLETE", "usage": usage}})
    said = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    whole = {"id": "c-1", "finish_reason": "COMPLETE", "message": said, "usage": usage}
    return Replies(_json(whole), "text/event-stream", _named(events))


def _bedrock(text: str, pieces: list[str]) -> Replies:
    usage = {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 1}}
    events = [frame("messageStart", {"role": "assistant", "p": "abcd"})]
    for piece in pieces:
        delta = {"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcdef"}
        events.append(frame("contentBlockDelta", delta))
    events += [frame("contentBlockStop", {"contentBlockIndex": 0, "p": "a"})]
    events += [frame("messageStop", {"stopReason": "end_turn", "p": "abc"}), frame("metadata", {**usage, "p": "ab"})]
    said = {"message": {"role": "assistant", "content": [{"text": text}]}}
    whole = {"output": said, "stopReason": "end_turn", **usage}
    return Replies(_json(whole), "application/vnd.amazon.eventstream", events)


def _responses(text: str, pieces: list[str]) -> Replies:
    def response(status: str, said: str | None) -> Document:
        content = [{"type": "output_text", "text": said, "annotations": [], "logprobs": []}]
        item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
        usage = {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
        }  # fmt: skip
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None, "model": "mock",
            "incomplete_details": None, "output": [item] if said else [], "usage": usage if said else None,
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {}, "instructions": None,
        }  # fmt: skip

    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[Document] = [
        {"type": "response.created", "response": response("in_progress", None)},
        *({"type": "response.output_text.delta", **where, "delta": each, "logprobs": []} for each in pieces),
        {"type": "response.completed", "response": response("completed", "".join(pieces))},
    ]
    numbered = [{**each, "sequence_number": number} for number, each in enumerate(events)]
    return Replies(_json(response("completed", text)), "text/event-stream", _named(numbered))
