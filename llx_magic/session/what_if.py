"""The one change of a setting that would have helped most with the prompts of late, in a line."""

from __future__ import annotations

from collections.abc import Iterator

from llx_magic.core.totals import POINTS_WORTH_SAYING, WORTH_SAYING, Totals
from llx_magic.errors import UsageProblem
from llx_magic.session.record import ProfileRecord
from llx_magic.session.replaying import Change, Replayer, Trial
from llx_magic.settings.kinds import SettingValue

MOST_PROMPTS = 300
"""More prompts are not decided again, since that would take a notebook's processor for seconds."""

SLOW = 3.0
"""From so many times the median on, what 19 of 20 took is worth a try to shorten."""


def what_if(record: ProfileRecord) -> str:
    """Return what that change would have made of the prompts that are remembered; empty where none helps."""
    try:
        replayer = Replayer(record, None, 0)
    except UsageProblem:  # nothing has ended yet
        return ""
    if len(replayer.asked) > MOST_PROMPTS:
        return ""
    was = replayer.was_totals
    tried = [replayer.try_out(change) for change in _changes(replayer, was)]
    better = sorted((trial for trial in tried if _helps(trial.totals, was)), key=_rank)
    return next(filter(None, (trial.line(was) for trial in better)), "")


def _changes(replayer: Replayer, was: Totals) -> Iterator[Change]:
    """Yield what is tried, by what went wrong: prompts that failed, and prompts that took far longer than most."""
    in_force = replayer.record.settings()[replayer.record.members[0]]
    values: dict[str, SettingValue] = {}
    if was.failed:
        values["failover_retry_count"] = in_force.failover_retry_count + 1
    if was.p50 and was.p95 and was.p95 > SLOW * was.p50:
        values["first_token_timeout_ms"] = max(1000, round(2 * was.p50) * 1000)
        values["hedge_after_ms"] = max(500, round(3 * was.p50) * 500)
    yield from (Change({key: value}) for key, value in values.items() if getattr(in_force, key) != value)


def _helps(would: Totals, was: Totals) -> bool:
    gained = (would.success_rate or 0.0) - (was.success_rate or 0.0)
    if gained >= POINTS_WORTH_SAYING:
        return True
    return gained >= 0 and would.p95 is not None and was.p95 is not None and would.p95 < (1 - WORTH_SAYING) * was.p95


def _rank(trial: Trial) -> tuple[float, float]:
    return -(trial.totals.success_rate or 0.0), trial.totals.p95 or 0.0
