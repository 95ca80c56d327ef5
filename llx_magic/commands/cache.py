"""The store of replies: ``%llx_cache`` and ``llx cache``."""

from __future__ import annotations

import re
import time
from pathlib import Path

from llx_magic.commands import sources
from llx_magic.commands.command import Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.localtime import day_and_minute
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.where import ANYWHERE
from llx_magic.errors import UsageProblem, brief
from llx_magic.files.folders import absolute
from llx_magic.observe.report import html_table, text_table
from llx_magic.replies import export as exporting
from llx_magic.replies.store import ReplyStore, default_path
from llx_magic.text.screen import one_line
from llx_magic.text.wording import nearest, shown_path
from llx_magic.units import plural

_RUN = "llx_magic.commands.cache"

_UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGE = re.compile(rf"\s*(\d{{1,9}}(?:\.\d{{1,6}})?)\s*({'|'.join(_UNITS)})\s*", re.IGNORECASE | re.ASCII)

_HEADINGS = ("profile", "replies", "own faults", "size", "first", "latest")

_NOTES = """
Replies get there by --cache of a prompt and by each run over rows; what is asked once more is answered from there. What
a row itself is at fault for, such as being too long, is kept as well. A reply counts for as long as the profile names
the model that was asked. Prompts are kept only with the setting keep_prompts.
"""

COMMAND = Command(
    run=f"{_RUN}:overview",
    options=(Option("--store", "FILE", "another store than your own", complete=sources.files),),
    actions=(
        Command("show", "Show what the store holds, its size and its age.", run=f"{_RUN}:overview"),
        Command(
            "clear",
            "Delete the replies in the store (kept as .bak): all of them, or those that the options name.",
            run=f"{_RUN}:clear",
            options=(
                Option("--older-than", "AGE", "those that are older: 12h, 30d, 8w"),
                Option(
                    "-p --profile", "NAME", "those that were asked for this profile", complete=sources.profile_names
                ),
            ),
        ),
        Command(
            "export",
            "Write everything into a new file, Parquet or JSON lines.",
            run=f"{_RUN}:export",
            options=(
                Option(
                    "--file", "FILE", "its ending says which: .parquet or .jsonl", complete=sources.files, needed=True
                ),
            ),
        ),
    ),
    notes={ANYWHERE: _NOTES},
)


def overview(_here: Here, asked: Asked) -> Output:
    """Show what the store holds of each profile."""
    path = _path(asked)
    if not path.exists():
        return _nothing(path)
    with ReplyStore.open(path) as store:
        shares, size = store.shares(), store.size()
    replies, failed = sum(each.replies for each in shares), sum(each.failed for each in shares)
    told = plural(replies, "reply", "replies") + (f" and {plural(failed, 'own fault')} of rows" if failed else "")
    head = f"{shown_path(path)}: {told}, {_size(size)}"
    if not shares:
        return Output(head)
    rows = [
        (
            one_line(each.profile, 40) or "(none)",
            f"{each.replies:,}",
            f"{each.failed:,}",
            _size(each.size),
            day_and_minute(each.first),
            day_and_minute(each.last),
        )
        for each in shares
    ]
    return Output(f"{head}\n\n{text_table(_HEADINGS, rows)}", html_table(_HEADINGS, rows, caption=head))


def clear(_here: Here, asked: Asked) -> Output:
    """Delete replies; the store as it was is kept as .bak."""
    path, age, profile = _path(asked), asked.get("older-than"), asked.get("profile")
    before = None if age is None else time.time() - _seconds(age)
    if not path.exists():
        return _nothing(path)
    with ReplyStore.open(path) as store:
        known = [each.profile for each in store.shares()]
        if profile is not None and profile not in known:
            raise UsageProblem(f"{shown_path(path)}: holds nothing of profile {profile}{nearest(profile, known)}")
        backup = path.with_name(f"{path.name}.bak")
        deleted = store.clear(before=before, profile=profile, backup=backup)
        left, size = sum(each.replies + each.failed for each in store.shares()), store.size()
    kept = f"; the store as it was is kept as {backup.name}" if deleted else ""
    return Output(f"{shown_path(path)}: {deleted:,} deleted, {left:,} left, {_size(size)}{kept}")


def export(_here: Here, asked: Asked) -> Output:
    """Write everything into a file."""
    path, file = _path(asked), Path(asked["file"]).expanduser()
    if not path.exists():
        return _nothing(path)
    with ReplyStore.open(path) as store:
        written = exporting.write(file, store.export())
    return Output(f"{shown_path(path)}: {written:,} written to {shown_path(file)}")


def _path(asked: Asked) -> Path:
    given = asked.get("store")
    return default_path() if given is None else absolute(given)


def _nothing(path: Path) -> Output:
    return Output(f"{shown_path(path)}: there is no store yet; a prompt with --cache or a run over rows makes one")


def _seconds(age: str) -> float:
    if (found := _AGE.fullmatch(age)) is None:
        raise UsageProblem(f"--older-than must be a number with {', '.join(_UNITS)}, such as 30d; got {brief(age)}")
    return float(found[1]) * _UNITS[found[2].lower()]


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3)):,} kB"
