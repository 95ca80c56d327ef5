"""Situations in which a dashboard is looked at, each lived through by the real engine on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from llx_magic.core.breaker import CircuitState
from llx_magic.core.events import BackendEvent, BackendRemoved, Event
from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.timeline import Timeline
from llx_magic.dashboard.view import View
from llx_magic.profiles.document import ModelProfile
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import balancer, clock_of, settle, simulated

EPOCH = 1_790_000_000.0
"""When the virtual clock was zero."""

PATIENT = {"timeout_ms": 3_600_000, "first_token_timeout_ms": 3_600_000, "stall_timeout_ms": 3_600_000}


class Picture(NamedTuple):
    """What a dashboard is drawn from, and words that have to stand in it."""

    snapshot: Snapshot
    view: View
    says: tuple[str, ...] = ()


class Life:
    """A profile's life: its prompts are asked one after the other, with pauses between them."""

    def __init__(self, *members: ModelProfile, order: str = "failover", **settings: Any) -> None:
        self.lb: LoadBalancer = balancer(*members, order=order, **settings)
        self.timeline = Timeline("elapsed", EPOCH)
        self.lb.subscribe(self.timeline.fold)

    def rename(self, names: Mapping[str, str]) -> Life:
        """Let the backends be known by other names from now on."""
        self.lb.unsubscribe(self.timeline.fold)

        def fold(event: Event) -> None:
            if isinstance(event, BackendEvent):
                event = msgspec.structs.replace(event, backend=names[event.backend])
            self.timeline.fold(event)

        self.lb.subscribe(fold)
        return self

    def live(self, *pauses: float) -> Life:
        """Ask a prompt before each pause of so many seconds."""

        async def all_of_them() -> None:
            for pause in pauses:
                await asyncio.gather(self.lb.ask("why"), return_exceptions=True)
                clock_of(self.lb).advance(pause)
                await settle(3)

        asyncio.run(all_of_them())
        return self

    def seen(self, *says: str, span: float = 300.0) -> Picture:
        """Return what the dashboard is drawn from now."""
        snapshot = self.lb.snapshot()
        return Picture(snapshot, self.timeline.view(snapshot, span), says)


def three(*scripts: str, **settings: Any) -> Life:
    """Three backends, ``fast``, ``deep`` and ``spare``, of which each follows its script."""
    told = [*scripts, "ok", "ok", "ok"][:3]
    members = [
        simulated(name, script, latency_ms=latency, completion_tokens=60, cycle=True)
        for name, script, latency in zip(("fast", "deep", "spare"), told, (300, 1500, 2500), strict=True)
    ]
    return Life(*members, **settings)


def nothing_asked() -> Picture:
    return three().seen("not asked yet")


def one_request() -> Picture:
    return three().live(1.0).seen("answering", "1 of 1 prompt answered")


def three_hours() -> Picture:
    down = ",".join(["ok"] * 60 + ["503"] * 9 + ["ok"] * 60)
    return three(down).live(*[60.0] * 180).seen("fast", span=10_800.0)


def flapping() -> Picture:
    life = three("503,503,ok,ok", circuit_breaker_failure_threshold=2, circuit_breaker_recovery_timeout_ms=5000)
    return life.live(*[4.0] * 60).seen("503")


def all_out() -> Picture:
    life = three("503", "500", "reset", circuit_breaker_failure_threshold=2)
    return life.live(2.0, 2.0, 2.0, 1.0).seen("out, next try in", "failed")


def all_cooling() -> Picture:
    return three("429:60", "429:90", "429:3600", cooldown_wait_ms=0).live(2.0, 1.0).seen("cooling down")


def a_backend_removed() -> Picture:
    life = three("503", circuit_breaker_failure_threshold=2).live(*[3.0] * 6)
    at = life.lb.snapshot().at
    life.timeline.fold(BackendRemoved(at=at, request=0, backend="fast", before=CircuitState.OPEN))
    found = life.seen("deep", "spare")
    snapshot = replace(found.snapshot, backends=found.snapshot.backends[1:])
    return found._replace(snapshot=snapshot, view=life.timeline.view(snapshot, 300.0))


