"""``%llx_tune`` and ``llx tune``: which settings would have served a history best; it changes nothing."""

from __future__ import annotations

import html
from typing import get_args

from llx_magic.commands.command import Command, Option
from llx_magic.commands.earlier import replayer_of
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown, bullet_list
from llx_magic.commands.reading import Asked
from llx_magic.commands.replay import HISTORY
from llx_magic.commands.sources import ANOTHER_PROFILE
from llx_magic.session.tuning import Aim, read_aim, tune
from llx_magic.units import duration, number, percent, plural

COMMAND = Command(
    run="llx_magic.commands.tune:run",
    options=(
        ANOTHER_PROFILE,
        Option("--for", "AIM", "what is to become better; success where left out", choices=get_args(Aim)),
        HISTORY,
    ),
)


def run(here: Here, asked: Asked) -> Shown:
    """Show the best three changes, a sentence each, and how many were tried.

    Raises:
        LlxError: for a history that cannot be used, and where nothing is remembered.
    """
    aim = read_aim(asked.get("for") or "success")
    replayer = replayer_of(here, asked)
    tuned = tune(replayer, aim)
    now = tuned.now.totals
    head = (
        f"{plural(now.prompts, 'prompt')} of {replayer.record.name}; the settings in force come to "
        f"{percent(now.success_rate)} answered, p95 {duration(now.p95)}"
        f"{'' if now.cost is None else f', cost {number(now.cost)}'}; {plural(tuned.tried, 'change')} tried for {aim}"
    )
    if not tuned.best:
        return Shown(f"{head}\nnone of them is better")
    text = bullet_list(head, [advice.sentence for advice in tuned.best])
    items = "".join(f"<li>{html.escape(advice.sentence)}</li>" for advice in tuned.best)
    best = tuned.best[0].trial
    return Shown(text, f"<p>{html.escape(head)}</p><ol>{items}</ol>", frame=lambda: replayer.frame(best))
