"""What one request may ask, frozen when it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llx_magic.core.gate import Gate
from llx_magic.core.policy import Policy
from llx_magic.core.ports import Backend
from llx_magic.core.reply import Message
from llx_magic.text.values import JsonValue


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One backend with the policy that was frozen for this request and the parameters of its model."""

    backend: Backend
    gate: Gate
    policy: Policy
    params: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One request as it was asked: nothing that changes later changes it."""

    policy: str
    candidates: tuple[Candidate, ...]
    messages: tuple[Message, ...]
    json: bool = False
    conversation: str | None = None

    @property
    def sole(self) -> bool:
        """Whether there is only one candidate; it is never refused."""
        return len(self.candidates) == 1

    @property
    def takes_turns(self) -> bool:
        """Whether each request begins with the next backend."""
        return self.policy == "roundrobin"

    def order(self, turn: int) -> tuple[Candidate, ...]:
        """Return the candidates as the ``turn``-th request (from 0) considers them."""
        begin = turn % len(self.candidates) if self.takes_turns else 0
        return self.candidates[begin:] + self.candidates[:begin]


def names_of(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Return the backends' names, in order."""
    return tuple(candidate.backend.name for candidate in candidates)