def from_a_fifth_of_a_millisecond_to_nine_minutes() -> Picture:
    members = [simulated(name, latency_ms=latency, completion_tokens=9)
               for name, latency in (("quick", 0.2), ("usual", 2000), ("slow", 540_000))]  # fmt: skip
    return Life(*members, order="roundrobin", **PATIENT).live(*[1.0] * 6).seen("9 min", "0.2 ms", span=3600.0)


def from_three_to_three_million_tokens() -> Picture:
    members = [simulated(f"rate-{count}", latency_ms=60_000, completion_tokens=count, prompt_tokens=0)
               for count in (3, 3_000, 3_000_000)]  # fmt: skip
    life = Life(*members, order="roundrobin", tpm_threshold=5, **PATIENT)
    return life.live(*[1.0] * 6).seen("rate-3000000", span=3600.0)


def one_backend() -> Picture:
    return Life(simulated("alone", "ok,503,ok", latency_ms=700, cycle=True)).live(*[5.0] * 8).seen("alone")


def forty_backends() -> Picture:
    members = [
        simulated(
            f"node-{place:02}", "503,ok" if place % 5 == 0 else "ok", latency_ms=100 * place, completion_tokens=50
        )
        for place in range(1, 41)
    ]
    life = Life(*members, order="roundrobin", circuit_breaker_failure_threshold=1)
    return life.live(*[1.0] * 27).seen("node-01", "more:")


LONG = "a-backend-whose-name-is-as-long-as-any-name-may-ever-be-0123"
NAMES = (LONG, "모델-서버-하나", "خادم-النموذج", "मॉडल-सर्वर", "模型服务器一号", "Größe-ÅÄÖ-œ", "🚀-rocket")


def long_names_and_other_scripts() -> Picture:
    """A profile's own names are of Latin letters; what shows a name must bear any."""
    scripts = ("503", "429:60", "ok", "ok", "ok", "ok", "ok")
    members = [simulated(f"b{place}", script, latency_ms=900, completion_tokens=60)
               for place, script in enumerate(scripts)]  # fmt: skip
    life = Life(*members, circuit_breaker_failure_threshold=2, cooldown_wait_ms=0)
    named = {f"b{place}": name for place, name in enumerate(NAMES)}
    life.rename(named).live(*[2.0] * 5)
    found = life.lb.snapshot()
    snapshot = replace(found, backends=tuple(replace(each, name=named[each.name]) for each in found.backends))
    return Picture(snapshot, life.timeline.view(snapshot, 300.0), (LONG[:20], NAMES[3]))


def many_hops() -> Picture:
    """Each prompt meets skips, retries, a cool-down and a reply that broke off before somebody answers."""
    scripts = {"primary": "503", "limited": "429:30", "broken": "cut:4", "refusing": "401", "last": "ok"}
    members = [simulated(name, script, latency_ms=400, completion_tokens=80) for name, script in scripts.items()]
    life = Life(*members, circuit_breaker_failure_threshold=2, failover_retry_count=2, cooldown_wait_ms=0)
    return life.live(*[3.0] * 5).seen("last answered", "skipped")


def below_its_floor() -> Picture:
    members = [simulated("fast", latency_ms=4000, completion_tokens=10), simulated("deep", latency_ms=900)]
    return Life(*members, tpm_threshold=5000).live(*[1.0] * 6).seen("floor")


SITUATIONS: dict[str, Callable[[], Picture]] = {
    make.__name__.replace("_", " "): make
    for make in (
        nothing_asked, one_request, three_hours, flapping, all_out, all_cooling, a_backend_removed,
        from_a_fifth_of_a_millisecond_to_nine_minutes, from_three_to_three_million_tokens, one_backend,
        forty_backends, long_names_and_other_scripts, many_hops, below_its_floor,
    )
}  # fmt: skip
"""By what they are."""
