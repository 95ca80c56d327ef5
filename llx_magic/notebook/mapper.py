"""``%%llx_map``: the cell is the prompt of every row, and the result is a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.commands import mapping
from llx_magic.commands.output import Output
from llx_magic.errors import LlxError, UsageProblem
from llx_magic.notebook.interrupts import Interrupted
from llx_magic.notebook.map_view import CellBar
from llx_magic.notebook.prompter import LAST_MAP, out_name, schema_of
from llx_magic.notebook.scope import Scope
from llx_magic.observe.bars import QuietMap
from llx_magic.session.mapping import MapRun
from llx_magic.session.row_prompts import row_template
from llx_magic.template.named import named_rows

if TYPE_CHECKING:
    from llx_magic.commands.reading import Asked
    from llx_magic.notebook.notebook import Notebook
    from llx_magic.rows.result import MapResult
    from llx_magic.template.environment import Mode


def run(here: Notebook, asked: Asked) -> Output | None:
    """Ask the prompt of every row.

    Raises:
        UsageProblem: for what cannot be asked; nothing was sent.
        LlxError: where no row has a reply; a variable that was there stays where no row was ever sent.
        Interrupted: where the user stopped it; the result of what is finished is in ``_llx_map``.
    """
    _check(asked)
    out, shell = out_name(asked), here.shell
    mode: Mode = "any" if here.preferences.expressions == "any" else "data"
    scope = Scope(shell, hidden=mode == "any", error=here.preferences.last_error)
    data = named_rows(asked["data"], mode, scope)
    balancer = mapping.balancer_of(here.session, asked)
    options = mapping.options_of(asked, schema_of(shell, asked))
    template = row_template((asked.cell or "").removesuffix("\n"), data, mode, here.table_limits)
    prepared = MapRun(balancer, data, template, options, namespace=scope)
    if "dry-run" in asked:
        return Output(str(prepared.estimate()))
    mapping.seek_consent(prepared, asked, here.session.read)
    view = QuietMap() if "quiet" in asked else here.session.map_view()
    result, was_interrupted = mapping.follow(prepared, view)
    shell.user_ns[LAST_MAP] = result
    told = _without_reply(result, prepared.progress().total)
    if told and out and out in shell.user_ns and not any(each.attempts for each in result.outcomes):
        told = f"{told}; {out} is as it was before"
    elif out:
        shell.user_ns[out] = result.frame
    shown = Output(repr(result), result._repr_html_())
    if isinstance(view, CellBar):
        view.become({"text/plain": shown.text, "text/html": shown.html})
    elif "quiet" not in asked:
        here.show(shown)
    if was_interrupted:
        raise Interrupted(mapping.how_to_go_on(result, "the cell, run again,"))
    if told:
        raise LlxError(told)
    return None


def _without_reply(result: MapResult, wanted: int | None) -> str:
    """Return why no row has a reply, or nothing where some have: then the frame says of each what came of it."""
    return "" if result.summary.replied else mapping.no_reply_in_words(result.summary, wanted)


_EXAMPLE = "%%llx_map --help shows an example"


def _check(asked: Asked) -> None:
    """Say what is missing."""
    if asked.cell is None:
        how = "write %%llx_map DATA on the first line of a cell, and below it the prompt of each row"
        raise UsageProblem(f"%llx_map has no prompt on a line of its own: {how}; {_EXAMPLE}")
    missing = {"the rows behind %%llx_map": "data" in asked, "the prompt of each row below it": asked.cell.strip()}
    if told := [what for what, is_there in missing.items() if not is_there]:
        raise UsageProblem(f"%%llx_map: missing: {' and '.join(told)}; {_EXAMPLE}")
