"""Conversations that prompts continue: the unnamed one in memory, named ones in private files."""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from llx_magic.errors import ProfileError, UsageProblem
from llx_magic.files.folders import config_folder
from llx_magic.files.names import check_name, name_problem
from llx_magic.files.private import is_regular, keep_copy, locked, open_regular, reason, set_aside, write_file
from llx_magic.locks import ForkSafeLock
from llx_magic.session.turns import MOST_BYTES, MOST_TURNS, Before, Turn, decode, encode, storable, too_long
from llx_magic.text.wording import nearest, shown_path

UNNAMED = ""
"""The name of the conversation that has none: it lives in memory and ends with the session."""

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it was when it was read; the name of the unnamed one is empty.

    ``problem`` is why its file cannot be used, or None.
    """

    name: str
    turns: tuple[Turn, ...]
    problem: str | None = None


class Conversations:
    """The conversations of one session: its own unnamed one, and the named ones that all sessions share.

    ``folder`` is by default ``llx_magic/conversations`` in the configuration folder. A named conversation is a file
    there, read anew for each operation and written whole under a lock, so that sessions see each other's turns and lose
    none. All methods may be called from any thread. Errors are ``UsageProblem``: for a name that is not allowed, and
    for a file that is broken, of a newer version, or cannot be read or written; such a file is left as it is.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = config_folder() / "llx_magic" / "conversations" if folder is None else folder
        self._lock = ForkSafeLock()
        self._unnamed: tuple[Turn, ...] = ()
        self._places: Counter[str] = Counter()
        self._identity = uuid.uuid4().hex

    def identity(self, name: str | None) -> str:
        """Return what tells a conversation from all others: its name, and for an unnamed one a random text."""
        return name or self._identity

    def next_place(self, name: str | None) -> str:
        """Return what stands for the next cell of a notebook that a program executes, whose cells have no names.

        It is the place among the prompts of this run in that conversation: the n-th prompt of each run has the turn
        that the n-th prompt of the last run had, so each run sends the same. Turns made by hand stay as they are.
        """
        self._places[name or UNNAMED] += 1
        return f"{name or UNNAMED} {self._places[name or UNNAMED]}"

    def before(self, name: str | None, cell: str | None) -> Before:
        """Return what was said before this cell's own turn; all where it has none.

        So a cell that runs again asks the same as the first time. A name that does not exist yet has said nothing.

        Raises:
            UsageProblem: also where the conversation has no room for another turn.
        """
        turns = self._turns(name) or ()
        place = _place(turns, cell)
        if place is None and len(turns) >= MOST_TURNS:
            raise too_long(name)
        return Before.of(turns[:place])

    def record(self, name: str | None, turn: Turn) -> None:
        """Put the turn in the place of the same cell's earlier one, else at the end; a new name makes a conversation.

        Raises:
            UsageProblem: also where the conversation would become too long or too large; nothing is recorded.
        """
        kept = storable(turn)

        def put(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
            place = _place(turns, kept.cell)
            return (*turns, kept) if place is None else (*turns[:place], kept, *turns[place + 1 :])

        self._change(name, put)

    def get(self, name: str | None) -> Conversation:
        """Return the conversation; the unnamed one is always there.

        Raises:
            UsageProblem: also where there is none of that name; the nearest is offered.
        """
        turns = self._turns(name)
        if turns is None:
            raise self._unknown(name or UNNAMED)
        return Conversation(name or UNNAMED, turns)

    def names(self) -> tuple[str, ...]:
        """Return the names of all named conversations, broken ones too, in order."""
        try:
            entries = list(self.folder.iterdir())
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise UsageProblem(f"{shown_path(self.folder)}: cannot be read ({reason(problem)})") from None
        return tuple(sorted(path.stem for path in entries if path.suffix == _SUFFIX and not name_problem(path.stem)))

    def all(self) -> tuple[Conversation, ...]:
        """Return every conversation, the unnamed one first where it has turns; of a broken file, what is wrong."""
        found = [Conversation(UNNAMED, self._unnamed)] if self._unnamed else []
        for name in self.names():
            try:
                found.append(self.get(name))
            except UsageProblem as problem:
                found.append(Conversation(name, (), str(problem)))
        return tuple(found)

    def clear(self, name: str | None) -> int:
        """Remove all turns and return how many there were; a named conversation's file is kept as ``NAME.json.bak``.

        Raises:
            UsageProblem: also where there is none of that name.
        """
        if not name:
            with self._lock:
                gone, self._unnamed = len(self._unnamed), ()
            return gone
        path = self._path(name)
        with self._writing():
            turns = self._read(path)
            if turns is None:
                raise self._unknown(name)
            if turns:
                keep_copy(path, backup_of(path))
                write_file(path, encode(name, ()))
        return len(turns)

    def delete(self, name: str) -> Path:
        """Take a named conversation away, a broken one too; its file is kept as ``NAME.json.bak``, which is returned.

        Raises:
            UsageProblem: also where there is none of that name.
        """
        path = self._path(name)
        with self._writing():
            if not is_regular(path):
                raise self._unknown(name)
            set_aside(path, backup_of(path))
        return backup_of(path)

    def _turns(self, name: str | None) -> tuple[Turn, ...] | None:
        return self._read(self._path(name)) if name else self._unnamed

    def _change(self, name: str | None, change: Callable[[tuple[Turn, ...]], tuple[Turn, ...]]) -> None:
        if not name:
            with self._lock:
                turns = change(self._unnamed)
                encode(name, turns)  # it has the same bounds
                self._unnamed = turns
            return
        path = self._path(name)
        with self._writing():
            write_file(path, encode(name, change(self._read(path) or ())))

    def _path(self, name: str) -> Path:
        return self.folder / f"{check_name(name, what='conversation name')}{_SUFFIX}"

    def _unknown(self, name: str) -> UsageProblem:
        return UsageProblem(f"there is no conversation {name}{nearest(name, self.names())}")

    def _read(self, path: Path) -> tuple[Turn, ...] | None:
        try:
            if not is_regular(path):
                return None
            with open_regular(path, follow_links=False) as file:
                content = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise UsageProblem(f"{shown_path(path)}: cannot be read ({reason(problem)})") from None
        except ProfileError as problem:
            raise UsageProblem(str(problem)) from None
        return decode(path, content)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with locked(self.folder, self.folder):
                yield
        except ProfileError as problem:
            raise UsageProblem(str(problem)) from None


def backup_of(path: Path) -> Path:
    """Return where the previous content of a file is kept."""
    return path.with_name(f"{path.name}.bak")


def _place(turns: tuple[Turn, ...], cell: str | None) -> int | None:
    return next((at for at, turn in enumerate(turns) if cell is not None and turn.cell == cell), None)
