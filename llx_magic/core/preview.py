"""What a gate would say to a request, in words; nobody is let in, and nothing is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.core.admission import Applicant
from llx_magic.core.events import BackendSkipped, SkipReason
from llx_magic.core.holding import SOON_SECONDS
from llx_magic.units import countdown

if TYPE_CHECKING:
    from llx_magic.core.gate import Gate
    from llx_magic.settings.declaration import Settings


def preview(gate: Gate, now: float, settings: Settings, *, only_candidate: bool) -> str:
    """Say what ``Gate.admit`` would decide now."""
    refusal = gate.refusal(Applicant(request=0, only_candidate=only_candidate), now, settings)
    if refusal is not None and not _is_for_others_to_say(gate, refusal):
        left = f", {countdown(refusal.seconds_left)} left" if refusal.seconds_left else ""
        return f"{'waited for' if only_candidate else 'skipped'}: {refusal.message}{left}"
    if gate.probe_due(now, settings):
        return "asked once, as the probe of its half-open circuit"
    measured = gate.measure_tpm(0, now, settings)
    if len(measured) > 1 and not only_candidate:
        return "put aside for its tokens per minute, asked only if no other answers"
    return "asked once" if (most := settings.failover_retry_count) == 1 else f"asked, up to {most} times"


def _is_for_others_to_say(gate: Gate, refusal: BackendSkipped) -> bool:
    """Return whether a refusal stands only because the others have not been asked for a place, or the probe."""
    left, is_scarce = refusal.seconds_left, refusal.reason is not SkipReason.COOLING_DOWN
    return gate.sharing is not None and is_scarce and left is not None and left <= SOON_SECONDS
