"""Writes the parts of the documentation that are made from the code: ``python scripts/make_docs.py [--check]``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from llx_magic.backends.wires.wire import wire_named
from llx_magic.commands.reading import Reading
from llx_magic.commands.table import COMMANDS, PROMPT
from llx_magic.commands.where import Where
from llx_magic.core.describe import FORMS
from llx_magic.profiles.schema import profile_schema
from llx_magic.providers.provider import FORMS as PROFILE_FORMS
from llx_magic.providers.table import PROVIDERS
from llx_magic.settings.help import markdown_table

ROOT = Path(__file__).resolve().parent.parent
HIGHLIGHTER = ROOT / "labextension" / "static" / "remoteEntry.js"
sys.path.insert(0, str(ROOT))

from tests.wires import verdicts  # noqa: E402

PROVIDERS_PAGE = """\
# Providers

These are known by name, however it is spelt (`Chutes.ai`, `LM Studio`). Any other server that speaks OpenAI's chat
completions works with `--base-url URL`, whatever `--provider` says. A provider that is neither known nor has a base-url
is passed over, with the reason. [Backends without a key](../without-a-key.md) describes `local` and `simulated`.

The form is how the service is asked; a profile may name another (`--form`). One whose base-url is a service's endpoint
for OpenAI's clients (Ollama's `/v1`, Cohere's `/compatibility/v1` …) is asked in `openai-chat`, and a pasted address of
the service's own endpoint (`/api/chat`, `/v2/chat` …) means its own form. Attachments are what the service has a word
for; whether a model can see or read them is the model's affair.

What a prompt says in neutral words is said to each service in its own: how much to reason, that the reply fits a
schema, parameters such as `max_tokens` and `seed`. A parameter under the service's own name goes through and wins. What
has no word there is left out, and a note below the reply says so.

{table}
"""

VERDICTS_PAGE = """\
# What becomes of a failure

Each row is one reply as a service sends it, to the byte, and what is made of it under the default settings. The replies
are in `tests/wires/golden`; this page is made from them.

* **Asked again**: whether the same backend is asked once more, after a delay or the wait that the service names. A
  named wait of more than 5 s is not waited for here: the next backend is asked. Once text has been shown, this backend
  is not asked again; the next one begins anew.
* **Counts**: whether the circuit breaker counts it. After a rate limit the backend is left alone for a time instead, as
  long as the service says, else for 10 s, and where its quota is spent for an hour.
* **Next backend**: whether the next one is asked; after a content filter only with `failover_on_content_filter`.

A service that falls silent within a reply is given up after `stall_timeout_ms`, or after `first_token_timeout_ms` where
no text has come, whatever its form: it counts, it is not asked again, and the next backend is.
[Failover explained](../failover.md) tells the whole.

{tables}
"""

SETTINGS_PAGE = """\
# Settings

From the weakest to the strongest: the default, the member's profile, the load balancer's profile, the session
(`%llx_set KEY VALUE`), the cell (`--set KEY=VALUE`). `none` switches an optional setting off.
[Failover explained](../failover.md) tells what they do together.

{table}
"""

COMMANDS_PAGE = """\
# Commands

What each command says when it is asked for `--help`. In a notebook `%%llx` makes the cell the prompt, and the others
are `%llx_set`, `%llx_profile` and so on. In a shell they are words behind `llx`.

{table}
"""


def providers_table() -> str:
    """Return the table of the providers that are known by name."""
    words = {module: word for word, module in PROFILE_FORMS.items()}
    lines = ["| provider | form | base URL | key variable | attachments | |", "|---|---|---|---|---|---|"]
    for known in PROVIDERS.values():
        wire = wire_named(known.wire).accented(known.accent)
        taken = [name for name, takes in (("images", wire.takes_images), ("files", wire.takes_files)) if takes]
        url = f"`{known.base_url}`" if known.base_url else ""
        variable = f"`{known.key_variable}`" if known.key_variable else ""
        is_asked = known.name not in ("local", "simulated") and not known.problem
        form, attachments = (f"`{words[known.wire]}`", ", ".join(taken) or "none") if is_asked else ("", "")
        lines.append(f"| `{known.name}` | {form} | {url} | {variable} | {attachments} | {known.note} |")
    return "\n".join(lines)


def commands_table() -> str:
    """Return the table of every command, as it is typed in a notebook and in a shell."""
    lines = ["| notebook | shell | |", "|---|---|---|"]
    for row in COMMANDS.values():
        typed = [f"`{row.typed(where)}`" if where in row.where else "" for where in (Where.NOTEBOOK, Where.SHELL)]
        lines.append(f"| {' | '.join(typed)} | {row.summary} |")
    return "\n".join(lines)


def commands_page() -> str:
    """Return the page with every command and the help of each and of its actions."""
    out = [COMMANDS_PAGE.format(table=commands_table())]
    for row in COMMANDS.values():
        for where in (Where.NOTEBOOK, Where.SHELL) if row is PROMPT else (row.where & Where.NOTEBOOK or Where.SHELL,):
            out += helped(Reading(row.load(), row.typed(where), where), 2)
    return "\n".join(out)


def helped(reading: Reading, level: int) -> list[str]:
    """Return the help of a command under a heading, and that of its actions below it."""
    out = [f"{'#' * level} {reading.prog}", "", "```text", reading.help(), "```", ""]
    for name, action in reading.command.actions_at(reading.where).items():
        out += helped(Reading(action, f"{reading.prog} {name}", reading.where), level + 1)
    return out


def debug_lines() -> str:
    """Return the page of every debug line."""
    lines = [
        "# Debug lines",
        "",
        "Written through `logging` (`llx_magic.lb`, `llx_magic.circuit_breaker`) at level DEBUG, and to stderr when",
        "`LLXPRT_DEBUG` holds a matching pattern (`llxprt:*`, `llxprt:lb`, `llxprt:circuit-breaker`). `%llx_log` shows",
        "them with the time of day. This page is made from the table in `llx_magic/core/describe.py`.",
        "",
        "| line | event | when |",
        "|---|---|---|",
    ]
    for form in FORMS:
        pattern = form.pattern.replace("{", "<").replace("}", ">")
        said = (form.event.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{pattern}` | `{form.event.__name__}` | {form.meaning or said} |")
    return "\n".join(lines) + "\n"


def highlighter() -> str:
    """Return the front-end extension with the cell magics whose text is a prompt, as the table of commands has them."""
    magics = [row.typed(Where.NOTEBOOK).lstrip("%") for row in COMMANDS.values() if row is PROMPT or row.cell]
    line = f"const CELL_MAGICS = {json.dumps(magics)};"
    return re.sub(r"const CELL_MAGICS = .*", line, HIGHLIGHTER.read_text(encoding="utf-8"), count=1)


def fresh() -> dict[Path, str]:
    """Return each document as it should be."""
    docs, pages = ROOT / "docs", ROOT / "docs" / "reference"
    return {
        HIGHLIGHTER: highlighter(),
        docs / "profile.schema.json": json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n",
        pages / "commands.md": commands_page(),
        pages / "debug-lines.md": debug_lines(),
        pages / "providers.md": PROVIDERS_PAGE.format(table=providers_table()),
        pages / "settings.md": SETTINGS_PAGE.format(table=markdown_table()),
        pages / "verdicts.md": VERDICTS_PAGE.format(tables=verdicts.tables()),
    }


def main() -> int:
    """Write, or with ``--check`` say which are stale."""
    documents = fresh()
    stale = [path for path, text in documents.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: python scripts/make_docs.py")
        return bool(stale)
    for path in stale:
        path.write_text(documents[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
