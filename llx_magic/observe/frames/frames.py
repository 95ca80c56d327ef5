"""What a profile has done as pandas DataFrames; pandas is imported when the first one is made.

Every frame has the same columns and types whether it has rows or not. Times of day are timestamps in UTC, durations
float seconds, counts that may be missing are nullable integers, texts are pandas' ``string`` and words from a fixed
list are categoricals that know the whole list. What is missing is ``<NA>``, ``NaN`` or ``NaT``, never None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    CIRCUIT,
    COOL_DOWNS,
    PEERS,
    REPLAY,
    SIMULATION,
    STATS,
    TPM,
    VISITS,
)
from llx_magic.observe.frames.making import frame_of, read
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
