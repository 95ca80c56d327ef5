"""What goes to a backend and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
"""Anything a JSON document can hold."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One prompt as a backend receives it.

    ``params`` are the model's own (``temperature``, ``max_tokens`` …), passed on as they are. ``streaming`` asks for
    pieces as they are made. ``connect_timeout_ms`` is until the connection stands; None waits for ever.
    """

    messages: tuple[Message, ...]
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    streaming: bool = True
    connect_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the backend counted them."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole reply, as one backend gave it; ``usage`` is None where none was reported."""

    text: str
    model: str
    usage: Usage | None = None
    finish_reason: str | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the reply's text, as it arrived."""

    text: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Drop all text so far: ``failed`` broke off for ``reason`` and ``next`` answers from the start."""

    failed: str
    reason: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer and how it came about.

    ``attempts`` counts every sending on every backend. ``seconds`` is from the call to the last byte, ``ttft`` from
    sending to the first piece of text or reasoning on the backend that answered (None where not streamed).
    ``finish_reason`` is the backend's own word (``stop``, ``length``) or None where it gave none. ``request`` numbers
    the requests of the profile. ``notes`` are short remarks for the reader, such as "cut at max_tokens".
    """

    text: str
    backend: str
    model: str
    usage: Usage | None
    attempts: int
    seconds: float
    ttft: float | None
    finish_reason: str | None
    reasoning: str = ""
    request: int = 0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The text alone."""
        return self.text


Part = Delta | Restart | Reply
"""What ``LoadBalancer.stream`` yields."""
