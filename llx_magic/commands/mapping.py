"""A run over rows as ``%%llx_map`` and ``llx map`` ask for it: its options, its course and how to go on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from llx_magic.commands.ask import effort_of
from llx_magic.commands.map import AGAIN
from llx_magic.commands.profiles import pairs, read_params
from llx_magic.commands.reading import Asked
from llx_magic.errors import UsageProblem
from llx_magic.observe.bars import MapView
from llx_magic.rows.result import MapResult, Summary
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.mapping import MapRun
from llx_magic.session.options import MapOptions
from llx_magic.session.session import Session
from llx_magic.text.screen import one_line
from llx_magic.units import plural


def balancer_of(session: Session, asked: Asked) -> LoadBalancer:
    """Return the profile to ask; what it may do is asked here, where somebody can be asked, and not for a dry run."""
    named = asked.get("profile")
    balancer = session.trusted_balancer(named) if "trust" in asked else session.balancer(named)
    if "dry-run" not in asked:
        session.consent.seek(balancer.profile)
        session.asked_last = balancer
    return balancer


def options_of(asked: Asked, schema: object) -> MapOptions:
    """Return what was asked for; ``schema`` is what ``--schema`` stands for.

    Raises:
        UsageProblem: for what is no number, setting or parameter.
    """
    return MapOptions(
        system=asked.get("system"),
        settings=pairs(asked.all("set"), "--set"),
        params=read_params(asked.all("param")),
        backend=asked.get("backend"),
        schema=schema,
        effort=effort_of(asked),
        samples=_count(asked, "samples"),
        dedupe="no-dedupe" not in asked,
        fresh="fresh" in asked,
        retry=AGAIN if "retry" in asked or f"retry-{AGAIN}" in asked else None,
        limit=_count(asked, "limit"),
        budget=_amount(asked, "budget"),
        max_errors=_count(asked, "max-errors"),
        give_up_after=_amount(asked, "give-up-after"),
        prefix=asked.get("prefix"),
        store=asked.get("store"),
    )


def seek_consent(run: MapRun, asked: Asked, read: Callable[[str], str] | None) -> None:
    """Ask before a run that will cost much; ``read`` asks, None where nobody can be asked.

    Raises:
        UsageProblem: where it is not wanted, or nobody can be asked; nothing was sent.
    """
    if "yes" in asked or (question := run.question()) is None:
        return
    if read is not None:
        with contextlib.suppress(EOFError):
            if read(f"{question}: send them? [y/N] ").strip().lower() in ("y", "yes"):
                return
    run.abandon()
    raise UsageProblem(f"{question}; --yes sends them, --budget USD stops before it costs more; nothing was sent")


def follow(run: MapRun, view: MapView) -> tuple[MapResult, bool]:
    """Carry out a run and show how it goes; return its result, and whether it was interrupted.

    A first interrupt ends the run with what is finished, a second one does not wait for that.
    """
    interrupts: list[bool] = []

    def stop() -> None:
        interrupts.append(True)
        run.stop("interrupted")

    try:
        return run.follow(view.draw, on_interrupt=stop), bool(interrupts)
    finally:
        view.close()


def how_to_go_on(result: MapResult, again: str) -> str:
    """Say how much of an interrupted run is finished, and what asks for the rest."""
    summary = result.summary
    done = summary.rows - summary.not_asked
    return f"{done:,} of {summary.rows:,} rows are finished and kept; {again} asks only what has no reply yet"


def no_reply_in_words(summary: Summary, wanted: int | None) -> str:
    """Say how many rows have no reply and why, or nothing where all have one; ``wanted`` should, None for all."""
    wanted = summary.rows if wanted is None else wanted
    missing = wanted - summary.replied
    if missing <= 0:
        return ""
    stopped, whys = summary.stopped, list[str]()
    if never := missing - summary.failed - summary.in_vain:
        whys.append(_of_rows(never, missing, f"not asked ({stopped})" if stopped else "not asked"))
    elif stopped and not any(stopped in error for error, _count in summary.errors):
        whys.append(stopped)
    whys += [_of_rows(count, missing, error) for error, count in summary.errors]
    return f"no reply for {missing:,} of {plural(wanted, 'row')}: {'; '.join(whys)}"


def _of_rows(count: int, missing: int, why: str) -> str:
    return why if count == missing else f"{plural(count, 'row')}: {why}"


def _count(asked: Asked, key: str) -> int | None:
    if (given := asked.get(key)) is None:
        return None
    if given.isascii() and given.isdecimal() and len(given) < 10 and int(given):
        return int(given)
    raise UsageProblem(f"--{key} must be a whole number, at least 1, got {one_line(given, 20)!r}")


def _amount(asked: Asked, key: str) -> float | None:
    if (given := asked.get(key)) is None:
        return None
    try:
        amount = float(given)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise UsageProblem(f"--{key} must be a positive number, got {one_line(given, 20)!r}")
    return amount
