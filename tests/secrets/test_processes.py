"""No secret in what other processes show or leave: notebooks, history, the command line, the model's own process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from llx_magic.backends.local import LocalServer
from llx_magic.backends.local.environment import without_keys
from llx_magic.backends.local.modelfile import FileState, ModelFile, identity_of
from llx_magic.keys.redaction import LIVE_KEYS
from tests.notebook.kit import ROOT
from tests.secrets import scene as scenes
from tests.secrets.conftest import SWEPT
from tests.secrets.scene import Scene
from tests.secrets.sweep import Sweep, odd

MARK = "PLANTED-where-no-key-is"

CELLS = (
    "%load_ext llx_magic\n%xmode Verbose",
    "import logging\nlogging.basicConfig(level=logging.DEBUG)",
    "%llx_profile load {lb}",
    "%%llx\nwhy",
    "_llx",
    "%llx_stats lb",
    "%llx_trace",
    "%llx_dashboard",
    "import llx_magic as llx\nllx.ask('why', profile='{lb}', backend='{member}')",
    "try:\n    await llx.load('{lb}').ask('why')\nexcept llx.LlxError as mine:\n    raise ValueError from mine",
    "%llx_key list",
)
"""A notebook of all that can be shown, with errors in it."""

COMMANDS = (
    ("--profile-load", "{lb}", "--prompt", "why", "--stats"),
    ("profile", "show", "{member}"),
    ("key", "list"),
    ("key", "delete", "{member}"),
)
"""Command lines; the first fails with all that the servers say, and a name that is not there fails."""


@pytest.fixture(params=["keys", "mark"])
def world(request, tmp_path, monkeypatch) -> Iterator[Scene]:
    """Keys that must not be found anywhere; or a mark that must be found everywhere, so that the search can fail."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    mark = request.param == "mark"
    made = scenes.planted(tmp_path, MARK) if mark else scenes.furnish(tmp_path, odd, monkeypatch.setenv)
    with made.server:
        made.server.set_default(scenes.text_then_error)
        yield made


def check(world: Scene, place: str, texts: list[str | bytes]) -> None:
    """The mark must be found, a key must not."""
    found = Sweep(world.secrets).found_in(texts)
    if "mark" in world.secrets:
        assert found, f"nothing would be found in {place}"
        return
    SWEPT["places"].add(place)
    if found:
        SWEPT["found"].add(("processes", place))
    assert not found


def worded(world: Scene, text: str) -> str:
    return text.replace("{lb}", world.name).replace("{member}", world.members[1])


def test_a_saved_notebook_and_the_history_hold_no_key(world, tmp_path):
    """Every file that running it leaves: the notebook, IPython's history and folder, the configuration."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells = [nbformat.v4.new_code_cell(worded(world, cell)) for cell in CELLS]
    made = nbformat.v4.new_notebook(cells=cells)
    history = tmp_path / "history.sqlite"
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(
        made, kernel_name="python3", allow_errors=True, resources=place, ipython_hist_file=str(history)
    ).execute()
    nbformat.write(made, folder / "made.ipynb")
    assert [cell.source for cell in made.cells if any(out.output_type == "error" for out in cell.outputs)]
    check(world, "a saved notebook", [(folder / "made.ipynb").read_bytes()])
    assert history.exists()
    check(world, "IPython's history", [file.read_bytes() for file in tmp_path.glob("history.sqlite*")])
    left = [*(tmp_path / "ipython").rglob("*"), *folder.rglob("*"), *world.home.rglob("*")]
    kept = [path.read_bytes() for path in left if path.is_file() and path not in world.users_own]
    check(world, "all files that a notebook left", kept)


def test_the_command_line_shows_no_key(world, tmp_path):
    """Neither on stdout nor on stderr, with every debug line; nor does the help."""
    lines = COMMANDS[:2] if "mark" in world.secrets else (*COMMANDS, ("--help",))
    words = [[worded(world, word) for word in line] for line in lines]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "llx_magic", *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
        )
        for line in words
    ]
    said = [process.communicate(timeout=60) for process in started]
    check(world, "the command line: stdout", [out for out, _ in said])
    check(world, "the command line: stderr", [err for _, err in said])


RUNTIME = """
class _Model: path = ""
class CommonParams:
    def __init__(self): self.model = _Model()
class Server:
    def __init__(self, params): self.listening_address = "http://127.0.0.1:1"
"""


@pytest.mark.posix("only Linux has /proc")
def test_the_models_own_process_gets_no_key(world, tmp_path, monkeypatch):
    """Neither in its environment, going by the variables' names and values, nor in its command line."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "xllamacpp.py").write_text(RUNTIME)
    monkeypatch.setenv("PYTHONPATH", str(runtime))
    monkeypatch.setenv("WITHOUT_A_WORD_FOR_IT", "Zm9v" * 12)
    LIVE_KEYS.add("Zm9v" * 12)
    monkeypatch.setenv("WORK_KEY", world.secrets.get("variable", ""))
    monkeypatch.setenv("HARMLESS", MARK)
    (tmp_path / MARK).write_bytes(b"")
    identity = identity_of((tmp_path / MARK).stat())
    model = ModelFile(state=FileState.FETCHED, path=tmp_path / MARK, identity=identity)
    server = LocalServer()
    try:
        child = Path(f"/proc/{asyncio.run(server.ready(model)).pid}")
        seen = [(child / "environ").read_bytes(), (child / "cmdline").read_bytes()]
    finally:
        server.stop()
    check(world, "the model's process: environment and command line", seen)
    assert b"HARMLESS=" in seen[0]
    assert b"OPENAI_API_KEY" not in seen[0]
    assert b"WORK_KEY" not in seen[0]
    assert b"WITHOUT_A_WORD_FOR_IT" not in seen[0]


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("OPENAI_API_KEY", False), ("work_key", False), ("HF_TOKEN", False), ("DB_PASSWORD", False),
        ("MYAPIKEY", False), ("AWS_SECRET_ACCESS_KEY", False), ("UV_INDEX_MINE_PASSWORD", False), ("PATH", True),
        ("OPENAI_KEY2", False), ("TOKEN_3_B", False), ("GITHUB_PAT", False), ("OPENAI_APIKEY", False),
        ("OPENAI_APIKEY_2", False), ("MYAPIKEY2_OLD", False), ("PATTERN", True), ("MONKEY", True), ("KEYBOARD", True),
        ("TOKENIZERS_PARALLELISM", True), ("SSH_AUTH_SOCK", True), ("SMTP_PASS_2", False), ("AWS_ACCESS_KEY_ID", False),
        ("COOKIE_JAR", False), ("BYPASS", True), ("DBUS_SESSION_BUS_ADDRESS", True),
    ],
)  # fmt: skip
def test_a_variable_that_is_named_like_a_key_is_left_out(monkeypatch, name, stays):
    """An installer keeps what begins with its own name: the access to a package index of the user's."""
    monkeypatch.setenv(name, "x")
    assert (name in without_keys()) is stays
    assert name in without_keys(but=("UV_",)) or not name.startswith("UV_")
    assert os.environ[name] == "x"
