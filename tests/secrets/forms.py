"""What a server says in each service's own form, in the reasoning and the text of a reply, and in an error after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults.server import Exchange
from tests.wires import frames

Document = Mapping[str, object]


@dataclass(frozen=True)
class Form:
    """One form: a whole reply, and the beginning, a piece, the end and an error of a stream, each with what is said."""

    kind: str
    whole: Callable[[str], Document]
    begun: Callable[[str], bytes]
    piece: Callable[[str, bool, str], bytes]
    end: Callable[[str], bytes]
    error: Callable[[str], bytes]

    def reply(self, exchange: Exchange, said: str, *, failing: str = "") -> None:
        """Answer with a reply that says this, or, with ``failing``, with one that ends in an error that says that."""
        wants_stream = exchange.streaming or "tream" in exchange.request.path
        if not wants_stream and not failing:
            exchange.whole(200, json.dumps(self.whole(said)).encode())
            return
        exchange.begin_stream({"Content-Type": self.kind})
        if begun := self.begun(said):
            exchange.chunk(begun)
        sentence = f"You are {said}."
        for reasoning in (True, False):
            for at in range(0, len(sentence), 5):
                exchange.chunk(self.piece(sentence[at : at + 5], reasoning, said))
        exchange.chunk(self.error(failing) if failing else self.end(said))
        exchange.end_stream()


def _event(document: Document) -> bytes:
    return f"event: {document.get('type', 'message')}\ndata: {json.dumps(document)}\n\n".encode()


def _data(document: Document) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def _line(document: Document) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _anthropic() -> Form:
    def message(said: str, *content: Document) -> Document:
        return {"id": said, "type": "message", "role": "assistant", "model": said, "content": content}

    def begun(said: str) -> bytes:
        blocks = ({"type": "thinking", "thinking": ""}, {"type": "text", "text": ""})
        starts = [{"type": "content_block_start", "index": at, "content_block": each} for at, each in enumerate(blocks)]
        return _event({"type": "message_start", "message": message(said)}) + b"".join(_event(each) for each in starts)

    def piece(text: str, reasoning: bool, said: str) -> bytes:
        kind = "thinking" if reasoning else "text"
        delta = {"type": f"{kind}_delta", kind: text}
        return _event({"type": "content_block_delta", "index": 0 if reasoning else 1, "delta": delta})

    return Form(
        "text/event-stream",
        lambda said: {**message(said, {"type": "thinking", "thinking": said}, {"type": "text", "text": said}),
                      "stop_reason": "end_turn"},
        begun,
        piece,
        lambda said: _event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": said}})
        + _event({"type": "message_stop"}),
        lambda said: _event({"type": "error", "error": {"type": said, "message": said}, "request_id": said}),
    )  # fmt: skip


def _gemini() -> Form:
    def document(said: str, *parts: Document, **more: str) -> Document:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
        return {"candidates": [candidate], "modelVersion": said, "responseId": said}

    return Form(
        "text/event-stream",
        lambda said: document(said, {"text": said, "thought": True}, {"text": said}, finishReason="STOP"),
        lambda said: b"",
        lambda text, reasoning, said: _data(document(said, {"text": text, "thought": reasoning})),
        lambda said: _data(document(said, {"text": ""}, finishReason="STOP", finishMessage=said)),
        lambda said: _data({"error": {"code": 500, "message": said, "status": said}}),
    )


def _ollama() -> Form:
    def line(said: str, **message: str) -> Document:
        return {"model": said, "message": {"role": "assistant", "content": "", **message}, "done": False}

    ended = {"done": True, "done_reason": "stop"}

    return Form(
        "application/x-ndjson",
        lambda said: {**line(said, content=said, thinking=said), **ended},
        lambda said: b"",
        lambda text, reasoning, said: _line(line(said, **{"thinking" if reasoning else "content": text})),
        lambda said: _line({**line(said), **ended}),
        lambda said: _line({"error": said}),
    )


def _cohere() -> Form:
    def content(kind: str, index: int, **part: str) -> bytes:
        return _event({"type": kind, "index": index, "delta": {"message": {"content": part}}})

    def piece(text: str, reasoning: bool, said: str) -> bytes:
        return content("content-delta", 0 if reasoning else 1, **{"thinking" if reasoning else "text": text})

    def whole(said: str) -> Document:
        blocks = [{"type": "thinking", "thinking": said}, {"type": "text", "text": said}]
        return {"id": said, "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": blocks}}

    return Form(
        "text/event-stream",
        whole,
        lambda said: _event({"type": "message-start", "id": said, "delta": {"message": {"role": "assistant"}}}),
        piece,
        lambda said: _event({"type": "message-end", "id": said, "delta": {"finish_reason": "COMPLETE"}}),
        lambda said: _event({"type": "message-end", "id": said, "delta": {"finish_reason": "ERROR", "error": said}}),
    )


def _bedrock() -> Form:
    def piece(text: str, reasoning: bool, said: str) -> bytes:
        delta: Document = {"reasoningContent": {"text": text}} if reasoning else {"text": text}
        return frames.event("contentBlockDelta", {"contentBlockIndex": 0 if reasoning else 1, "delta": delta})

    def whole(said: str) -> Document:
        blocks = [{"reasoningContent": {"reasoningText": {"text": said}}}, {"text": said}]
        return {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": "end_turn"}

    return Form(
        "application/vnd.amazon.eventstream",
        whole,
        lambda said: frames.event("messageStart", {"role": "assistant", "p": said}),
        piece,
        lambda said: frames.event("messageStop", {"stopReason": "end_turn", "p": said}) + frames.event("metadata", {}),
        lambda said: frames.exception("internalServerException", said),
    )


def _responses() -> Form:
    def response(said: str, status: str, *output: Document) -> Document:
        return {"id": said, "object": "response", "status": status, "model": said, "output": output}

    def whole(said: str) -> Document:
        summary = {"id": said, "type": "reasoning", "summary": [{"type": "summary_text", "text": said}]}
        content = [{"type": "output_text", "text": said, "annotations": []}]
        message = {"id": said, "type": "message", "role": "assistant", "status": "completed", "content": content}
        return response(said, "completed", summary, message)

    def piece(text: str, reasoning: bool, said: str) -> bytes:
        kind = "reasoning_summary_text" if reasoning else "output_text"
        return _event({"type": f"response.{kind}.delta", "item_id": said, "output_index": 0, "delta": text})

    return Form(
        "text/event-stream",
        whole,
        lambda said: _event({"type": "response.created", "response": response(said, "in_progress")}),
        piece,
        lambda said: _event({"type": "response.completed", "response": response(said, "completed")}),
        lambda said: _event({"type": "error", "code": said, "message": said, "param": said}),
    )


_FORMS = {
    "/messages": _anthropic(),
    "enerateContent": _gemini(),
    "/api/chat": _ollama(),
    "/v2/chat": _cohere(),
    "/converse": _bedrock(),
    "/responses": _responses(),
}


def form_at(path: str) -> Form | None:
    """Return the form in which a path is asked; None for OpenAI's chat completions."""
    return next((form for mark, form in _FORMS.items() if mark in path), None)
