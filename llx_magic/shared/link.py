"""One gate's link to the others that share its backend, as the thread sees it that talks to the server."""

from __future__ import annotations

import contextlib
import secrets
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llx_magic.core.sharing import Answer, Fact, Wish
from llx_magic.locks import ForkSafeLock

if TYPE_CHECKING:
    from llx_magic.core.ports import Ear

_encode, _decode = msgspec.json.encode, msgspec.json.Decoder(Fact).decode

Number = tuple[int, int]
"""The number of an entry in its stream: milliseconds of the server's clock, and which of that millisecond it is."""


class Entry(NamedTuple):
    """A fact as it stands in a stream; ``age`` is how many seconds old it was when it was written."""

    stream: str
    number: Number
    origin: str
    backend: str
    raw: bytes
    age: float


def as_bytes(fact: Fact) -> bytes:
    """Return a fact as it is written."""
    return _encode(fact)


class RedisLink:
    """Sends what a gate says, and hands it what others have said about the same backend."""

    def __init__(
        self,
        backend: str,
        ear: Ear,
        send: Callable[[RedisLink, Sequence[Fact | Wish]], None],
        give_up: Callable[[], None],
    ) -> None:
        self.backend = backend
        self.origin = secrets.token_hex(8)
        self._ear = weakref.ref(ear)
        self._since = time.monotonic()
        self._send = send
        self._give_up = give_up
        self._lock = ForkSafeLock()
        self._last: dict[str, Number] = {}
        self._early: list[tuple[Entry, float]] | None = []
        self.is_left = False
        self.is_probing = False

    def renew(self) -> None:
        """Begin anew as another process: this one is a copy of the one that began the link."""
        self.origin, self.is_probing, self._early = secrets.token_hex(8), False, []
        self._since = time.monotonic()

    def send(self, messages: Sequence[Fact | Wish]) -> None:
        """Say something to the others or to the server."""
        self._send(self, messages)

    def give_up(self) -> None:
        """Take that nobody is reached."""
        self._give_up()

    def leave(self) -> None:
        """Hear nothing any more."""
        self.is_left = True

    def tell(self, answer: Answer) -> None:
        """Hand on what the server says."""
        if not self.is_left and (ear := self._ear()) is not None:
            ear.be_told(answer)

    def card(self) -> bytes:
        """Return what this process says of itself, as it is written; nothing where it does not."""
        ear = self._ear()
        card = None if ear is None else ear.card(time.monotonic() - self._since)
        return b"" if card is None else _encode(card)

    def welcome(self, history: Sequence[tuple[Entry, float]]) -> None:
        """Hand on what was said before, once, then what came meanwhile."""
        with self._lock:
            early, self._early = self._early, None
            for entry, age in (*history, *(early or ())):
                self._hear(entry, age)

    @property
    def is_new(self) -> bool:
        """Whether it knows nothing yet of what was said before."""
        return self._early is not None

    def hear(self, entry: Entry, age: float) -> None:
        """Take an entry of a stream that is so many seconds old."""
        if entry.backend != self.backend or entry.origin == self.origin or self.is_left:
            return
        with self._lock:
            if self._early is not None:
                self._early.append((entry, age))
            else:
                self._hear(entry, age)

    def rewind(self, stream: str, number: Number) -> None:
        """Take that a stream goes on after an earlier entry: another server has taken the place of the first."""
        with self._lock:
            if stream in self._last:
                self._last[stream] = min(number, self._last[stream])

    def _hear(self, entry: Entry, age: float) -> None:
        if entry.backend != self.backend or entry.origin == self.origin:
            return
        if entry.number <= self._last.get(entry.stream, (0, 0)):
            return
        self._last[entry.stream] = entry.number
        with contextlib.suppress(msgspec.DecodeError):  # of another version
            fact = _decode(entry.raw)
            if (ear := self._ear()) is not None:
                ear.hear(fact, max(0.0, age))
