"""What a profile has done as pandas DataFrames; pandas is imported when the first one is made.

Every frame has the same columns and types whether it has rows or not. Times of day are timestamps in UTC, durations
float seconds, counts that may be missing are nullable integers, texts are pandas' ``string`` and words from a fixed
list are categoricals that know the whole list. What is missing is ``<NA>``, ``NaN`` or ``NaT``, never None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from llx_magic.core import events as facts
from llx_magic.core.circuits import MOMENTS, cool_downs, periods
from llx_magic.core.events import BackendEvent, Event
from llx_magic.core.failure import FailureKind
from llx_magic.core.peers import Card, Peer, Shared, SharedBackend, Used
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.statistics import RequestRecord
from llx_magic.observe.frames.columns import (
    ATTEMPTS,
    CIRCUIT,
    COLUMN_OF,
    COOL_DOWNS,
    EVENTS,
    HISTORY,
    PEERS,
    REPLAY,
    SIMULATION,
    STATS,
    TPM,
    VISITS,
    Part,
    assembled,
    build,
    frame_of,
    read,
    spread,
)
from llx_magic.observe.rates import Basis, curves
from llx_magic.text.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def stats_frame(snapshot: Snapshot) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.stats``."""
    import pandas as pd

    names = pd.Index([backend.name for backend in snapshot.backends], dtype=pd.StringDtype("python"), name="backend")
    return read(STATS, snapshot.backends, 0.0).set_index(names)


