"""Whether a prompt fits a model's window, as far as that can be told without the model's own tokens."""

from __future__ import annotations

from collections.abc import Iterable

from llx_magic.core.message import Message
from llx_magic.units import number

BYTES_A_TOKEN = 3.0
"""How many bytes of UTF-8 stand for a token: about four of English, three of Chinese, fewer of code."""


def bytes_of(messages: Iterable[Message]) -> int:
    """Return how many bytes the texts of messages take; images and files are counted by nobody in the same way."""
    return sum(len(message.text.encode("utf-8", "surrogatepass")) for message in messages)


def window_problem(tokens: float, window: int | None) -> str | None:
    """Return why a model is not asked a prompt of about so many tokens, or None where it may fit."""
    if window is None or tokens <= window:
        return None
    digits = 1 - len(str(int(tokens)))  # all but the first two are rounded away
    return f"prompt of about {number(round(int(tokens), digits + 1))} tokens, window of {number(window)}"
