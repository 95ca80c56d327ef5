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
from llx_magic.core.totals import WORDS
from llx_magic.session.tuning import Aim, Tuned, read_aim, tune
from llx_magic.text.wording import listed
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
        f"{percent(now.success_rate)} answered, {WORDS['p95']} {duration(now.p95)}"
        f"{'' if now.cost is None else f', cost {number(now.cost)}'}; {plural(tuned.tried, 'change')} tried for {aim}"
    )
    said = [advice.sentence for advice in tuned.best]
    below = _others(tuned)
    if not said:
        return Shown(f"{head}\n{below or 'none of them is better'}")
    items = "".join(f"<li>{html.escape(each)}</li>" for each in said)
    shown = f"<p>{html.escape(head)}</p><ol>{items}</ol><p>{html.escape(below)}</p>"
    best = tuned.best[0].trial
    text = "\n".join(filter(None, (bullet_list(head, said), below)))
    return Shown(text, shown, frame=lambda: replayer.frame(best))


def _others(tuned: Tuned) -> str:
    """Say of what seemed better too why it is not recommended."""
    if not tuned.doubts:
        return ""
    names = listed([str(trial.change) for trial in tuned.doubtful])
    return f"not recommended, since it cannot be told how much better: {names} ({tuned.doubts})"
