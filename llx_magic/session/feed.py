"""The rows of a run in their order: read a few at a time, made into prompts, and looked up in the store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS
from llx_magic.core.parking import Tries
from llx_magic.files.drives import is_shared_drive
from llx_magic.rows.rows import Source
from llx_magic.session.keeping import Keeping
from llx_magic.session.options import Wishes
from llx_magic.session.row_prompts import Prompt, RowPrompts

if TYPE_CHECKING:
    from llx_magic.replies.claims import Claims
    from llx_magic.replies.key import Key
    from llx_magic.replies.record import Stored
    from llx_magic.replies.store import ReplyStore


LONGEST_WAIT = 600.0
"""How long in seconds the reply of another run is waited for: that may have been stopped, and not ended."""

AT_A_TIME_SECONDS = 0.05
"""For how long rows are read before they are handed on: those of a source that is slow are not to wait for more."""

SLOW_SECONDS = 0.01
"""How long a reading on the loop may take; all else there waits for it."""

READINGS_APART = 16
"""How many readings after a slow one are not done on the loop, whatever it was that took so long."""

BREATH = 0.01
"""How long in seconds is waited before the store is asked again for the last rows: a virtual clock has no patience."""


class MapRow(msgspec.Struct, eq=False, gc=False):
    """One row of a run, from when it is read until it has ended.

    ``stored`` is what the store had of it. ``followers`` have the same prompt and get its reply. ``began`` is when it
    was first sent, on the clock. Where another run asks for it, ``elsewhere`` is since when that is known. No row
    leads back to itself, so the garbage collector need not look at them, of which hundreds come at once.
    """

    place: int
    prompt: Prompt
    key: Key
    stored: Stored | None = None
    followers: list[MapRow] = []
    tries: Tries | None = None
    began: float | None = None
    elsewhere: float | None = None


class Feed:
    """Reads the rows of a source; by one thread at a time, on the loop where they are at hand.

    ``own`` are the keys that this run itself has stored; where ``wishes`` want nothing older, those count alone.
    Without a ``store`` nothing is looked up.
    """

    claims: Claims | None = None
    """What keeps other runs from asking the rows that were read; None before this one asks any."""

    def __init__(
        self,
        source: Source,
        prompts: RowPrompts,
        keeping: Keeping,
        wishes: Wishes,
        store: ReplyStore | None,
    ) -> None:
        self.total = source.length
        """How many rows there are; None where only reading tells."""
        self._rows: Iterator[tuple[int, Mapping[str, object]]] = enumerate(iter(source))
        if wishes.limit is not None:
            most = wishes.limit * wishes.samples
            self._rows = islice(self._rows, most)
            self.total = None if self.total is None else min(most, self.total)
        self._prompts = prompts
        self.keeping = keeping
        """What the rows are in the store."""
        self._key_of = keeping.keys.of
        self._asked = {*keeping.asked.values(), keeping.judges}
        self._wishes = wishes
        self._store = store
        self._occurrences: Counter[bytes] = Counter()
        self.own: set[Key] = set()
        self._began = time.time()
        self._ended: list[Key] = []
        self._elsewhere: list[MapRow] = []
        self._look_again = 0.0
        is_near = store is None or not is_shared_drive(store.path)
        self._may_be_at_hand = source.is_at_hand and prompts.is_plain and is_near
        self._apart = 0
        self.has_new = True
        """Whether there may be rows that were not read."""

    @property
    def tells_own(self) -> bool:
        """Whether ``own`` is of use, which takes memory with every row."""
        return self._wishes.fresh or self._wishes.retries_errors

    def has_stored(self, stored: Stored) -> bool:
        """Return whether a reply came in while this run went on, so for another row of it."""
        return stored.at >= self._began

    @property
    def is_at_hand(self) -> bool:
        """Whether further rows can be read at once, as far as the latest readings show; none is waited for."""
        return self._may_be_at_hand and not self._apart and not self._elsewhere

    def read(self, most: int) -> list[MapRow]:
        """Return at most so many further rows, in order, and before them those that were put back; none at the end."""
        began, was_at_hand = time.monotonic(), self.is_at_hand
        rows = self._read(most, SLOW_SECONDS if was_at_hand else AT_A_TIME_SECONDS)
        if not was_at_hand:
            self._apart = max(0, self._apart - 1)
        elif time.monotonic() - began > SLOW_SECONDS:
            self._apart = READINGS_APART
        return rows

    def _read(self, most: int, seconds: float) -> list[MapRow]:
        rows = list(self._some(most, seconds))
        self.has_new = bool(rows)
        if self._store is not None:
            rows = [*self._put_back(), *rows]
            self._look_up(self._store, [row for row in rows if not row.prompt.problem])
        return rows

    def _some(self, most: int, seconds: float) -> Iterator[MapRow]:
        until = time.monotonic() + seconds
        for place, row in islice(self._rows, most):
            yield self._row(place, row)
            if time.monotonic() > until:
                break

    def put_back(self, row: MapRow) -> None:
        """Give a row that another run asks for once more later."""
        self._elsewhere.append(row)

    @property
    def elsewhere(self) -> int:
        """How many rows another run asks for."""
        return len(self._elsewhere)

    def ended(self, row: MapRow) -> None:
        """Let other runs ask for a row that has ended, from the next reading on."""
        self._ended.append(row.key)

    def _put_back(self) -> list[MapRow]:
        now = time.monotonic()
        if not self._elsewhere or (self.has_new and now < self._look_again):
            return []
        if not self.has_new:
            time.sleep(BREATH)
        self._look_again = now + LOOK_AGAIN_SECONDS
        rows, self._elsewhere = self._elsewhere, []
        return rows

    def _row(self, place: int, columns: Mapping[str, object]) -> MapRow:
        prompt = self._prompts.of(columns)
        if prompt.problem:
            return MapRow(place, prompt, (b"", place))
        key = self._key_of(prompt.messages)
        if self._wishes.dedupe:
            return MapRow(place, prompt, (key, place % self._wishes.samples))
        self._occurrences[key] += 1
        return MapRow(place, prompt, (key, self._occurrences[key] - 1))

    def _look_up(self, store: ReplyStore, rows: list[MapRow]) -> None:
        """Claim the rows, then look for replies: whoever had claimed one may have been answered just before."""
        held: set[Key] = set()
        if self.claims is not None:
            ended, self._ended = self._ended, []
            self.claims.give_back(ended)
            held = self.claims.take(row.key for row in rows)
        self._find(store, rows)
        if self.claims is not None and (found := [row.key for row in rows if row.stored is not None]):
            self.claims.give_back(found)
        now = time.monotonic()
        for row in rows:
            if row.stored is None:
                since = now if row.elsewhere is None else row.elsewhere
                waits = row.key in held and now - since < LONGEST_WAIT and not self._wishes.fresh
                row.elsewhere = since if waits else None

    def _find(self, store: ReplyStore, rows: list[MapRow]) -> None:
        wishes, own = self._wishes, self.own
        keys = [row.key for row in rows if not wishes.fresh or row.key in own]
        if not keys:
            return
        found = store.find(keys, self._asked)
        for row in rows:
            stored = found.get(row.key)
            if stored is not None and (stored.error is None or not wishes.retries_errors or row.key in own):
                row.stored = stored
