"""What watching costs: our calls with nobody watching, with debug lines, a subscriber, and OpenTelemetry.

The load balancers are in one process and take their turns in each round; a figure is the median of the ratios to the
plain one's in the same round. Events and statistics are made in every case: they are what the rest is made of. Debug
lines go to a null device, spans and metrics to exporters in memory.

    python benchmarks/observing.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from kernel import arguments, save, table
from quick_server import QuickServer

from llx_magic import Connection, LoadBalancer, ModelProfile, Profile
from llx_magic.core.events import Event
from llx_magic.observe.debug import VARIABLE
from llx_magic.observe.otel import instrument

PLAIN, SUBSCRIBER, DEBUG = "plain", "a subscriber that counts", "`LLXPRT_DEBUG=llxprt:*`"
TRACES, BOTH = "OpenTelemetry traces", "OpenTelemetry traces and metrics"
CALLS = 256
AT_A_TIME = {"one call after another, time per call": 1, "64 at a time, CPU per call": 64}


class Watched:
    """One load balancer and what watches it."""

    def __init__(self, way: str, url: str) -> None:
        members = [
            ModelProfile(name, "openai", "some-model", connection=Connection(base_url=f"{url}/v1"))
            for name in ("first", "second")
        ]
        profile = Profile.failover(f"bench-{len(way)}", members, {"streaming": "disabled"})
        self._way = way
        self._balancer = LoadBalancer(profile, isolated=True)
        self._seen = 0
        if way == SUBSCRIBER:
            self._balancer.subscribe(self._count)
        if way in {TRACES, BOTH}:
            self._instrument(metrics=way == BOTH)

    def _count(self, _event: Event) -> None:
        self._seen += 1

    def _instrument(self, *, metrics: bool) -> None:
        from opentelemetry.metrics import NoOpMeterProvider
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._spans = InMemorySpanExporter()
        traces = TracerProvider()
        traces.add_span_processor(BatchSpanProcessor(self._spans))
        measured = MeterProvider([InMemoryMetricReader()]) if metrics else NoOpMeterProvider()
        instrument(self._balancer, tracer_provider=traces, meter_provider=measured)

    async def sample(self, at_a_time: int) -> tuple[float, float]:
        """Return the seconds and the processor's seconds of a call."""

        async def caller() -> None:
            for _ in range(CALLS // at_a_time):
                await self._balancer.ask("Why?")

        with self._lines():
            begun, processor = time.perf_counter(), time.process_time()
            await asyncio.gather(*(caller() for _ in range(at_a_time)))
            taken = (time.perf_counter() - begun) / CALLS, (time.process_time() - processor) / CALLS
        if self._way in {TRACES, BOTH}:
            self._spans.clear()
        return taken

    @contextlib.contextmanager
    def _lines(self) -> Iterator[None]:
        if self._way != DEBUG:
            yield
            return
        os.environ[VARIABLE] = "llxprt:*"
        try:
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
                yield
        finally:
            del os.environ[VARIABLE]

    async def aclose(self) -> None:
        await self._balancer.aclose()


Samples = dict[str, dict[str, list[tuple[float, float]]]]


async def measure(url: str, rounds: int) -> Samples:
    """Return the samples by what is measured and by way."""
    watched = {way: Watched(way, url) for way in (PLAIN, SUBSCRIBER, DEBUG, TRACES, BOTH)}
    samples: Samples = {what: {way: [] for way in watched} for what in AT_A_TIME}
    for number in range(rounds + 1):
        for what, at_a_time in AT_A_TIME.items():
            for way, each in watched.items():
                taken = await each.sample(at_a_time)
                if number:  # the first round is for warming up
                    samples[what][way].append(taken)
    for each in watched.values():
        await each.aclose()
    return samples


def main() -> None:
    given = arguments(__doc__, 21)
    os.environ.pop(VARIABLE, None)
    with QuickServer() as server:
        samples = asyncio.run(measure(server.url, given.rounds))
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for what, ways in samples.items():
        at = int(AT_A_TIME[what] > 1)  # the time that passes, and of many at a time the processor's
        for way, taken in ways.items():
            ratios = [mine[at] / plain[at] for mine, plain in zip(taken, ways[PLAIN], strict=True)]
            microseconds = statistics.median(each[at] for each in taken) * 1e6
            figures.setdefault(way, {})[what] = {"ratio": statistics.median(ratios), "microseconds": microseconds}
    rows = [
        (way, *(f"{each[what]['ratio']:.2f} ({each[what]['microseconds']:,.0f} µs)" for what in AT_A_TIME))
        for way, each in figures.items()
    ]
    table(["watched by", *AT_A_TIME], rows)
    save(given.json, {"benchmark": "observing", "figures": figures})


if __name__ == "__main__":
    main()
