"""What ``%load_ext llx_magic`` puts in place and ``%unload_ext llx_magic`` takes away again."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from IPython.core.completer import CompletionContext, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from llx_magic import hosts
from llx_magic.notebook.magics import LlxMagics
from llx_magic.notebook.transform import hand_over_empty_cells, hand_over_prompts, taken_for_help

if TYPE_CHECKING:
    from llx_magic.core.reply import Reply
    from llx_magic.notebook.completion import LlxCompleter

COMPLETER = "llx_magic.completion"
"""The name of our completion among IPython's matchers."""

REPLY = "llx_magic.core.reply.Reply"
"""The type that has a display of its own; by name, so that it need not be imported before there is one."""


def register(shell: InteractiveShell) -> None:
    """Register the magics and all that serves them; loading twice leaves one of each.

    The rest of the cell that loads the extension was read before, so prompts in it that IPython takes for calls for
    help cannot be saved any more; a line says so.
    """
    if prompt := taken_for_help(_cell_with_help()):
        from llx_magic.commands.output import remark
        from llx_magic.text.screen import one_line

        remark(
            f"llx: IPython takes {one_line(prompt, 60)!r} for a call for help, since it read this cell before "
            "llx_magic was loaded: put %load_ext llx_magic into a cell before it (a file: ipython --ext llx_magic)"
        )
    unregister(shell)
    _leave_out_refused(shell)
    magics = LlxMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(hand_over_prompts)
    shell.input_transformers_post.append(hand_over_empty_cells)
    shell.events.register("post_run_cell", magics.last_error.note)
    for kind, show in _FORMATTERS.items():
        _formatter(shell, kind).for_type(REPLY, show)
    register_completer(shell, lambda: magics.notebook.completer)
    hosts.enter(magics.session)


def _leave_out_refused(shell: InteractiveShell) -> None:
    """Take out of the configuration what the magics would refuse, since with it they could not be made at all."""
    if LlxMagics.__name__ not in shell.config:
        return
    from llx_magic.commands.output import remark
    from llx_magic.errors import as_line
    from llx_magic.notebook.preferences import refused_values

    for name, problem in list(refused_values(LlxMagics, shell.config)):
        del shell.config[LlxMagics.__name__][name]
        remark(f"llx: {LlxMagics.__name__}.{name} is left out of the configuration: {as_line(problem)}")


def unregister(shell: InteractiveShell) -> None:
    """Remove all that was registered, and end background prompts, connections, thread and the embedded model."""
    magics = shell.magics_manager.registry.pop(LlxMagics.__name__, None)
    if not isinstance(magics, LlxMagics):
        return
    for kind in ("line", "cell"):
        for name in magics.magics[kind]:
            shell.magics_manager.magics[kind].pop(name, None)
    cast("list[object]", shell.configurables).remove(magics)  # its annotation is narrower than its use
    shell.input_transformers_cleanup.remove(hand_over_prompts)
    shell.input_transformers_post.remove(hand_over_empty_cells)
    shell.events.unregister("post_run_cell", magics.last_error.note)
    for kind in _FORMATTERS:
        _formatter(shell, kind).pop(REPLY, None)
    unregister_completer(shell)
    hosts.leave(magics.session)
    magics.close()
    # `llx_magic.ask` starts the thread and the embedded model without any magic.
    if background := sys.modules.get("llx_magic.engine.background"):
        background.BACKGROUND.stop()
    if embedded := sys.modules.get("llx_magic.backends.local"):
        embedded.stop()


def _cell_with_help() -> str:
    """Return the cell that IPython runs at this moment, as it was typed, if it has made calls for help of its lines.

    Both texts are public arguments of ``run_cell_async``, and nothing else tells that of a file that is run:
    https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.interactiveshell.html
    """
    frame = sys._getframe()  # noqa: SLF001 - documented, and without it inspect reads source files
    while (caller := frame.f_back) is not None:
        frame = caller
        if frame.f_code.co_name == "run_cell_async":
            has_help = "run_line_magic('pinfo" in str(frame.f_locals.get("transformed_cell"))
            return str(frame.f_locals.get("raw_cell", "")) if has_help else ""
    return ""


def register_completer(shell: InteractiveShell, completer: Callable[[], LlxCompleter]) -> None:
    """Have the shell ask the completer where a magic of ours is typed; it is imported when it is first asked."""

    @context_matcher(priority=100, identifier=COMPLETER)  # type: ignore[untyped-decorator]
    def match(context: CompletionContext) -> SimpleMatcherResult:
        if "%llx" not in context.full_text:
            return {"completions": [], "suppress": False}
        return completer().match(context)

    unregister_completer(shell)
    shell.Completer.custom_matchers.append(match)


def unregister_completer(shell: InteractiveShell) -> None:
    """Take every completer of ours away; harmless where there is none."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != COMPLETER]


class _Formatter(Protocol):
    """What IPython's formatters offer; they are not annotated themselves."""

    def for_type(self, kind: str, show: Callable[[Reply], str]) -> object: ...

    def pop(self, kind: str, default: None) -> object: ...


def _formatter(shell: InteractiveShell, kind: str) -> _Formatter:
    assert shell.display_formatter is not None
    return cast("_Formatter", shell.display_formatter.formatters[kind])


def _as_html(reply: Reply) -> str:
    from llx_magic.text.markdown import contained, markdown_to_html
    from llx_magic.text.screen import printable

    mark = "" if reply.ok else f"<p><em>{html.escape(f'incomplete: {type(reply.error).__name__}')}</em></p>"
    return f"{contained(markdown_to_html(printable(reply.text)))}{mark}"


_FORMATTERS = {"text/html": _as_html}
"""How a front end shows a Reply that is the value of a cell."""
