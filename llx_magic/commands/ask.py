"""The prompt: ``%%llx``, ``%llx`` and ``llx``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.sources import backends, conversations, files, pictures, profiles, request_settings, schemas
from llx_magic.commands.where import Where
from llx_magic.core.effort import CALLED

if TYPE_CHECKING:
    from llx_magic.commands.reading import Asked
    from llx_magic.core.reply import Effort

Format = Literal["markdown", "text", "code", "json"]

FORMATS: tuple[Format, ...] = ("markdown", "text", "code", "json")
"""How a reply can be shown."""

EFFORTS: tuple[Effort, ...] = ("none", "low", "medium", "high")
"""How much a model can be asked to reason."""

WHOLE: tuple[Format, ...] = ("markdown", "text")
"""Those that show the whole text of a reply, so that it can be shown while it comes."""

NOTEBOOK, SHELL = Where.NOTEBOOK, Where.SHELL

BACKEND = Option("-b --backend", "NAME", "one backend only, without failover", complete=backends)
EFFORT = Option(
    "--effort", "EFFORT", "how much the model should reason before it answers", choices=EFFORTS, also=CALLED
)
"""The options that one prompt and the prompt of rows have in common."""

_SHELL_NOTES = """
examples:
  llx "Why is the sky blue?"
  git diff | llx "Write a commit message for this."      the question, a blank line, the piped text
  llx -q -f json "Three primes, as a JSON list." | jq .
  llx -p work - < question.txt                           the file is the question

A pipe or file on standard input is read to its end; where a script leaves one open that is not meant for llx, give
< /dev/null. Text is UTF-8, in whatever locale.

exit status: 0 answered, 1 no backend could answer or the reply has not the form asked for, 2 bad usage, 130 interrupted
"""

COMMAND = Command(
    run="llx_magic.commands.answering:run",
    text=True,
    prompt="the prompt stands below %%llx, and on one line it is %llx TEXT",
    arguments=(Argument("question", "QUESTION", "the prompt; - stands for standard input", many=True, where=SHELL),),
    options=(
        Option("-p --profile --profile-load", "NAME_OR_PATH", "another profile than the active one", complete=profiles),
        BACKEND,
        Option("-s --system", "TEXT", "the system prompt"),
        Option(
            "-i --image",
            "EXPR",
            "an image before the text: an expression, a file or an https address",
            repeats=True,
            complete=pictures,
            where=NOTEBOOK,
        ),
        Option(
            "-i --image",
            "FILE",
            "an image or PDF before the text, by its path or https address",
            repeats=True,
            complete=files,
            where=SHELL,
        ),
        Option("-o --out", "VAR", "the variable that takes the reply", where=NOTEBOOK),
        Option(
            "-f --format",
            "FORMAT",
            "markdown, text, code or json: the model is told; code is shown alone; JSON is checked, and asked for "
            "again where it is none (schema_retries)",
            choices=FORMATS,
            also={"md": "markdown", "txt": "text", "plain": "text"},
        ),
        Option(
            "--schema",
            "VAR",
            "the reply is JSON of this class or schema, checked as JSON is; _llx.value is the value",
            complete=schemas,
            where=NOTEBOOK,
        ),
        Option(
            "--schema",
            "FILE",
            "the reply is JSON of the JSON schema in this file, checked as JSON is",
            complete=files,
            where=SHELL,
        ),
        Option(
            "--cache", "", "answer from the store of replies, if the same was asked before; else keep the reply there"
        ),
        EFFORT,
        Option(
            "--set",
            "key=value",
            "a setting, for this prompt only; may be repeated",
            complete=request_settings,
            repeats=True,
        ),
        Option("--param", "name=value", "a parameter of the model for this prompt only; may be repeated", repeats=True),
        Option(
            "--chat",
            "NAME",
            "continue a conversation, named or the session's own (before a text: --chat=NAME)",
            complete=conversations,
            bare=True,
        ),
        Option("--bg", "", "return at once; the reply goes on streaming into its own cell", where=NOTEBOOK),
        Option("--no-stream", "", "show the reply once, when it is whole"),
        Option("-q --quiet", "", "no output; the reply is in _llx and in VAR; errors are shown", where=NOTEBOOK),
        Option("-q --quiet", "", "nothing on stderr but errors", where=SHELL),
        Option("-r --raw", "", "send {{ }} as it is instead of filling it in", where=NOTEBOOK),
        Option(
            "--next-cell",
            "",
            "put the code of the reply into a new cell; not a second time where it is the same",
            where=NOTEBOOK,
        ),
        Option("--dry-run", "", "the prompt and who would be asked, with the reason; nothing is sent"),
        Option("--prompt", "TEXT", "the same as QUESTION, for scripts", where=SHELL),
        Option("--trust", "", "let the profile use the keys it names, this time", where=SHELL),
        Option("--stats", "", "the statistics afterwards, on stderr", where=SHELL),
        Option("--version", "", "print the version", where=SHELL, alone=True),
    ),
    notes={SHELL: _SHELL_NOTES},
)


def form_of(asked: Asked) -> Format:
    """Return how the reply is to be shown."""
    return cast("Format", asked.get("format") or ("json" if "schema" in asked else "markdown"))


def effort_of(asked: Asked) -> Effort | None:
    """Return how much the model is to reason, if that was said."""
    return cast("Effort | None", asked.get("effort"))
