"""A command more is one file and one row: it is then a magic, a word of ``llx``, in help, completion and reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TOY = """
from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.output import Output

COMMAND = Command(
    run="llx_magic.commands.greet:run",
    arguments=(Argument("who", "WHO", "whom to greet", complete=lambda at: ["world", "moon"]),),
    options=(Option("-l --loud", "", "louder"),),
)


def run(here, asked):
    text = f"hello {asked['who']}"
    return Output(text.upper() if "loud" in asked else text)
"""

ROW = '        Row("greet", "Greet somebody.", "llx_magic.commands.greet"),\n'

NOTEBOOK = """
import contextlib, io, json, sys
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell()
shell.run_line_magic("load_ext", "llx_magic")

def printed(cell):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        shell.run_cell(cell).raise_error()
    return out.getvalue()

def offered(line):
    with provisionalcompleter():
        return [each.text for each in shell.Completer.completions(line, len(line))]

sys.path.insert(0, sys.argv[1])
import make_docs
print(json.dumps({
    "carried out": printed("%llx_greet -l moon"),
    "help": printed("%llx_greet --help"),
    "listed": printed("%%llx --help"),
    "magic": shell.magics_manager.magics["line"]["llx_greet"].__doc__,
    "arguments": offered("%llx_greet "),
    "options": offered("%llx_greet --"),
    "reference": make_docs.commands_page(),
}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of the package with the command in it."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "llx_magic", folder / "llx_magic", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "llx_magic" / "commands" / "greet.py").write_text(TOY)
    table = folder / "llx_magic" / "commands" / "table.py"
    before, row, after = table.read_text().partition("        PROMPT,\n")
    table.write_text(before + row + ROW + after)
    return folder


def run(package: Path, *words: str) -> str:
    env = os.environ | {"PYTHONPATH": str(package), "LLXPRT_CONFIG_HOME": str(package), "IPYTHONDIR": str(package)}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, cwd=package, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_notebook_has_it_with_its_help_its_completion_and_a_row_of_the_reference(package):
    told = json.loads(run(package, "-c", NOTEBOOK, str(ROOT / "scripts")))
    assert told["carried out"] == "HELLO MOON\n"
    assert told["magic"].startswith("Greet somebody.")
    assert told["arguments"][:2] == ["world", "moon"]
    assert "--loud" in told["options"]
    assert "WHO  whom to greet" in told["help"]
    assert "%llx_greet" in told["listed"]
    assert "| `%llx_greet` | `llx greet` | Greet somebody. |" in told["reference"]
    assert "whom to greet" in told["reference"]


def test_a_shell_has_it_with_its_help_and_its_completion(package):
    assert run(package, "-m", "llx_magic", "greet", "world") == "hello world\n"
    assert "-l, --loud" in run(package, "-m", "llx_magic", "greet", "--help")
    assert "Greet somebody." in run(package, "-m", "llx_magic", "--help")
    assert run(package, "-m", "llx_magic", "completion", "--line", "llx gr") == "greet\n"
    assert run(package, "-m", "llx_magic", "completion", "--line", "llx greet m") == "moon\n"
    assert run(package, "-m", "llx_magic", "completion", "--line", "llx greet --lo") == "--loud\n"
