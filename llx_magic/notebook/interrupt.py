"""An interrupted prompt stops Run All, and says so in one line."""

from __future__ import annotations


class InterruptedPrompt(KeyboardInterrupt):
    """The user stopped a prompt; its connection is closed and nothing is held against the backend."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: the prompt was interrupted"]
