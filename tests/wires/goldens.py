r"""Golden replies: the exact bytes that a service sends, and what must come of them.

A golden is ``golden/FORM/SCENARIO.txt``: lines ``key: value``, an empty line, and the body to the last byte. Where the
body is binary the text holds the head alone, and the body is in ``SCENARIO.bin`` beside it.

What was sent: ``status`` (200 unless given), ``content-type``, and ``header-NAME`` for each further header.
``ends: silence`` means that the connection stays open and nothing more comes.

What must come of it, where it is an answer: ``text``, ``reasoning`` and ``notes`` (several with ``; `` between),
each empty unless given; ``finish``, which is ``stop`` unless given and may be ``none``; ``usage`` as
``prompt/completion/cached/cache_written/reasoning``, where zeros at the end may be left out, and none unless given;
``model``, looked at where it is given. ``response-id`` likewise.

Where it is a failure: ``failure`` (a value of `FailureKind`), ``message-has``, and ``wait`` in seconds, ``quota``
(``yes``), ``amounts-to``, ``retry`` (``yes`` or ``no``: whether it is worth sending again as the server has it) and
``partial`` (the text that was shown before), each of them none unless given.

A value that begins with ``"`` is a JSON text, for line ends, blanks at an end and whatever cannot be seen. ``{NOON}``
in a header is the time of day at which each golden is read, as RFC 3339 has it; the wall clock says the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llx_magic.backends.reading.reader import Reader
from llx_magic.backends.reading.sse import BodyProblem
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import BackendFailed, Failure
from llx_magic.core.reply import Answer, Usage
from tests.faults.asking import Pieces

FOLDER = Path(__file__).parent / "golden"
ABSENT = "ABSENT.txt"
TERMINAL = "TERMINAL.txt"
"""Beside the goldens of a form: the bytes of which one must have come before a stream may be whole, a line each."""

SCENARIOS = (FOLDER / "SCENARIOS.txt").read_text("utf-8").split()
"""What each form has a golden of, or a reason why it cannot have one."""

NOON = 1_700_000_000.0
_NOON = "2023-11-14T22:13:20Z"


@dataclass(frozen=True)
class Golden:
    """One golden reply of a form."""

    form: str
    scenario: str
    head: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.get("status", 200))

    @property
    def headers(self) -> dict[str, str]:
        """The response's headers, with names in lower case as the transport gives them."""
        given = {name.removeprefix("header-"): value for name, value in self.head.items() if name.startswith("header-")}
        kind = {"content-type": self.head["content-type"]} if "content-type" in self.head else {}
        return {name.lower(): value.replace("{NOON}", _NOON) for name, value in {**kind, **given}.items()}

    @property
    def is_answer(self) -> bool:
        return "failure" not in self.head

    @property
    def is_document(self) -> bool:
        """Whether the body is one JSON document and no stream."""
        return "json" in self.headers.get("content-type", "") and "ndjson" not in self.headers.get("content-type", "")

    def reader(self, pieces: Pieces) -> Reader:
        """Return what reads it, at the time of day of all goldens."""
        reader = wire_named(self.form).reader("alpha", "asked-for", pieces)
        reader.came_with(self.headers, NOON)
        return reader

    def expected(self) -> dict[str, object]:
        """Return what must come of it."""
        head = self.head
        if not self.is_answer:
            return {
                "failure": head["failure"],
                "wait": float(head["wait"]) if "wait" in head else None,
                "quota": head.get("quota") == "yes",
                "amounts-to": int(head["amounts-to"]) if "amounts-to" in head else None,
                "retry": {"yes": True, "no": False}.get(head.get("retry", "")),
                "partial": head.get("partial", ""),
                "status": self.status if self.status != 200 else None,
            }
        given: dict[str, object] = {key: head[key] for key in ("model", "response-id") if key in head}
        texts = {key: head.get(key, "") for key in ("text", "reasoning", "notes")}
        finish = head.get("finish", "stop")
        usage = Usage(*(int(count) for count in head["usage"].split("/"))) if "usage" in head else None
        return {**texts, **given, "finish": {"none": None}.get(finish, finish), "usage": usage}

    def seen(self, outcome: Answer | Failure, pieces: Pieces) -> dict[str, object]:
        """Return what came of it, under the names of ``expected``."""
        shown = "".join(pieces.text)
        if isinstance(outcome, Failure):
            return {
                "failure": str(outcome.kind),
                "wait": outcome.retry_after,
                "quota": outcome.quota_exhausted,
                "amounts-to": outcome.amounts_to,
                "retry": outcome.should_retry,
                "partial": shown,
                "status": outcome.status,
            }
        assert shown == outcome.text, "what was shown is what the answer holds"
        found: dict[str, object] = {
            "text": outcome.text,
            "reasoning": outcome.reasoning,
            "notes": "; ".join(outcome.notes),
            "finish": outcome.finish_reason,
            "usage": outcome.usage,
            "model": outcome.model,
            "response-id": outcome.response_id,
        }
        return {key: value for key, value in found.items() if key not in ("model", "response-id") or key in self.head}

    def read(self, pieces: list[bytes]) -> tuple[Answer | Failure, Pieces]:
        """Read the body in these pieces, as a backend would."""
        progress = Pieces()
        reader = self.reader(progress)
        if not 200 <= self.status < 300:
            failure = reader.refused(self.status, b"".join(pieces))
            return wire_named(self.form).explained(failure, "asked-for"), progress
        try:
            for piece in pieces:
                reader.feed(piece)
            if self.head.get("ends") == "silence":
                assert reader.patience is not None, "silence ends the reply"
            else:
                reader.flush()
            return reader.end(), progress
        except BackendFailed as failed:
            return failed.failure, progress
        except BodyProblem as problem:
            if reader.whole_if_cut:
                return reader.end(), progress
            return Failure(kind=problem.kind, message=str(problem)), progress


def forms() -> list[str]:
    """Return the forms that have goldens."""
    return sorted(each.name for each in FOLDER.iterdir() if each.is_dir())


def goldens() -> list[Golden]:
    """Return all goldens of all forms."""
    return [_load(path) for form in forms() for path in _texts(FOLDER / form)]


def absent(form: str) -> dict[str, str]:
    """Return the scenarios that a form cannot have, and why."""
    path = FOLDER / form / ABSENT
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return dict(_pair(line) for line in lines if line.strip())


def terminals(form: str) -> list[bytes]:
    """Return the bytes of which one must have come before a stream may be whole."""
    return [line for line in (FOLDER / form / TERMINAL).read_bytes().split(b"\n") if line]


def _texts(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*.txt")) if path.name not in (ABSENT, TERMINAL))


def _load(path: Path) -> Golden:
    head, _, body = path.read_bytes().partition(b"\n\n")
    binary = path.with_suffix(".bin")
    fields = dict(_pair(line) for line in head.decode("utf-8").strip("\n").split("\n"))
    return Golden(path.parent.name, path.stem, fields, binary.read_bytes() if binary.exists() else body)


def _pair(line: str) -> tuple[str, str]:
    key, colon, value = line.partition(":")
    assert colon, f"a line of a head is 'key: value', got {line!r}"
    value = value.strip(" ")
    return key.strip().lower(), str(json.loads(value)) if value.startswith('"') else value
