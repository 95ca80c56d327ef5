"""The one change of a setting that would have helped most with the prompts of late, in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llx_magic.core.totals import POINTS_WORTH_SAYING, WORTH_SAYING, Totals
from llx_magic.engine.leaps import Stopped, never
from llx_magic.errors import UsageProblem
from llx_magic.session.record import ProfileRecord
from llx_magic.session.replaying import Change, Replayer, Trial
from llx_magic.settings.kinds import SettingValue

MOST_PROMPTS = 300
"""So many of the latest prompts are decided again: more would take a notebook's processor for seconds."""

COURSES = 5
"""In how many courses of draws the best change must help; one is enough to find it."""

SLOW = 3.0
"""From so many times the median on, what 19 of 20 took is worth a try to shorten."""


def what_if(record: ProfileRecord, is_stopped: Callable[[], bool] = never) -> str:
    """Return what that change would have made of the latest prompts that are remembered; empty where none helps.

    It is compared with a replay of the settings in force, since replaying alone makes some difference. Soon after
    ``is_stopped`` says so, nothing more is tried, and nothing is found.
    """
    try:
        replayer = Replayer(record, None, 0, MOST_PROMPTS, is_stopped)
        if (best := _best(replayer)) is None:
            return ""
        now, sure = (replayer.try_out(change, COURSES) for change in (Change({}), best))
    except (UsageProblem, Stopped):  # nothing has ended yet, or nobody wants to know any longer
        return ""
    if replayer.is_groundless(sure, "answered", "p95") or not _helps(sure.totals, now.totals):
        return ""
    return sure.line(now) or ""


def _best(replayer: Replayer) -> Change | None:
    """Return the change that helps most in one course."""
    now = replayer.try_out(Change({}), 1).totals
    trials = (replayer.try_out(change, 1) for change in _changes(replayer, now))
    better = [trial for trial in trials if _helps(trial.totals, now)]
    return min(better, key=_rank).change if better else None


def _changes(replayer: Replayer, now: Totals) -> Iterator[Change]:
    """Yield what is tried, by what went wrong: prompts that failed, and prompts that took far longer than most."""
    in_force = replayer.record.settings()[replayer.record.members[0]]
    values: dict[str, SettingValue] = {}
    if now.failed:
        values["failover_retry_count"] = in_force.failover_retry_count + 1
    if now.p50 and now.p95 and now.p95 > SLOW * now.p50:
        values["first_token_timeout_ms"] = max(1000, round(2 * now.p50) * 1000)
        values["hedge_after_ms"] = max(500, round(3 * now.p50) * 500)
    yield from (Change({key: value}) for key, value in values.items() if getattr(in_force, key) != value)


def _helps(would: Totals, now: Totals) -> bool:
    gained = (would.success_rate or 0.0) - (now.success_rate or 0.0)
    if gained >= POINTS_WORTH_SAYING:
        return True
    return gained >= 0 and would.p95 is not None and now.p95 is not None and would.p95 < (1 - WORTH_SAYING) * now.p95


def _rank(trial: Trial) -> tuple[float, float]:
    return -(trial.totals.success_rate or 0.0), trial.totals.p95 or 0.0
