"""``llx completion``: what makes a shell complete ``llx``, and what that asks at each press of the key."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.offers import Offers, offers
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Reading
from llx_magic.commands.table import COMMANDS, PROMPT, commands_at
from llx_magic.commands.where import Where
from llx_magic.errors import LlxError, UsageProblem

if TYPE_CHECKING:
    from llx_magic.commands.here import Here
    from llx_magic.commands.reading import Asked

_BASH = """\
_llx() {
    local line="${COMP_LINE:0:COMP_POINT}" each quoted prefix=""
    # readline replaces only what follows the last of its word breaks, such as = in --set key=value, : in -p openai:M
    # https://www.gnu.org/software/bash/manual/html_node/Bash-Variables.html#index-COMP_005fWORDBREAKS
    local word="${line##*[[:space:]]}"
    [[ $COMP_WORDBREAKS == *[=:]* ]] && prefix="${word%"${word##*[$COMP_WORDBREAKS]}"}"
    COMPREPLY=()
    while IFS= read -r each; do
        printf -v quoted %q "${each#"$prefix"}"
        COMPREPLY+=("$quoted")
    done < <(llx completion --line "$line" 2>/dev/null)
    [[ ${COMPREPLY[0]-} == *[=:] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _llx llx
"""

_ZSH = """\
#compdef llx
_llx() {
    local -a found
    local each
    found=("${(@f)$(llx completion --line "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    if [[ -z "${found[*]}" ]]; then
        _files
        return
    fi
    for each in "${found[@]}"; do
        if [[ $each == *[=:] ]]; then compadd -S '' -- "$each"; else compadd -- "$each"; fi
    done
}
compdef _llx llx
"""

_FISH = """\
function __llx_complete
    set -l found (llx completion --line (commandline -cp | string collect) 2>/dev/null)
    if test -n "$found"
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c llx -f -a '(__llx_complete)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

_NOTES = """
bash: source <(llx completion bash) in ~/.bashrc; zsh: the same in ~/.zshrc, below compinit;
fish: llx completion fish > ~/.config/fish/completions/llx.fish
"""

COMMAND = Command(
    run="llx_magic.commands.completion:run",
    arguments=(Argument("shell", "SHELL", "bash, zsh or fish", choices=tuple(_SCRIPTS), optional=True),),
    options=(Option("--line", "LINE", "the words that complete this line up to the cursor", hidden=True),),
    notes={Where.SHELL: _NOTES},
)


def run(here: Here, asked: Asked) -> Output | None:
    """Print a shell's script, or what completes a line, a word each.

    Raises:
        UsageProblem: where no shell is named.
    """
    if "line" in asked:
        found = completions(here, asked["line"])
        return Output("\n".join(found)) if found else None
    if "shell" not in asked:
        raise UsageProblem(f"{asked.prog} takes the name of a shell: {', '.join(_SCRIPTS)}")
    return Output(_SCRIPTS[asked["shell"]].rstrip("\n"))


def completions(here: Here, line: str) -> list[str]:
    """Return the whole words that can stand for the last one of a line; none where a file name can, or any text."""
    words = _words(line)[1:]
    *before, last = words or [""]
    row = COMMANDS.get(before[0]) if before else None
    named = row is not None and row is not PROMPT and Where.SHELL in row.where
    chosen = row if row is not None and named else PROMPT
    reading = Reading(chosen.load(), chosen.typed(Where.SHELL), Where.SHELL)
    for word in before[1:] if named else before:
        reading.take(word)
    try:
        found = offers(here, reading, last) or Offers("", [], [])
    except (LlxError, OSError, ValueError):
        return []  # what a broken profile or folder would have offered is not known
    names = [] if before or last.startswith("-") else [each.name for each in commands_at(Where.SHELL)]
    first = [name for name in names if name.startswith(last)]
    return [*first, *(f"{found.kept}{value}" for value in found.values), *(found.options if last or not first else [])]


def _words(line: str) -> list[str]:
    """Split a shell's line; the last word may have a quote that is still open, and is empty behind a blank."""
    for close in ("", "'", '"'):
        try:
            words = shlex.split(line + close)
        except ValueError:
            continue
        return [*words, ""] if not close and line[-1:].isspace() else words
    return line.split()
