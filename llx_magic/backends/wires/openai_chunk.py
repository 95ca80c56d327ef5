"""One piece of a reply in OpenAI's form, decoded: quickly where it is as the form says, patiently where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from llx_magic.text.values import JsonValue
else:
    JsonValue = object  # to msgspec: JSON of whatever type; what a field holds is looked at when it is used


class Words(msgspec.Struct, frozen=True, gc=False):
    """A message or a delta of one."""

    content: JsonValue = None
    refusal: JsonValue = None
    reasoning_content: JsonValue = None
    reasoning: JsonValue = None
    reasoning_details: JsonValue = None
    reasoning_text: JsonValue = None
    thinking: JsonValue = None
    thinking_blocks: JsonValue = None
    tool_calls: JsonValue = None
    function_call: JsonValue = None


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One of the alternatives that were asked for, as a rule the only one."""

    index: JsonValue = None
    delta: Words | None = None
    message: Words | None = None
    text: JsonValue = None
    finish_reason: JsonValue = None
    usage: JsonValue = None
    error: JsonValue = None


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A whole completion, or a piece of one: they differ in ``message`` and ``delta`` only."""

    choices: list[Choice] | None = None
    id: JsonValue = None
    model: JsonValue = None
    error: JsonValue = None
    base_resp: JsonValue = None
    usage: JsonValue = None
    x_groq: JsonValue = None
    usage_metadata: JsonValue = msgspec.field(default=None, name="usageMetadata")


_chunks = msgspec.json.Decoder(Chunk)


def read_chunk(data: str) -> Chunk | None:
    """Return the chunk that a text is; None where it is no JSON, or its fields are not of the form's types."""
    try:
        return _chunks.decode(data)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


class _PlainWords(msgspec.Struct, frozen=True, gc=False):
    """A delta that holds text and nothing else."""

    content: str
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    reasoning_details: None = None
    reasoning_text: None = None
    thinking: None = None
    thinking_blocks: None = None
    tool_calls: None = None
    function_call: None = None


class _PlainChoice(msgspec.Struct, frozen=True, gc=False):
    """The first of the alternatives, which goes on with text."""

    delta: _PlainWords
    index: Literal[0] = 0
    finish_reason: None = None
    usage: None = None
    error: None = None


class _PlainChunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of a completion that adds text and nothing else, as nearly all pieces do."""

    choices: tuple[_PlainChoice]
    id: str | None = None
    model: str | None = None
    error: None = None
    base_resp: None = None
    usage: None = None
    x_groq: None = None
    usage_metadata: None = msgspec.field(default=None, name="usageMetadata")


_plain_chunks = msgspec.json.Decoder(_PlainChunk)


def read_plain_text(data: str, response_id: str | None, model: object) -> str:
    """Return the text that a chunk of this reply adds; an empty one where it says anything else or cannot be read.

    The decoder itself makes sure of that, in a third of the time that a look at each field takes.
    """
    try:
        chunk = _plain_chunks.decode(data)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return ""
    return chunk.choices[0].delta.content if chunk.id == response_id and chunk.model == model else ""


def chunk_of(document: dict[str, JsonValue]) -> Chunk:
    """Return the chunk that a decoded document is, whatever the types of its fields are."""
    choices = document.get("choices")
    if isinstance(choices, dict):  # one choice that stands by itself, or several under their numbers
        alone = isinstance(choices.get("delta", choices.get("message")), dict)
        choices = [choices] if alone else list(choices.values())
    found = [_choice(each) for each in choices if isinstance(each, dict)] if isinstance(choices, list) else None
    return Chunk(choices=found, **_fields(document, Chunk, "choices"))


def _choice(document: dict[str, JsonValue]) -> Choice:
    fields = _fields(document, Choice, "delta", "message")
    return Choice(delta=_words(document.get("delta")), message=_words(document.get("message")), **fields)


def _words(value: JsonValue) -> Words | None:
    if isinstance(value, list):
        value = next((each for each in value if isinstance(each, dict)), None)
    if isinstance(value, str):
        return Words(content=value)
    return Words(**_fields(value, Words)) if isinstance(value, dict) else None


def _fields(document: dict[str, JsonValue], kind: type[msgspec.Struct], *without: str) -> dict[str, JsonValue]:
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return {ours: document[theirs] for ours, theirs in names if theirs in document and theirs not in without}


# --- what a field holds -----------------------------------------------------------------------------------------------


def reasoning_in(words: Words) -> str:
    """Return the reasoning of a piece, from the first place that holds any: gateways repeat it under several names."""
    named = (words.reasoning_content, words.reasoning, words.reasoning_text, words.thinking)
    for place in (*named, words.reasoning_details, words.thinking_blocks):
        if place and (found := place if isinstance(place, str) else _said(place, _THOUGHTS)):
            return found
    return ""


_THOUGHTS = ("text", "thinking", "reasoning_content", "reasoning", "content", "summary", "reasoning_text")
_TEXTS = ("text", "content", "value", "parts")
"""Where the words of a part may stand, which has them there as a text, or as parts again."""

_DEEPEST = 8


def _said(value: JsonValue, places: tuple[str, ...], depth: int = 0) -> str:
    """Return the words in a field, from the first of the places that holds any; what is encrypted has none."""
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(_said(each, places, depth + 1) for each in value)
    if not isinstance(value, dict) or "encrypted" in str(value.get("type")):
        return ""
    return next((found for name in places if (found := _said(value.get(name), places, depth + 1))), "")


class Content(msgspec.Struct, frozen=True):
    """What the content of a piece holds."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    is_readable: bool = True


def content_in(value: JsonValue) -> Content:
    """Return what a content holds that is no text: parts of several types, as a list or alone, or nothing."""
    if not value:
        return Content()
    if isinstance(value, str):
        return Content(text=value)
    parts = value if isinstance(value, list) else [value]
    text, reasoning, refusal = [], [], []
    for part in parts:
        if isinstance(part, str):
            text.append(part)
        elif part is None:
            continue
        elif not isinstance(part, dict):
            return Content(is_readable=False)
        elif any(word in str(part.get("type", "")) for word in ("think", "reason")):
            reasoning.append(_said(part, _THOUGHTS))
        elif isinstance(part.get("refusal"), str):
            refusal.append(str(part["refusal"]))
        else:
            text.append(_said(part, _TEXTS))
    is_known = (
        isinstance(value, list) or any((*text, *reasoning, *refusal)) or (isinstance(value, dict) and "type" in value)
    )
    return Content("".join(text), "".join(reasoning), "".join(refusal), is_readable=is_known)


def tools_in(words: Words) -> list[str]:
    """Return the names of the tools that a piece asks for; an empty one for a piece that goes on with the last."""
    calls = words.tool_calls if isinstance(words.tool_calls, list) else [words.tool_calls]
    called = [call.get("function", call) for call in calls if isinstance(call, dict) and call]
    if words.function_call:
        called.append(words.function_call)
    return [str(each.get("name") or "") if isinstance(each, dict) else "" for each in called]


def word_in(value: JsonValue) -> str:
    """Return the finish reason in a field that is no text: an object names it, a list has it first."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("type", value.get("reason"))
    return value if isinstance(value, str) else ""
