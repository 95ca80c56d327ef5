"""DataFrames of everything that is remembered, made of its blocks column by column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llx_magic.core.archive import Alike, Block
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    FirstTokenReceived,
    VisitCancelled,
    VisitSucceeded,
)
from llx_magic.core.failure import Failure
from llx_magic.observe.frames.columns import ATTEMPTS, COLUMN_OF, EVENTS, HISTORY, TPM, Kind
from llx_magic.observe.frames.making import Part, Piece, assembled, spread

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Parts = defaultdict[str, list[Part]]
"""What stands in each column."""


def history_frame(blocks: Sequence[Block], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.history``."""
    import numpy as np

    having = [block for block in blocks if block.requests]
    length = sum(len(block.requests) for block in having)
    parts, rows = Parts(list), np.arange(length)
    for name, (field, _) in HISTORY.items():
        parts[name].append(Part([(block.records[field], len(block.requests)) for block in having], rows))
    return _frame({name: kind for name, (_, kind) in HISTORY.items()}, parts, length, epoch)


def events_frame(blocks: Sequence[Block], epoch: float) -> pd.DataFrame:
    """Return a row per event, oldest first; what an event does not have is missing.

    ``at`` (UTC); ``request``, 0 for what no request caused; ``event``, its kind; ``backend``; ``message``, ``kind``
    and HTTP ``status`` of a failure; ``seconds``, how long what ended took, or a cool-down will; ``attempt`` of
    ``attempts``; ``ttft_seconds``, ``generating_seconds``, ``pieces``, ``prompt_tokens``, ``completion_tokens``,
    ``cached_tokens``, ``cache_written_tokens``, ``reasoning_tokens``, ``cost`` and whether ``cost_is_estimate``,
    ``finish_reason``, ``model`` and ``response_id`` of a reply; whether an attempt is ``streaming`` and the
    ``sampling`` parameters that it sends, as JSON; ``reason`` and ``seconds_left`` of a skip; ``delay_seconds`` before
    a further attempt and whether it was ``asked_by_server``; the ``limit`` that is waited for; ``is_probe`` of a visit;
    ``tpm`` and its ``threshold``, tokens per minute; the ``state`` of a circuit after a change and ``before``, the
    ``cause`` of the change, and the ``failures`` in the window where they opened it;
    ``policy``, ``order`` and ``conversation`` of a request, and ``waited_seconds`` since a row that comes again was
    first sent;
    ``backends`` of a second pass; ``failed``, ``next`` and ``words`` of a restart; ``again`` of a reply
    that is not what was asked for; ``beside``, the silent backend beside which another is asked, and ``outrun_by``, the
    one that was first; ``is_sharing``, whether facts are shared with other processes again, or no longer. The backends
    of ``order`` and ``backends`` are joined by semicolons.
    """
    import numpy as np

    tables = [_Table(blocks, kind) for kind in {kind: None for block in blocks for kind in block.alike}]
    rows = _ranks(np.concatenate([np.empty(0, "uint64"), *(table.places for table in tables)]))
    parts, begin = Parts(list), 0
    for table in tables:
        own = rows[begin : begin + len(table.places)]
        begin += len(own)
        parts["event"].append(Part([([table.kind.__name__], len(own))], own))
        for name in table.kind.__struct_fields__:
            if name == "failure":
                for of_failure in ("message", "kind", "status"):
                    parts[of_failure].append(Part(table.of_failures(of_failure), own))
            else:
                parts[COLUMN_OF.get(name, name)].append(Part(table.pieces(name), own))
    return _frame(EVENTS, parts, len(rows), epoch)