def peers_frame(shared: Shared, now: float, epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.peers``."""
    rows = [_peer(backend, peer, now) for backend in shared.backends for peer in backend.peers.each]
    return frame_of(PEERS, rows, epoch)


def history_frame(records: Iterable[RequestRecord], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.history``."""
    return read(HISTORY, list(records), epoch)


def attempts_frame(events: Iterable[Event], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.attempts``."""
    return build(ATTEMPTS, _attempts(events), epoch)


def visits_frame(events: Iterable[Event], epoch: float) -> pd.DataFrame:
    """Return a row per visit that has ended, oldest first; one that this machine ended counts as cancelled."""
    rows: list[tuple[object, ...]] = []
    for event in events:
        if isinstance(event, facts.VisitSucceeded):
            rows.append((event.backend, event.at, event.seconds, "answered", None))
        elif isinstance(event, facts.VisitFailed) and event.failure.kind is not FailureKind.LOCAL:
            rows.append((event.backend, event.at, event.seconds, "failed", event.failure.in_short))
        elif isinstance(event, facts.VisitWithoutReply):
            rows.append((event.backend, event.at, event.seconds, "cancelled", None))
    return frame_of(VISITS, rows, epoch)


def events_frame(events: Iterable[Event], epoch: float) -> pd.DataFrame:
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
    ``policy``, ``order`` and ``conversation`` of a request;
    ``backends`` of a second pass; ``failed``, ``next`` and ``words`` of a restart; ``again`` of a reply
    that is not what was asked for; ``beside``, the silent backend beside which another is asked, and ``outrun_by``, the
    one that was first; ``is_sharing``, whether facts are shared with other processes again, or no longer. The backends
    of ``order`` and ``backends`` are joined by semicolons.
    """
    import numpy as np

    rows: defaultdict[type[Event], list[int]] = defaultdict(list)
    alike: defaultdict[type[Event], list[Event]] = defaultdict(list)
    count = 0
    for count, event in enumerate(events, 1):
        rows[type(event)].append(count - 1)
        alike[type(event)].append(event)
    parts: dict[str, list[Part]] = {name: [] for name in EVENTS}
    for kind, of_kind in alike.items():
        places = np.array(rows[kind])
        parts["event"].append((places, [kind.__name__] * len(of_kind)))
        for name, path in _fields(of_kind[0]).items():
            parts[name].append((places, list(map(attrgetter(path), of_kind))))
    return assembled({name: spread(parts[name], count, kind, epoch) for name, kind in EVENTS.items()})


def tpm_frame(events: Iterable[Event], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.tpm``; a rate is missing where no time had passed."""
    rows = [
        (event.at, event.backend, event.tpm)
        for event in events
        if isinstance(event, facts.VisitSucceeded) and event.completion_tokens is not None
    ]
    return frame_of(TPM, rows, epoch)


def curves_frame(events: Iterable[Event], basis: Mapping[str, Basis], now: float, epoch: float) -> pd.DataFrame:
    """Return the tokens per minute between replies too, as far as they are known, and missing in gaps.

    The columns are those of ``tpm_frame``, each backend's rows by themselves.
    """
    return frame_of(TPM, list(curves(events, basis, now)), epoch)


def circuit_frame(
    events: Iterable[Event], states: Mapping[str, str], since: float | None, now: float, epoch: float
) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.circuit``.

    The first interval of a backend begins ``since`` when every event is kept. ``states`` are those of ``now``, by
    backend: one without a change has had its state since then, and where the circuit breaker is off the last interval
    is "disabled". A backend that was removed from the profile has no interval that lasts.
    """
    return frame_of(CIRCUIT, list(_intervals(list(events), states, since, now)), epoch)


def cool_downs_frame(events: Iterable[Event], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.cool_downs``."""
    rows = [(backend, begin, end, end - begin) for backend, spans in cool_downs(events).items() for begin, end in spans]
    return frame_of(COOL_DOWNS, rows, epoch)


def replay_frame(prompts: Iterable[tuple[RequestRecord, RequestRecord, int, int]], epoch: float) -> pd.DataFrame:
    """Return the frame of ``LoadBalancer.replay``.

    Of each prompt are given its record under the settings that were tried, that of what happened, its number there,
    and how many attempts met what was drawn.
    """
    rows = [
        (
            number,
            would.started,
            would.outcome,
            would.backend,
            would.seconds,
            would.ttft,
            would.attempts,
            drawn,
            would.prompt_tokens,
            would.completion_tokens,
            would.cost,
            would.decisions,
            would.error,
            was.outcome,
            was.backend,
            was.seconds,
            was.cost,
        )
        for would, was, number, drawn in prompts
    ]
    return frame_of(REPLAY, rows, epoch)


def simulation_frame(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Return the frame of ``llx_magic.simulate``: a row per backend, indexed by its name."""
    return frame_of(SIMULATION, rows, 0.0).set_index("backend")


def reply_frame(text: str) -> pd.DataFrame:
    """Return the one table of a reply's text.

    Raises:
        ReplyFormatError: where there is none, or more than one.
    """
    import pandas as pd

    from llx_magic.observe.frames.inert import InertFrame

    table = read_table(text)
    frame = InertFrame(list(table.rows), columns=list(table.columns))
    for at in range(len(table.columns)):
        cells = [row[at] for row in table.rows]
        numbers = [cell for cell in cells if isinstance(cell, int) and not isinstance(cell, bool)]
        if numbers and None in cells and len(numbers) + cells.count(None) == len(cells):
            # whole numbers beside an empty cell would become floats, and long ones lose digits
            frame.isetitem(at, pd.Series(cells, dtype="Int64").array)
    return frame


_OF_ATTEMPTS = frozenset(
    {facts.AttemptStarted, facts.FirstTokenReceived, facts.AttemptFailed, facts.VisitSucceeded, facts.VisitCancelled}
)
"""The kinds of events that tell of attempts; the others are told apart by one look."""


def _attempts(events: Iterable[Event]) -> dict[str, list[object]]:
    """Return the columns of a row per attempt; a request has at most one attempt under way at a backend."""
    columns: dict[str, list[object]] = {name: [] for name in ATTEMPTS}
    seconds, ttft, outcome = (columns[name] for name in ("seconds", "ttft_seconds", "outcome"))
    under_way: dict[tuple[int, str], tuple[int, float]] = {}
    for event in events:
        if type(event) not in _OF_ATTEMPTS or not isinstance(event, BackendEvent):
            continue
        key = event.request, event.backend
        if isinstance(event, facts.AttemptStarted):
            under_way[key] = len(outcome), event.at
            begun = (event.request, event.backend, event.attempt, event.at, None, None, "running", None, None, None)
            for column, value in zip(columns.values(), begun, strict=True):
                column.append(value)
            continue
        row, began = under_way.get(key, (-1, 0.0))
        if row < 0:
            continue
        if isinstance(event, facts.FirstTokenReceived):
            ttft[row] = event.seconds
            continue
        del under_way[key]
        if isinstance(event, facts.AttemptFailed):
            seconds[row], outcome[row], failure = event.seconds, "failed", event.failure
            columns["kind"][row], columns["status"][row] = failure.kind, failure.status
            columns["message"][row] = failure.message
        else:
            seconds[row] = event.at - began
            outcome[row] = "answered" if isinstance(event, facts.VisitSucceeded) else "cancelled"
    return columns


def _intervals(
    events: Sequence[Event], states: Mapping[str, str], since: float | None, now: float
) -> Iterator[tuple[object, ...]]:
    moments: dict[str, list[BackendEvent]] = {name: [] for name in states}
    for event in events:
        if isinstance(event, MOMENTS):
            moments.setdefault(event.backend, []).append(event)
    for backend, of_backend in moments.items():
        for each in periods(of_backend, since, now, states.get(backend)):
            ended = None if each.lasts else each.end
            yield backend, each.state, each.begin, ended, each.end - each.begin, each.cause


def _fields(event: Event) -> dict[str, str]:
    """Return which columns an event of this type fills, and with which of its fields."""
    paths = {COLUMN_OF.get(name, name): name for name in event.__struct_fields__}
    if paths.pop("failure", None):
        paths |= {name: f"failure.{name}" for name in ("message", "kind", "status")}
    return paths


def _peer(backend: SharedBackend, peer: Peer, now: float) -> tuple[object, ...]:
    card, peers = peer.card, backend.peers
    of = dict.fromkeys(Card.__struct_fields__) if card is None else asdict(card)
    return (
        backend.name,
        *(of[name] for name in ("host", "process", "name")),
        peer.is_here,
        None if card is None else now - card.since - peer.seconds,
        *(of[name] for name in ("requests", "under_way", "circuit", "probe_in", "cooling_down")),
        peer.has_probe,
        of["level"],
        *(value for name in Used._fields for value in (of[name], getattr(peers.used, name))),
        peer.seconds,
    )
