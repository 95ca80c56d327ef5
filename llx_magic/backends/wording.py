"""Prepares text of a server for a message: removes every key of this process and shortens it to one line."""

from __future__ import annotations

from llx_magic.keys.redaction import LIVE_KEYS

LONGEST_DETAIL = 300
"""How many characters of a server's own message are shown."""


def one_line(text: str, limit: int = LONGEST_DETAIL) -> str:
    """Return the text on one line, without keys and control characters, white space folded, cut with an ellipsis."""
    text = LIVE_KEYS.without(text)
    head = text[: limit * 20]
    if not head.isprintable():
        head = "".join(c if c.isprintable() else " " for c in head)
    folded = " ".join(head.split())
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"