def tpm_frame(blocks: Sequence[Block], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.tpm``; a rate is missing where no time had passed."""
    import numpy as np

    replies = _Table(blocks, VisitSucceeded)
    told = ~np.isnan(Part(replies.pieces("completion_tokens")).numbers())
    length = int(told.sum())
    rows = np.full(len(told), length)
    rows[told] = _ranks(replies.places[told])
    parts = Parts(list)
    for name in TPM:
        parts[name].append(Part(replies.pieces(name), rows))
    return _frame(TPM, parts, length, epoch)


def attempts_frame(blocks: Sequence[Block], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.attempts``; a request has at most one attempt under way at a backend."""
    import numpy as np

    kinds = AttemptStarted, FirstTokenReceived, AttemptFailed, VisitSucceeded, VisitCancelled
    started, first, failed, succeeded, cancelled = tables = [_Table(blocks, kind) for kind in kinds]
    own, *others = _attempts_of(tables)
    length = len(own)
    began = np.zeros(length + 1)
    began[own] = Part(started.pieces("at")).numbers()
    parts = Parts(list)
    for name, field in {"request": "request", "backend": "backend", "attempt": "attempt", "started": "at"}.items():
        parts[name].append(Part(started.pieces(field), own))
    parts["outcome"].append(Part([(["running"], length)], own))
    for rows, outcome in zip(others[1:], ("failed", "answered", "cancelled"), strict=True):
        parts["outcome"].append(Part([([outcome], len(rows))], rows))
    parts["ttft_seconds"].append(Part(first.pieces("seconds"), others[0]))
    parts["seconds"].append(Part(failed.pieces("seconds"), others[1]))
    for table, rows in zip((succeeded, cancelled), others[2:], strict=True):
        parts["seconds"].append(Part([(Part(table.pieces("at")).numbers() - began[rows], len(rows))], rows))
    for of_failure in ("message", "kind", "status"):
        parts[of_failure].append(Part(failed.of_failures(of_failure), others[1]))
    return _frame(ATTEMPTS, parts, length, epoch)


class _Table:
    """All events of one kind."""

    def __init__(self, blocks: Sequence[Block], kind: type[Event]) -> None:
        import numpy as np

        self.kind = kind
        having = [(block, block.alike[kind]) for block in blocks if kind in block.alike]
        self._alike: list[Alike] = [alike for _, alike in having]
        places = [np.asarray(block.places)[np.asarray(alike.rows)] for block, alike in having]
        self.places: np.ndarray = np.concatenate([np.empty(0, "uint64"), *places])

    def pieces(self, field: str) -> list[Piece]:
        """Return the values of a field."""
        return [(alike.columns[field], len(alike.rows)) for alike in self._alike]

    def of_failures(self, field: str) -> list[Piece]:
        """Return the values of a field of the failures."""
        return [
            ([getattr(each, field) for each in failures if isinstance(each, Failure)], count)
            for failures, count in self.pieces("failure")
        ]


def _attempts_of(tables: Sequence[_Table]) -> list[np.ndarray]:
    """Return the row of the attempt to which each event of each table belongs.

    The first table begins attempts, all but the second end them. The rows are in the order of the beginnings; what
    belongs to no attempt has the row behind the last.
    """
    import numpy as np

    codes: dict[object, int] = {}
    backends = np.concatenate([_codes(table.pieces("backend"), codes) for table in tables])
    requests = np.concatenate([Part(table.pieces("request")).numbers("int64") for table in tables])
    which = np.repeat(np.arange(len(tables)), [len(table.places) for table in tables])
    key = requests * max(1, len(codes)) + backends
    order = np.lexsort((np.concatenate([table.places for table in tables]), key))
    key, which = key[order], which[order]
    # Of each event, where the latest attempt began: it belongs to it, if no other has ended it and it is of the same.
    begun = np.maximum.accumulate(np.where(which == 0, np.arange(len(order)), 0))
    ends = which > 1
    ended: np.ndarray = np.cumsum(ends) - ends
    length = len(tables[0].places)
    found = np.full(len(order), length)
    if len(order):
        belongs = (which[begun] == 0) & (key[begun] == key) & (ended[begun] == ended)
        rows = np.full(len(order), length)
        rows[:length] = _ranks(tables[0].places)
        found[order] = np.where(belongs, rows[order[begun]], length)
    return np.split(found, np.cumsum([len(table.places) for table in tables])[:-1])


def _codes(pieces: Sequence[Piece], known: dict[object, int]) -> np.ndarray:
    """Return a number for each value, the same for the same."""
    coded = [([known.setdefault(value, len(known)) for value in values], count) for values, count in pieces]
    return Part(coded).numbers("int64")


def _ranks(places: np.ndarray) -> np.ndarray:
    """Return of each which row it has in their order."""
    import numpy as np

    ranks = np.empty(len(places), "intp")
    ranks[np.argsort(places, kind="stable")] = np.arange(len(places))
    return ranks


def _frame(columns: Mapping[str, Kind], parts: Parts, length: int, epoch: float) -> pd.DataFrame:
    """Return a frame of so many rows; what stands in the row behind the last has no place in it."""
    told = {name: [part for part in parts[name] if not part.is_missing()] for name in columns}
    return assembled({name: spread(told[name], length + 1, kind, epoch)[:length] for name, kind in columns.items()})
