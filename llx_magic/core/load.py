"""What one request is expected to take of a backend's limits, learnt from what others took."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from llx_magic.core.reply import Usage

PLENTY = 1_000_000
"""Stands for as many requests as anybody may want to send."""

SHARE = 0.02
"""The share of one reply in a mean, once there are many: the last fifty count most."""


class Load(NamedTuple):
    """How many requests, tokens of prompts and tokens of replies."""

    requests: float = 0.0
    prompt: float = 0.0
    completion: float = 0.0

    @property
    def tokens(self) -> float:
        """Those of prompts and replies together."""
        return self.prompt + self.completion

    def plus(self, other: Load) -> Load:
        """Return the sum."""
        return Load(self.requests + other.requests, self.prompt + other.prompt, self.completion + other.completion)

    def less(self, other: Load) -> Load:
        """Return the difference."""
        return Load(self.requests - other.requests, self.prompt - other.prompt, self.completion - other.completion)


NOTHING = Load()


class Expected(msgspec.Struct):
    """The means of replies so far: tokens of the prompt, how far the estimates of those were out, and of the reply."""

    replies: int = 0
    prompt: float = 0.0
    ratio: float = 1.0
    completion: float = 0.0

    def load(self, estimate: float) -> Load:
        """Return what a request will probably take; ``estimate`` is of its prompt's tokens by its length, or 0."""
        return Load(1.0, estimate * self.ratio if estimate else self.prompt, self.completion)

    def learn(self, estimate: float, usage: Usage) -> None:
        """Take what a reply took; what came from the service's cache counts for no limit.

        Source: https://platform.claude.com/docs/en/api/rate-limits and https://console.groq.com/docs/rate-limits.
        """
        self.replies += 1
        share, prompt = max(SHARE, 1.0 / self.replies), counted(usage).prompt
        self.prompt += share * (prompt - self.prompt)
        self.completion += share * (usage.completion_tokens - self.completion)
        if estimate:
            self.ratio += share * (prompt / estimate - self.ratio)


def counted(usage: Usage) -> Load:
    """Return what a reply took of a service's limits."""
    return Load(1.0, max(0, usage.prompt_tokens - usage.cached), usage.completion_tokens)
