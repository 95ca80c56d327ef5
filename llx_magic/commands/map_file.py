"""``llx map``: the rows of a file and their replies into another; how it goes is on stderr."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from llx_magic.backends import local as embedded
from llx_magic.commands import mapping, piped
from llx_magic.commands.answering import STANDARD_INPUT, notes_of, schema_of
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, remark
from llx_magic.commands.reading import Asked
from llx_magic.errors import LlxError, UsageProblem
from llx_magic.observe.bars import QuietMap
from llx_magic.rows.result import MapResult
from llx_magic.rows.rows import Source
from llx_magic.rows.source import source_of
from llx_magic.rows.writing import check_target, write_table
from llx_magic.session.mapping import MapRun
from llx_magic.text.wording import shown_path

STANDARD_OUTPUT = "-"
"""The word that stands for it behind ``--out``."""


def run(here: Here, asked: Asked) -> Output | None:
    """Ask the prompt of every row and write the rows with their replies.

    Raises:
        UsageProblem: for what cannot be asked or written; nothing was sent.
        LlxError: where rows have no reply; everything else has been written, but where none has one a file that was
            there stays.
    """
    out = asked.get("out") or STANDARD_OUTPUT
    if out != STANDARD_OUTPUT:
        check_target(Path(out))
        _check_other(asked["data"], Path(out))
    for key in ("param", "system", "prompt"):
        if key in asked:
            asked.given[key][:] = [piped.argument(word, f"--{key}") for word in asked.all(key)]
    rows, ending = _rows(asked["data"])
    balancer, options = mapping.balancer_of(here.session, asked), mapping.options_of(asked, schema_of(asked))
    prepared = MapRun(balancer, rows, asked["prompt"], options)
    if "dry-run" in asked:
        told = prepared.estimate()
        return Output(str(told), is_good=bool(told.to_ask or not told.problems))
    mapping.seek_consent(prepared, asked, here.session.read)
    is_quiet = "quiet" in asked
    for note in () if is_quiet else notes_of(balancer, asked):
        remark(note)
    try:
        result, was_interrupted = mapping.follow(prepared, QuietMap() if is_quiet else here.session.map_view())
    finally:
        embedded.stop()
    missing = mapping.no_reply_in_words(result.summary, prepared.progress().total)
    left = _as_it_was(result, out) if missing else ""
    if not left:
        _write(result, out, ending)
    _report(result, missing, left, is_quiet=is_quiet, was_interrupted=was_interrupted)
    return None


def _check_other(given: str, target: Path) -> None:
    """See to it that the rows are not written over the file they are read from: the same command could not go on.

    Raises:
        UsageProblem: where they would be.
    """
    with contextlib.suppress(OSError):
        if given != STANDARD_INPUT and target.expanduser().samefile(Path(given).expanduser()):
            raise UsageProblem(f"--out {target} is the file that the rows are read from; name another")


def _rows(given: str) -> tuple[Source, str]:
    """Return the rows of a file, or of what is piped, and the ending of a file of their form."""
    if given != STANDARD_INPUT:
        path = Path(given)
        return source_of(path), ".jsonl" if path.suffix.lower() == ".parquet" else path.suffix.lower()
    text = piped.standard_input(remark)
    ending = ".jsonl" if text.lstrip().startswith("{") else ".csv"
    with tempfile.TemporaryDirectory(prefix="llx-") as folder:
        path = Path(folder) / f"standard input{ending}"
        path.write_text(text, encoding="utf-8", newline="")
        try:
            return source_of(path), ending
        except UsageProblem as problem:
            raise UsageProblem(str(problem).replace(shown_path(path), "standard input")) from None


def _as_it_was(result: MapResult, out: str) -> str:
    """Say that a file stays as it was, where it is there and no row has a reply to put into it; else nothing."""
    is_kept = out != STANDARD_OUTPUT and not result.summary.replied and Path(out).expanduser().exists()
    return f"{shown_path(Path(out))} is as it was before" if is_kept else ""


def _write(result: MapResult, out: str, ending: str) -> None:
    if out != STANDARD_OUTPUT:
        write_table(result.frame, Path(out))
        return
    with tempfile.TemporaryDirectory(prefix="llx-") as folder:
        path = Path(folder) / f"standard output{ending}"
        write_table(result.frame, path)
        sys.stdout.write(path.read_text(encoding="utf-8"))


def _report(result: MapResult, told: str, left: str, *, is_quiet: bool, was_interrupted: bool) -> None:
    """Say how it went: ``told`` is which rows have no reply and why, ``left`` what became of the file, if not written.

    Raises:
        KeyboardInterrupt: where it was interrupted.
        LlxError: where rows have no reply; those beyond ``--limit`` need none.
    """
    if not is_quiet:
        remark(str(result.summary))
    if was_interrupted:
        remark("; ".join(filter(None, (f"llx map: {mapping.how_to_go_on(result, 'the same command')}", left))))
        raise KeyboardInterrupt
    if told:
        raise LlxError("; ".join(filter(None, (told, left))))
