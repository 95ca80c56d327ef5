"""Histories as files: the events of one kernel or of several, as Parquet or as a JSON object on each line."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from llx_magic.core import events as facts
from llx_magic.core.archive import Told, block_of
from llx_magic.core.events import Event, RequestEnded, RequestPutBack, RequestStarted
from llx_magic.errors import UsageProblem
from llx_magic.files.newfiles import new_file
from llx_magic.files.private import reason
from llx_magic.observe.frames.remembered import events_frame
from llx_magic.text.wording import shown_path

LATEST_MOMENT = 1e10
"""No event is later, in Unix seconds."""

KINDS: dict[str, type[Event]] = {
    name: kind for name, kind in vars(facts).items() if isinstance(kind, type) and issubclass(kind, Event)
}
"""Every kind of event by its name."""


class Line(msgspec.Struct):
    """One event in a file: the kernel that it happened in, its kind and its facts; its times are Unix seconds."""

    kernel: str
    event: str
    facts: msgspec.Raw


def lines_of(events: Iterable[Event], kernel: str, epoch: float) -> Iterator[bytes]:
    """Yield a line for each event, without its end; ``epoch`` is the Unix time at which the clock was zero."""
    for event in events:
        yield msgspec.json.encode({"kernel": kernel, "event": type(event).__name__, "facts": _at(event, epoch)})


def save(path: Path, events: Sequence[Event], kernel: str, epoch: float) -> None:
    """Write events into a new file, Parquet or JSON lines by its ending.

    Raises:
        UsageProblem: for another ending, without pyarrow where that is needed, and where the file cannot be written.
    """
    shown, ending = shown_path(path), path.suffix.lower()
    if ending not in (".parquet", ".jsonl"):
        raise UsageProblem(f"{shown}: the file must end in .parquet or .jsonl")
    lines = list(lines_of(events, kernel, epoch))
    try:
        with new_file(path) as file:
            if ending == ".jsonl":
                file.writelines(line + b"\n" for line in lines)
            else:
                frame = events_frame([block_of((), [Told(list(events), array("Q", range(len(events))))])], epoch)
                frame.assign(line=[line.decode() for line in lines]).to_parquet(file)
    except FileExistsError:
        raise UsageProblem(f"{shown}: is there already and is not overwritten; choose another file") from None
    except OSError as problem:
        raise UsageProblem(f"{shown}: cannot be written ({reason(problem)})") from None
    except ImportError:
        raise UsageProblem(f"{shown}: {_NEEDS_PYARROW}") from None


_NEEDS_PYARROW = "Parquet needs pyarrow, which is not installed; a .jsonl file needs none"


def load(path: Path) -> list[list[Event]]:
    """Return the events of each kernel of a file, in their order; each request has a number that is nobody else's.

    Raises:
        UsageProblem: where the file cannot be read, or is no history; with the line that is none.
    """
    shown = shown_path(path)
    try:
        lines = _parquet(path) if path.suffix.lower() == ".parquet" else path.read_bytes().splitlines()
    except ImportError:
        raise UsageProblem(f"{shown}: {_NEEDS_PYARROW}") from None
    except (OSError, ValueError, KeyError) as problem:
        why = reason(problem) if isinstance(problem, OSError) else "it is no history that was saved here"
        raise UsageProblem(f"{shown}: cannot be read ({why})") from None
    kernels: dict[str, list[Event]] = {}
    last = len(lines)
    for number, line in enumerate(lines, 1):
        try:
            # Where a process ended in the middle of a line, another may have begun its own behind it.
            kernel, event = read_line(line[max(0, line.rfind(_BEGIN)) :])
        except (ValueError, RecursionError):
            if number == last or _is_cut_off(line):
                continue
            raise UsageProblem(f"{shown}: line {number} is no event of a history") from None
        kernels.setdefault(kernel, []).append(event)
    if not kernels:
        raise UsageProblem(f"{shown}: there is no event in it")
    return numbered(list(kernels.values()))


_BEGIN = b'{"kernel":'


def _is_cut_off(line: bytes) -> bool:
    """Return whether a line is the beginning of one, or nothing, as where the power failed or the disk was full."""
    if not line.strip(b"\0 ") or _BEGIN.startswith(line):
        return True
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError:
        return line.startswith(_BEGIN)
    return False


def read_line(line: bytes) -> tuple[str, Event]:
    """Return the kernel and the event of a line.

    Raises:
        ValueError: where it is none.
    """
    read = msgspec.json.decode(line, type=Line)
    kind = KINDS.get(read.event)
    if kind is None:
        raise ValueError(read.event)
    event = msgspec.json.decode(read.facts, type=kind)
    if not 0 <= event.at <= LATEST_MOMENT or event.request < 0:
        raise ValueError(event.at)
    return read.kernel, event


def numbered(kernels: Sequence[Sequence[Event]]) -> list[list[Event]]:
    """Return the events with other numbers of requests, where several kernels have used the same."""
    if len(kernels) == 1:
        return [list(kernels[0])]
    found, used = [], 0
    for events in kernels:
        found.append([_moved(event, used) for event in events])
        used += max((event.request for event in events), default=0)
    return found


def latest(events: Sequence[Event], prompts: int) -> Sequence[Event]:
    """Return what has happened since the first of so many prompts began: the latest of those that have ended."""
    ended, begun = set[int](), set[int]()
    for place in reversed(range(len(events))):
        event = events[place]
        if isinstance(event, RequestEnded) and not isinstance(event, RequestPutBack):
            ended.add(event.request)
        elif isinstance(event, RequestStarted) and event.request in ended:
            begun.add(event.request)
            if len(begun) == prompts:
                return events[place:]
    return events


def _moved(event: Event, by: int) -> Event:
    return msgspec.structs.replace(event, request=event.request + by) if event.request and by else event


def _at(event: Event, epoch: float) -> Event:
    return msgspec.structs.replace(event, at=event.at + epoch) if epoch and math.isfinite(epoch) else event


def _parquet(path: Path) -> list[bytes]:
    from pyarrow import parquet

    with path.open("rb") as file:
        return [line.encode() for line in parquet.read_table(file, columns=["line"])["line"].to_pylist()]
