"""The metrics that are reported to OpenTelemetry; names and units are the conventions' where they have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4.0**power for power in range(14))


class Instruments:
    """The metrics that are kept."""

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, unit: str, description: str, bounds: tuple[float, ...] = _SECONDS) -> Histogram:
            return meter.create_histogram(
                name, unit=unit, description=description, explicit_bucket_boundaries_advisory=bounds
            )

        self.duration = histogram(
            "gen_ai.client.operation.duration", "s", "Requests from start to end, all attempts and waits included"
        )
        self.tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens of each reply, as reported", _TOKENS)
        self.first = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s",
            "From sending to the first piece, in the attempt that answered",
        )  # fmt: skip
        self.per_chunk = histogram(
            "gen_ai.client.operation.time_per_output_chunk", "s", "Mean time of each reply from one piece to the next"
        )
        self.attempt = histogram("llx.attempt.duration", "s", "Attempts from sending to their end")
        self.skips = meter.create_counter("llx.skips", "{skip}", "Backends passed over without a visit")
        self.restarts = meter.create_counter("llx.restarts", "{restart}", "Replies withdrawn half-way")
        self.circuits = meter.create_counter("llx.circuit.changes", "{change}", "Changes of a circuit's state")
