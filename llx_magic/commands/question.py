"""The prompt of the command line: what was typed, what was piped, or both."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from llx_magic.commands import piped
from llx_magic.commands.command import Where
from llx_magic.commands.table import COMMANDS, commands_at
from llx_magic.errors import UsageProblem
from llx_magic.text.wording import closest

_LIKE_A_COMMAND = 0.8
"""From which likeness on (0 to 1) a single word is taken for a misspelt command rather than for a question."""

STANDARD_INPUT = "-"
"""The word that stands for it."""


def question(words: Sequence[str], option: str | None, say: piped.Say) -> str:
    """Return the prompt: the text given as ``words`` or as the option, a blank line, and what was piped.

    Raises:
        UsageProblem: where there is neither, there are two, or something cannot be read as text.
    """
    given = [*words, *([] if option is None else [option])]
    typed = [word for word in given if word != STANDARD_INPUT]
    if option not in (None, STANDARD_INPUT) and len(typed) > 1:
        raise UsageProblem("llx: the prompt is given twice, as --prompt and as a question")
    if option in (None, STANDARD_INPUT) and typed:
        _check(typed)
    asked = piped.argument(typed[0], "the prompt") if typed else ""
    text = piped.standard_input(say) if STANDARD_INPUT in given or piped.is_piped(say) else ""
    if not given and not text.strip():
        raise UsageProblem(
            'llx: no prompt; give --prompt TEXT, or llx "QUESTION", or - to read standard input (see llx --help)'
        )
    if not asked.strip() or not text.strip():
        return text if text.strip() else asked
    say(f"{len(text):,} characters of standard input follow the question")
    return f"{asked.rstrip()}\n\n{text}"


def _check(words: Sequence[str]) -> None:
    """Refuse what is not one text, and a single word that is a misspelt command or one that only notebooks have."""
    first, quoted = words[0], shlex.quote(" ".join(words))
    here = [row.name for row in commands_at(Where.SHELL)]
    meant = closest(first, here, likeness=_LIKE_A_COMMAND)
    if len(words) > 1:
        offer = f"did you mean llx {meant}?" if meant else f"a question is one text: llx {quoted}"
        raise UsageProblem(f"llx: unknown command {first!r}; {offer}")
    if first and first not in here and first in COMMANDS:  # about earlier prompts, which a process forgets
        raise UsageProblem(f"llx: only a notebook has {first}; --stats shows statistics after a prompt")
    if meant:
        raise UsageProblem(
            f"llx: unknown command {first!r}; did you mean llx {meant}? To ask it: llx --prompt {quoted}"
        )
