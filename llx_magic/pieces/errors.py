"""Why an image or a file cannot be sent."""

from __future__ import annotations


class UnreadableError(Exception):
    """Why an image or a file cannot be sent, in one line that begins with what it is called."""
