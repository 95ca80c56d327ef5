"""Who shares a backend: what each process says of itself there, and what is known of all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

import msgspec

LONGEST_CARD = 1_000
"""How many bytes what a process says of itself has at most; more is not read."""

LONGEST_NAME = 60
"""How many characters of a host's or a process's name are told."""

Circuit = Literal["closed", "open", "half-open", "disabled"]

_Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e10)]


RECENT_SECONDS, APART_SECONDS = 60.0, 1.0
"""How far back requests count as recent, and how often their number is noted at most."""


class Recent:
    """How many of a count are of the last minute, as far as it was looked at; for one thread at a time."""

    def __init__(self, total: int, now: float) -> None:
        self._noted = deque([(now, total)])

    def count(self, total: int, now: float) -> int:
        """Return by how much the count has grown in the last minute; after a reset it begins anew."""
        noted = self._noted
        if noted and total < noted[-1][1]:
            noted.clear()
        if not noted or noted[-1][0] <= now - APART_SECONDS:
            noted.append((now, total))
        while len(noted) > 1 and noted[1][0] <= now - RECENT_SECONDS:
            noted.popleft()
        return total - noted[0][1]


class Card(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a process says of itself and of one backend, every few seconds. Times are in seconds.

    ``process`` is its number there, ``name`` what a person knows it by, such as the notebook's; ``since`` is how long
    it has shared the backend, ``requests`` how often it has asked it in the last minute. ``circuit`` is its own
    opinion, ``level`` how many rows at once it has found so far that the backend bears, None before the first row. The
    limits are its own settings.
    """

    host: _Name
    process: _Count
    name: _Name = ""
    since: _Seconds = 0.0
    requests: _Count = 0
    under_way: _Count = 0
    circuit: Circuit = "closed"
    probe_in: _Seconds = 0.0
    cooling_down: _Seconds | None = None
    level: _Count | None = None
    rpm_limit: _Count | None = None
    tpm_limit: _Count | None = None
    concurrency_limit: _Count | None = None


_decode = msgspec.json.Decoder(Card).decode


def card_of(raw: bytes | None) -> Card | None:
    """Return what a process has said; None where that is nothing, too long, or not of this form."""
    if raw is None or len(raw) > LONGEST_CARD:
        return None
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class Peer(NamedTuple):
    """A process that shares a backend; it was heard so many ``seconds`` ago.

    ``card`` is None where it does not say who it is, as one of an older version. ``is_here`` marks this process itself.
    """

    card: Card | None
    seconds: float
    is_here: bool = False
    has_probe: bool = False


class Used(NamedTuple):
    """What counts against the common limits, each by the name of its setting; nothing counts where nobody has one."""

    rpm_limit: float = 0.0
    tpm_limit: float = 0.0
    concurrency_limit: float = 0.0


class Peers(NamedTuple):
    """All who share a backend: how many there are, as many of them as are looked at, and what they use of limits."""

    total: int = 0
    each: tuple[Peer, ...] = ()
    used: Used = Used()

    @property
    def cards(self) -> list[Card]:
        """What they say of themselves."""
        return [peer.card for peer in self.each if peer.card is not None]


class SharedBackend(NamedTuple):
    """One backend with all who share it; where that is not known, ``why`` says so in a few words."""

    name: str
    peers: Peers = Peers()
    why: str = ""

    @property
    def level(self) -> int | None:
        """How many rows at once all together give the backend, as each has found out; None where none asks any."""
        found = [card.level for card in self.peers.cards if card.level is not None]
        return sum(found) if found else None

    def limits(self, setting: str) -> list[int]:
        """Return the different limits that those who share it go by, the least first."""
        found: set[int | None] = {getattr(card, setting) for card in self.peers.cards}
        return sorted(limit for limit in found if limit is not None)


class Process(NamedTuple):
    """One process with what it says of each backend, by the backend's name. ``card`` is one of these, or None."""

    card: Card | None
    at: dict[str, Peer]

    @property
    def is_here(self) -> bool:
        """Whether it is this one."""
        return any(peer.is_here for peer in self.at.values())

    @property
    def since(self) -> float:
        """For how many seconds it has been there."""
        return max((peer.card.since + peer.seconds for peer in self.at.values() if peer.card), default=0.0)

    @property
    def requests(self) -> int:
        """How often it has asked any of the backends in the last minute."""
        return sum(peer.card.requests for peer in self.at.values() if peer.card)


class Shared(NamedTuple):
    """The backends of a profile with all who share them; where nothing is known of any, ``why`` says so."""

    profile: str
    backends: tuple[SharedBackend, ...] = ()
    why: str = ""

    @property
    def processes(self) -> tuple[Process, ...]:
        """Every process, this one first, then those that have been there the longest."""
        found: dict[object, Process] = {}
        for backend in self.backends:
            for place, peer in enumerate(backend.peers.each):
                card = peer.card
                key = (backend.name, place) if card is None else (card.host, card.process, card.name)
                found.setdefault(key, Process(card, {})).at[backend.name] = peer
        return tuple(sorted(found.values(), key=lambda each: (not each.is_here, -each.since)))

    @property
    def limits(self) -> tuple[str, ...]:
        """The limits that anybody has for any of the backends, by the names of their settings."""
        return tuple(name for name in Used._fields if any(backend.limits(name) for backend in self.backends))

    @property
    def has_levels(self) -> bool:
        """Whether anybody asks rows of any of the backends."""
        return any(backend.level is not None for backend in self.backends)

    @property
    def is_alone(self) -> bool:
        """Whether this process is the only one."""
        return [process.is_here for process in self.processes] == [True]


def peers_of(found: Iterable[Peer], total: int, used: Used) -> Peers:
    """Return all who share a backend, of ``total`` those that were ``found``.

    A process whose profiles share it several times is one of them. This one comes first, then who has the probe, then
    those who were heard last.
    """
    each: dict[object, Peer] = {}
    for peer in sorted(found, key=lambda each: (not each.is_here, each.seconds)):
        card = peer.card
        key = len(each) if card is None else (card.host, card.process, card.name)
        total -= key in each
        each[key] = _together(each[key], peer) if key in each else peer
    ordered = sorted(each.values(), key=lambda each: (not each.is_here, not each.has_probe, each.seconds))
    return Peers(max(total, len(ordered)), tuple(ordered), used)


def _together(one: Peer, other: Peer) -> Peer:
    """Return what one process has said twice, of two profiles, as said once; the opinion is the later one."""
    assert one.card is not None
    assert other.card is not None
    levels = [card.level for card in (one.card, other.card) if card.level is not None]
    card = msgspec.structs.replace(
        one.card,
        since=max(one.card.since, other.card.since),
        requests=one.card.requests + other.card.requests,
        under_way=one.card.under_way + other.card.under_way,
        level=sum(levels) if levels else None,
    )
    return Peer(card, min(one.seconds, other.seconds), one.is_here or other.is_here, one.has_probe or other.has_probe)
