"""The headline: the profile's name, the sentence that says what is going on, and what became of the prompts."""

from __future__ import annotations

from html import escape

from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.parts.part import Part, Piece, Scene, written
from llx_magic.dashboard.view import View
from llx_magic.observe.report import spent_in_words, times_in_words
from llx_magic.observe.status.status import MARK
from llx_magic.units import duration, number, percent, plural


def totals(snapshot: Snapshot) -> str:
    """Return what became of the prompts, how fast they were answered, and what they took."""
    prompts = snapshot.prompts
    if not prompts.asked:
        return "no prompt yet"
    ended = prompts.answered + prompts.failed
    share = f" ({percent(prompts.answered, ended)})" if prompts.failed else ""
    told = [f"{number(prompts.answered)} of {plural(prompts.asked, 'prompt')} answered{share}"]
    others = {"failed": prompts.failed, "cancelled": prompts.cancelled, "running": prompts.running}
    told += [f"{number(count)} {name}" for name, count in others.items() if count]
    told += times_in_words(prompts)
    if tokens := sum(backend.tokens for backend in snapshot.backends):
        told.append(plural(tokens, "token"))
    if spent := spent_in_words(snapshot):
        told.append(f"spent {spent}")
    return " · ".join(told)


def beside(snapshot: Snapshot, view: View) -> str:
    """Return what stands beside the profile's name: its routing, and the time that is drawn."""
    span = f"last {duration(view.span)}" if view.now - view.since >= view.span else "from the first prompt on"
    return f"{snapshot.policy} · {span}"


def _draw(scene: Scene) -> dict[str, Piece]:
    status = scene.status
    mark = "" if status.is_calm else f"<i aria-hidden='true'>{MARK}</i> "
    more = escape(beside(scene.snapshot, scene.view))
    return {
        "headline": written(
            f"<div><b class='pn'>{escape(status.profile)}</b> <small>{more}</small></div>"
            f"<div class='sn'>{mark}{escape(status.sentence)}</div>"
            f"<div class='tt'>{escape(totals(scene.snapshot))}</div>"
        )
    }


PART = Part(
    name="headline",
    draw=_draw,
    style="""
.llx .pn{font-size:18px}
.llx .sn{font-size:15px;font-weight:600;margin:2px 0}
.llx .sn i{font-style:normal}
.llx .tt{color:var(--m);margin-bottom:6px}
""",
)
