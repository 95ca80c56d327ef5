"""The user's consent: which key may go to which host even though a file from elsewhere asks for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llx_magic.consent.pairs import KeyPlace, Pair, origin, read_pairs
from llx_magic.errors import ProfileError, brief
from llx_magic.files.ownership import read_judged, why_foreign_place
from llx_magic.files.private import locked, set_aside, write_file
from llx_magic.files.strictjson import DocumentProblem, decode, parse
from llx_magic.hosts import command
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import shown_path

VARIABLE: Final = "LLX_TRUST"
"""The environment variable with the pairs that are allowed without asking, separated by commas:
``OPENAI_API_KEY@api.openai.com``.
"""

_FILE: Final = "trusted.json"
_VERSION: Final = 1

_OF_THIS_PROCESS: set[Pair] = set()
"""The pairs that were allowed in this process and could not be written to the file."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The pairs that are allowed: in a file in ``folder``, for this process only, or in ``LLX_TRUST``.

    Only files of ``user`` are believed; None where files have no owner.
    """

    folder: Path
    user: int | None

    @property
    def path(self) -> Path:
        """The file in which the pairs are remembered."""
        return self.folder / _FILE

    def look_up(self) -> tuple[frozenset[Pair], str]:
        """Return all pairs that are allowed now, and one line that says what could not be read, or the empty string."""
        text = os.environ.get(VARIABLE, "")
        named, problems = read_pairs(text)[0], [problem for problem in [problem_of(text)] if problem]
        remembered = frozenset[Pair]()
        try:
            remembered = self.remembered()
        except ProfileError as problem:
            problems.append(str(problem))
        return named | remembered | _OF_THIS_PROCESS, "; ".join(problems)

    def remembered(self) -> frozenset[Pair]:
        """Return the pairs in the file; none where there is no file.

        Raises:
            ProfileError: where the file cannot be read or believed: nothing in it counts then.
        """
        if not os.path.lexists(self.path):
            return frozenset()
        found = read_judged(self.path, self.user)
        if found.why_foreign:
            raise ProfileError(f"{shown_path(self.path)} {found.why_foreign}, so nothing in it counts")
        try:
            return _read(decode(found.data))
        except DocumentProblem as problem:
            raise ProfileError(f"{shown_path(self.path)}: {problem}, so nothing in it counts") from None

    def remember(self, pairs: Iterable[Pair]) -> str:
        """Allow the pairs from now on, in every process. A file that cannot be believed is replaced by a new one.

        It is kept as ``trusted.json.bak``; the line that says so is returned, otherwise the empty string.

        Raises:
            ProfileError: where nothing can be remembered; what was allowed before stays.
        """
        with locked(self.folder, self.folder):
            if self.user is not None and (why := why_foreign_place(self.folder, self.user)):
                raise ProfileError(f"{shown_path(self.path)} {why}: nothing can be remembered there")
            kept, note = self._kept()
            self._write({*kept, *pairs})
        return note

    def forget(self, pairs: Iterable[Pair]) -> None:
        """Allow the pairs no longer, unless ``LLX_TRUST`` names them. A broken file is kept as by ``remember``.

        Raises:
            ProfileError: where the file cannot be written. Pairs that were allowed for this process only are taken
            back even then.
        """
        gone = set(pairs)
        _OF_THIS_PROCESS.difference_update(gone)
        if os.path.lexists(self.path):
            with locked(self.folder, self.folder):
                self._write(self._kept()[0] - gone)

    def allow_in_this_process(self, pairs: Iterable[Pair]) -> None:
        """Allow the pairs until this process ends."""
        _OF_THIS_PROCESS.update(pairs)

    def _kept(self) -> tuple[frozenset[Pair], str]:
        """Return what stays allowed, and where the file is from now on if nothing in it counts."""
        try:
            return self.remembered(), ""
        except _NewerVersion:
            raise
        except ProfileError as problem:
            if self.path.is_symlink() or not self.path.is_file():
                return frozenset(), ""
            set_aside(self.path, self.path.with_name(f"{_FILE}.bak"))
            return frozenset(), f"{problem}; it is kept as {_FILE}.bak"

    def _write(self, pairs: Iterable[Pair]) -> None:
        trusted: list[JsonValue] = [{"key": str(pair.place), "host": pair.host} for pair in sorted(pairs)]
        raw: JsonValue = {"version": _VERSION, "trusted": trusted}
        write_file(self.path, (json.dumps(raw, indent=2) + "\n").encode())


@dataclass(frozen=True, slots=True)
class Foreign:
    """A profile's file that is not the user's own: which file it is, why it is not, and what the user has allowed."""

    path: Path
    why: str
    trust: Trust

    def refusal(self, place: KeyPlace, host: str | None) -> str | None:
        """Return in one line why the file may not send the key at the place to the host, or None where it may."""
        if host is None:
            return f"{shown_path(self.path)} {self.why}, and its host is written in a form that cannot be allowed"
        pair = Pair(place, host)
        allowed, problem = self.trust.look_up()
        if pair in allowed:
            return None
        path = shown_path(self.path)
        quoted = f'"{path}"' if " " in path else path
        return (
            f"not allowed yet: {path} {self.why} and wants to send {pair.said}; to allow it: "
            f"{command(f'profile trust {quoted}')} (or {VARIABLE}={pair})" + (f"; {problem}" if problem else "")
        )


def problem_of(pairs: str) -> str:
    """Return what is wrong with a value of the variable, in one line, or the empty string."""
    no_pairs = read_pairs(pairs)[1]
    return f"{VARIABLE} takes KEY@HOST, got {brief(no_pairs[0])}" if no_pairs else ""


class _NewerVersion(ProfileError):
    """The file was written by a later version of this package; it is left as it is."""


def _read(text: str) -> frozenset[Pair]:
    raw = parse(text)
    entries = raw.get("trusted") if isinstance(raw, dict) else None
    version = raw.get("version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise _NewerVersion(f"{_FILE} is of version {version}, which is newer than {_VERSION}; update llx-magic")
    if version != _VERSION or isinstance(version, bool) or not isinstance(entries, list):
        raise DocumentProblem(f"is no list of trusted pairs of version {_VERSION}")
    return frozenset(_pair(entry) for entry in entries)


def _pair(entry: JsonValue) -> Pair:
    if isinstance(entry, dict) and entry.keys() == {"key", "host"}:
        key, host = entry["key"], entry["host"]
        if isinstance(key, str) and isinstance(host, str) and origin(host) == host and (place := KeyPlace.read(key)):
            return Pair(place, host)
    raise DocumentProblem("holds an entry that is no pair of key and host")
