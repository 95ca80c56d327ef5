"""The same prompt for every row: ``%%llx_map`` and ``llx map``."""

from __future__ import annotations

from typing import Final

from llx_magic.commands.ask import BACKEND, EFFORT
from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.sources import files, profiles, request_settings, rows, schemas
from llx_magic.commands.where import Where

NOTEBOOK, SHELL = Where.NOTEBOOK, Where.SHELL

AGAIN: Final = "errors"
"""What ``--retry`` takes: the rows whose failure is in the store."""

_NOTEBOOK_NOTES = """
example:
  {prog} reviews -o rated --schema Rating
  Rate this review of {{{{ product }}}}: {{{{ text }}}}

In {{{{ }}}} the columns of the row come first, then the variables of the notebook. {{{{ row }}}} is the whole row, or
the value where the data is a list or a Series. The frame is in VAR, and all about the run in _llx_map. Every reply is
kept as soon as it comes: the same cell, run again, asks only for what is missing.
"""

_SHELL_NOTES = """
examples:
  llx map reviews.csv --prompt "In one word, good or bad? {{{{ text }}}}" --out rated.csv
  llx map - --prompt "Translate into French: {{{{ row }}}}" < lines.jsonl > french.jsonl

FILE is CSV, TSV, JSONL or Parquet by its ending. What is piped is JSONL where it begins with a brace, else CSV.
Without --out the rows are written to standard output, in the form of the input (JSONL where that was Parquet).
Where no row has a reply, a file of --out that was there before stays as it was.
Every reply is kept as soon as it comes: the same command, run again, asks only for what is missing.

exit status: 0 all rows answered (with --limit the first N), 1 some failed or were not asked, 2 bad usage,
130 interrupted
"""

COMMAND = Command(
    run="llx_magic.commands.map_file:run",
    run_in_notebook="llx_magic.notebook.mapper:run",
    prompt="the prompt of each row stands below %%llx_map DATA",
    arguments=(
        Argument(
            "data",
            "DATA",
            "a frame, a Series, a list, any expression, or a file",
            complete=rows,
            optional=True,
            where=NOTEBOOK,
        ),
        Argument("data", "FILE", "the rows; - stands for standard input", complete=files, where=SHELL),
    ),
    options=(
        Option("--prompt", "TEXT", "the prompt of each row; {{ }} holds columns", needed=True, where=SHELL),
        Option("-o --out", "VAR", "the variable that takes the frame", where=NOTEBOOK),
        Option(
            "-o --out",
            "FILE",
            "the file that takes the rows and their replies; - is standard output",
            complete=files,
            where=SHELL,
        ),
        Option("-p --profile", "NAME_OR_PATH", "another profile than the active one", complete=profiles),
        BACKEND,
        Option("-s --system", "TEXT", "the system prompt of each row"),
        Option(
            "--schema",
            "VAR",
            "each reply is JSON of this class or schema; its fields become columns",
            complete=schemas,
            where=NOTEBOOK,
        ),
        Option(
            "--schema",
            "FILE",
            "each reply is JSON of the JSON schema in this file; its fields become columns",
            complete=files,
            where=SHELL,
        ),
        EFFORT,
        Option(
            "--set",
            "key=value",
            "a setting, for this run only; may be repeated",
            complete=request_settings,
            repeats=True,
        ),
        Option("--param", "name=value", "a parameter of the model, for this run only; may be repeated", repeats=True),
        Option("--dry-run", "", "the first prompts, how many there are, tokens and cost; nothing is sent"),
        Option("-n --limit", "N", "ask the first N rows only; the others stay in the result, as not asked"),
        Option("--samples", "N", "ask each row N times"),
        Option("--no-dedupe", "", "ask equal prompts as often as they occur, not once"),
        Option("--fresh", "", "ask again what is in the store"),
        Option("--retry", AGAIN, "ask again the rows whose failure is in the store", choices=(AGAIN,)),
        Option(f"--retry-{AGAIN}", "", f"the same as --retry {AGAIN}", hidden=True),
        Option("--budget", "USD", "stop before the run costs more"),
        Option("-y --yes", "", "send the rows without asking, whatever they cost (ask_above_usd)"),
        Option("--max-errors", "N", "stop after N failed rows"),
        Option("--give-up-after", "SECONDS", "stop waiting after this time, with what is done"),
        Option("--prefix", "TEXT", "begin the names of the new columns so"),
        Option("--store", "PATH", "another store of replies than your own", complete=files),
        Option("-q --quiet", "", "no output but errors"),
        Option("--trust", "", "let the profile use the keys it names, this time", where=SHELL),
    ),
    notes={NOTEBOOK: _NOTEBOOK_NOTES, SHELL: _SHELL_NOTES},
)
