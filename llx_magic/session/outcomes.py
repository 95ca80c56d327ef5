"""What became of a row, from the reply that it got or the one that was stored."""

from __future__ import annotations

from dataclasses import replace

from llx_magic.core.parking import Tries
from llx_magic.core.reply import Reply
from llx_magic.replies.record import Stored
from llx_magic.rows.outcome import Outcome, Status
from llx_magic.session.feed import MapRow
from llx_magic.text.shape import Read, Shape


def of_all_rounds(reply: Reply, tries: Tries, now: float) -> Reply:
    """Return the reply to a row that was put back with the attempts and the time of all its rounds."""
    seconds = reply.seconds if tries.began is None else now - tries.began
    return replace(reply, attempts=reply.attempts + tries.attempts, seconds=seconds)


def of_reply(place: int, reply: Reply) -> Outcome:
    """Return what became of a row that was asked; a reply that is not what was asked for has failed."""
    misfit = None if reply.read is None else reply.read.problem
    tokens_in, tokens_out = reply.all_tokens
    return Outcome(
        place=place,
        status="answered" if misfit is None else "failed",
        text=reply.text,
        value=None if reply.read is None else reply.read.value,
        error=None if misfit is None else str(misfit),
        backend=reply.backend,
        model=reply.model,
        attempts=reply.attempts,
        seconds=reply.seconds,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=reply.cost,
    )


def of_failure(row: MapRow, error: str) -> Outcome:
    """Return what became of a row that has failed."""
    attempts = row.tries.attempts if row.tries else None
    return Outcome(place=row.place, status="failed", error=error, attempts=attempts)


def in_vain(place: int, tries: Tries) -> Outcome:
    """Return what became of a row that nobody had answered when the run ended."""
    error = f"tried in vain until the run ended: {tries.error}"
    return Outcome(place=place, status="not asked", error=error, attempts=tries.attempts)


def of_stored(place: int, stored: Stored, status: Status, shape: Shape | None = None) -> Outcome:
    """Return what became of a row that need not be asked; with ``shape`` its value is read from the text."""
    usage = stored.usage
    return Outcome(
        place=place,
        status="failed" if stored.error else status,
        value=None if shape is None or stored.error is not None else Read.of(stored.text, shape).value,
        text=stored.text or None,
        error=stored.error,
        backend=stored.backend,
        model=stored.model or None,
        attempts=stored.attempts,
        seconds=stored.seconds,
        tokens_in=None if usage is None else usage.prompt_tokens,
        tokens_out=None if usage is None else usage.completion_tokens,
        cost=stored.cost,
    )
