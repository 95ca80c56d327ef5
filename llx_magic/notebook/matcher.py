"""Puts our completion into a shell; the completion itself is imported when a line of ours is first completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

if TYPE_CHECKING:
    from llx_magic.notebook.completion import LlxCompleter

IDENTIFIER = "llx_magic.completion"
"""The matcher's name among IPython's matchers."""


def register(shell: InteractiveShell, completer: Callable[[], LlxCompleter]) -> None:
    """Have the shell ask the completer where a magic of ours is typed; an earlier one is replaced."""

    @context_matcher(priority=100, identifier=IDENTIFIER)  # type: ignore[untyped-decorator]
    def match(context: CompletionContext) -> SimpleMatcherResult:
        if "%llx" not in context.full_text:
            return {"completions": [], "suppress": False}
        return completer().match(context)

    unregister(shell)
    shell.Completer.custom_matchers.append(match)


def unregister(shell: InteractiveShell) -> None:
    """Take every completer of ours away; harmless where there is none."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != IDENTIFIER]
