"""``%llx_replay`` and ``llx replay``: what a history would have come to under other settings."""

from __future__ import annotations

from llx_magic.commands.command import Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown
from llx_magic.commands.profiles import pairs
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE, files, settings
from llx_magic.core.routing import ROUTINGS
from llx_magic.core.totals import Totals
from llx_magic.observe.report import html_table, text_table
from llx_magic.session.replaying import Replayer, Trial, change_of
from llx_magic.units import duration, number, percent, plural

HISTORY = Option(
    "--history",
    "FILE",
    "a history that was saved, in place of what is remembered of this session",
    complete=files,
)

COMMAND = Command(
    run="llx_magic.commands.replay:run",
    options=(
        ANOTHER_PROFILE,
        Option("--set", "key=value", "a setting that is tried; may be repeated", complete=settings, repeats=True),
        Option("--policy", "POLICY", "another policy that is tried", complete=lambda _at: ROUTINGS),
        HISTORY,
    ),
)


_FIGURES = (1, 2)
"""The columns of numbers."""


def run(here: Here, asked: Asked) -> Shown:
    """Show what the prompts came to beside what they would have come to; nothing is sent and nothing is changed.

    Raises:
        LlxError: for a setting, a policy or a history that cannot be used, and where nothing is remembered.
    """
    change = change_of(pairs(asked.all("set"), "--set"), asked.get("policy"))
    balancer = here.session.balancer(asked.get("profile"))
    replayer = Replayer(balancer, asked.get("history"), 0)
    trial = replayer.try_out(change)
    title = f"{plural(trial.totals.prompts, 'prompt')} of {balancer.name}, replayed with {change}"
    columns = ("", "was", "would be")
    rows = rows_of(replayer.was_totals, trial.totals)
    below = "\n".join(remarks(replayer, trial))
    text = f"{title}\n\n{text_table(columns, rows, numbers=_FIGURES)}\n\n{below}"
    return Shown(
        text,
        html_table(columns, rows, caption=f"{title}. {below}", numbers=_FIGURES),
        frame=lambda: replayer.frame(trial),
    )


def rows_of(was: Totals, would: Totals) -> list[tuple[str, str, str]]:
    """Return a row for each figure, what it was and what it would be."""
    return [
        ("answered", percent(was.success_rate), percent(would.success_rate)),
        ("p50", duration(was.p50), duration(would.p50)),
        ("p95", duration(was.p95), duration(would.p95)),
        ("cost", number(was.cost), number(would.cost)),
        ("answered by another than the first", number(was.switches), number(would.switches)),
        ("wasted tokens", number(was.wasted_tokens), number(would.wasted_tokens)),
    ]


def remarks(replayer: Replayer, trial: Trial) -> list[str]:
    """Say how much of the answer is known, and on how little the rest stands."""
    share = trial.replayed.drawn_share
    said = ["every attempt is known from this history" if not share else f"{percent(share)} of the attempts are drawn"]
    if share:
        said[0] += " from what each backend answered at about that time; the others are known"
    said += [
        f"little is known of {name}: it was asked {plural(count, 'time')}"
        for name, count in replayer.thin(trial).items()
    ]
    return said
