"""Who else has our standard input: the programs above us that only passed it on. Linux tells, others do not.

https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SHELLS = frozenset({"ash", "bash", "dash", "fish", "ksh", "sh", "zsh"})

_KEPT_FROM = 10
"""Shells keep what they need for themselves under descriptors from here on; an interactive one its terminal."""


@dataclass(frozen=True, slots=True)
class Sharer:
    """A program above us whose standard input is ours too."""

    folder: Path

    @property
    def words(self) -> list[str]:
        """Its command line."""
        return os.fsdecode((self.folder / "cmdline").read_bytes()).split("\0")[:-1]

    @property
    def parent(self) -> Sharer:
        """The program above it, which may not share anything."""
        after_name = (self.folder / "stat").read_text(errors="replace").rpartition(")")[2]
        return Sharer(self.folder.with_name(after_name.split()[1]))

    @property
    def shares(self) -> bool:
        """Whether its standard input is ours."""
        return os.path.samestat((self.folder / "fd" / "0").stat(), os.fstat(0))

    @property
    def reads_commands(self) -> bool:
        """Whether it is a shell that reads its commands from there, as ``%%bash`` and ``curl … | sh`` have it.

        A shell whose user types has its input from a terminal, and a shell's copy of itself (a pipeline's part) has the
        commands already; where such a one shares our input, that was redirected.
        """
        words = self.words
        name = Path(words[0]).name.removeprefix("-") if words else ""
        if name not in _SHELLS or not all(word.startswith("-") for word in words[1:]):
            return False
        kept = (entry for entry in (self.folder / "fd").iterdir() if int(entry.name) >= _KEPT_FROM)
        has_terminal = any(str(entry.readlink()).startswith(("/dev/pts/", "/dev/tty")) for entry in kept)
        return not has_terminal and self.parent.words != words


def sharers() -> Iterator[Sharer]:
    """Yield the programs above us that have our standard input, nearest first."""
    above = Sharer(Path(f"/proc/{os.getppid()}"))
    with suppress(OSError, ValueError, IndexError):  # no /proc, or it has gone, or it is another user's
        while above.shares:
            yield above
            above = above.parent


def somebody_reads_commands() -> bool:
    """Return whether standard input holds the rest of a shell's commands, which must not be taken from it."""
    with suppress(OSError, ValueError, IndexError):
        return any(sharer.reads_commands for sharer in sharers())
    return False
