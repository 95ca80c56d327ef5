"""What ``%load_ext llx_magic`` puts in place and ``%unload_ext llx_magic`` takes away again."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.backends import local
from llx_magic.core.reply import Reply
from llx_magic.core.text import printable
from llx_magic.engine.background import BACKGROUND
from llx_magic.notebook import completion
from llx_magic.notebook.magics import LlxMagics
from llx_magic.notebook.prompter import LAST_REPLY
from llx_magic.notebook.render import markdown_to_html
from llx_magic.notebook.transform import hand_over_prompts


def register(shell: InteractiveShell) -> None:
    """Register the magics and all that serves them; loading twice leaves one of each."""
    unregister(shell)
    magics = LlxMagics(shell)
    shell.register_magics(magics)
    _configurables(shell).append(magics)
    shell.input_transformers_cleanup.append(hand_over_prompts)
    for kind, show in _FORMATTERS.items():
        _formatter(shell, kind).for_type(Reply, show)
    completion.register(shell, _completer(shell, magics))


def unregister(shell: InteractiveShell) -> None:
    """Remove all that was registered, and end background prompts, connections, thread and the embedded model."""
    magics = shell.magics_manager.registry.pop(LlxMagics.__name__, None)
    if not isinstance(magics, LlxMagics):
        return
    for kind in ("line", "cell"):
        for name in magics.magics[kind]:
            shell.magics_manager.magics[kind].pop(name, None)
    _configurables(shell).remove(magics)
    shell.input_transformers_cleanup.remove(hand_over_prompts)
    for kind in _FORMATTERS:
        _formatter(shell, kind).pop(Reply, None)
    completion.unregister(shell)
    shell.user_ns.pop(LAST_REPLY, None)
    magics.prompter.jobs.cancel_all()
    magics.session.close()
    BACKGROUND.stop()
    local.stop()


def _completer(shell: InteractiveShell, magics: LlxMagics) -> completion.LlxCompleter:
    conversations = magics.session.conversations
    names = {
        "chat": conversations.names,
        "llx_chat name": conversations.names,
        "llx_jobs number": lambda: [str(job.number) for job in magics.prompter.jobs.all()],
    }
    return completion.LlxCompleter(magics.session, shell, names)


def _configurables(shell: InteractiveShell) -> list[object]:
    """Return what %config offers; IPython's annotation of the list is narrower than its use."""
    return cast("list[object]", shell.configurables)


class _Formatter(Protocol):
    """What IPython's formatters offer; they are not annotated themselves."""

    def for_type(self, kind: type[Reply], show: Callable[[Reply], str]) -> object: ...

    def pop(self, kind: type[Reply], default: None) -> object: ...


def _formatter(shell: InteractiveShell, kind: str) -> _Formatter:
    assert shell.display_formatter is not None
    return cast("_Formatter", shell.display_formatter.formatters[kind])


def _as_html(reply: Reply) -> str:
    mark = "" if reply.ok else f"<p><em>{html.escape(f'incomplete: {type(reply.error).__name__}')}</em></p>"
    return f"<div>{markdown_to_html(printable(reply.text))}</div>{mark}"


_FORMATTERS = {"text/html": _as_html}
"""How a front end shows a Reply that is the value of a cell."""
