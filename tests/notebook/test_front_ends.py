"""Front ends that redraw and those that cannot: the answer is there in each, once."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pexpect
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from llx_magic.notebook.frontend import front_end_of
from tests.notebook.kernel import Kernel, started
from tests.notebook.kit import ROOT, RedrawingShell, opened, wait_until

ANSWER = "First **says** hello."
OF_PYTHON = {"msg_id": "0e47a68c-4ffa4b411e7741984d999de9_10099_1", "date": "2026-11-26T06:25:28.267453Z"}
OF_PYTHON_BY_CHANCE = {**OF_PYTHON, "date": dt.datetime(2026, 11, 26, 6, 25, 28, 267000, dt.UTC)}
OF_A_PAGE = {"msg_id": "b1d0a3f0-7a0e-4f6b-9a3c-6a1f0c9f1b11", "date": "2026-11-26T06:25:28.267Z"}
OF_A_PAGE_AS_READ = {"msg_id": "B1D0A3F07A0E4F6B", "date": dt.datetime(2026, 11, 26, 6, 25, 28, 267000, dt.UTC)}
ANYBODY, NOBODY = {"allow_stdin": True}, {"allow_stdin": False}
VSCODE = "vscode-notebook-cell:/home/me/a.ipynb#W2sZmlsZQ%3D%3D"


@pytest.mark.parametrize(
    ("metadata", "header", "content", "redraws", "is_program", "cell"),
    [
        ({"deletedCells": [], "recordTiming": False, "cellId": "c1"}, OF_A_PAGE, ANYBODY, True, False, "c1"),
        ({"cellId": "c1", "trusted": True}, OF_A_PAGE_AS_READ, ANYBODY, True, False, "c1"),
        ({"cellId": VSCODE}, OF_A_PAGE, ANYBODY, True, False, VSCODE),
        ({"cell_id": "c1", "document_id": "d", "record_timing": True}, OF_PYTHON, NOBODY, True, False, "c1"),
        ({"colab": {"base_url": "https://colab.research.google.com"}}, OF_PYTHON, ANYBODY, True, False, None),
        ({}, OF_A_PAGE, ANYBODY, True, False, None),
        ({}, OF_A_PAGE_AS_READ, ANYBODY, True, False, None),
        ({}, OF_PYTHON, ANYBODY, False, False, None),
        ({}, OF_PYTHON_BY_CHANCE, ANYBODY, False, False, None),
        ({}, OF_PYTHON, NOBODY, False, True, None),
        ({}, {"msg_id": "5f0b", "date": "2026-11-26T06:25:28.267453091Z"}, ANYBODY, False, False, None),
        ({"cellId": 7}, OF_A_PAGE, ANYBODY, True, False, None),
    ],
    ids=[
        "JupyterLab", "Notebook 7", "VS Code", "nbmodel", "Colab", "Notebook 6 on xeus", "Notebook 6", "console",
        "console at a whole millisecond", "nbclient", "an editor of its own", "an id that is no text",
    ],
)  # fmt: skip
def test_what_a_front_end_says_of_itself_decides(metadata, header, content, redraws, is_program, cell):
    found = front_end_of({"metadata": metadata, "header": header, "content": content})
    assert found == (redraws, is_program, cell)


@pytest.mark.parametrize("request_", [{}, {"header": None}, {"metadata": [], "content": "x"}, {"header": {"date": 7}}])
def test_a_request_that_says_nothing_is_taken_for_a_front_end_that_cannot_redraw(request_):
    assert front_end_of(request_) == (False, False, None)


@pytest.fixture
def console(pair: str, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel whose front end sends what jupyter console sends."""
    with started(tmp_path, console=True) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(f"%llx_profile load {pair}").fine()
        yield kernel


def displays_of(kernel: Kernel, code: str) -> list[str]:
    """Return the kinds of the display messages that a cell sends."""
    seen: list[str] = []
    take = kernel._take
    kernel._take = lambda message: (seen.append(message["msg_type"]), take(message))[1]  # type: ignore[method-assign]
    kernel.run(code).fine()
    return [kind for kind in seen if "display_data" in kind]


@pytest.mark.parametrize("magic", ["%%llx\nhello", "%llx hello", "r = %llx hello", "%%llx --no-stream\nhello"])
def test_where_nothing_can_be_redrawn_the_reply_is_one_display_of_its_own(console, magic):
    assert displays_of(console, magic) == ["display_data"]


def test_where_nothing_can_be_redrawn_a_background_reply_comes_as_a_display_of_its_own(console, first):
    first.set_default("ok-when-released")
    cell = console.run("%%llx --bg\nhello").fine()
    assert cell.plain.strip() == "job 1 is running; %llx_jobs lists, shows and cancels"
    first.release()
    console.wait_for_text(cell, ANSWER)
    assert len(cell.displays) == 1


def test_where_nothing_can_be_redrawn_a_background_prompt_that_fails_says_why(console, first, second):
    first.set_default("503")
    second.set_default("503")
    cell = console.run("%%llx --bg\nhello").fine()
    console.wait_for_text(cell, "503 Service Unavailable")


@pytest.mark.parametrize(("word", "kinds"), [("always", True), ("never", False)])
def test_the_user_has_the_last_word_on_redrawing(console, word, kinds):
    console.run(f"%config LlxMagics.redraw = '{word}'").fine()
    assert ("update_display_data" in displays_of(console, "%%llx\nhello")) is kinds


# --- a notebook that a program executes -----------------------------------------------------------------------------


def executed(cells: list[str], folder: Path, **client: Any) -> list[nbformat.NotebookNode]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", resources=resources, **client).execute()
    return notebook.cells


@pytest.mark.parametrize("option", ["", "--bg", "--no-stream", "--bg --no-stream"])
def test_a_notebook_that_a_program_executes_holds_each_answer_once_and_nothing_besides(pair, tmp_path, option):
    cells = executed(["%load_ext llx_magic", f"%llx_profile load {pair}", f"%%llx {option}\nhello"], tmp_path)
    (output,) = cells[2].outputs
    assert output.output_type == "display_data"
    assert set(output.data) == {"text/plain", "text/html"}
    assert output.data["text/plain"].startswith(ANSWER)
    assert nbformat.writes(nbformat.v4.new_notebook(cells=cells)).count(ANSWER) == 1


def test_a_background_prompt_that_fails_in_an_executed_notebook_says_why_and_the_rest_runs(
    pair, tmp_path, first, second
):
    first.set_default("503")
    second.set_default("503")
    load = ["%load_ext llx_magic", f"%llx_profile load {pair}"]
    cells = executed([*load, "%%llx --bg\nhello", "print('went on')"], tmp_path)
    assert "503 Service Unavailable" in cells[2].outputs[0].data["text/plain"]
    assert cells[3].outputs[0].text == "went on\n"


def test_two_runs_of_a_notebook_leave_the_same_text_where_the_footer_is_stable(pair, tmp_path):
    cells = [
        "%load_ext llx_magic", "%config LlxMagics.footer = 'stable'", f"%llx_profile load {pair}", "%%llx\nhello",
        "%%llx --bg\nhello", "%%llx -q\nhello",
    ]  # fmt: skip
    one, two = ([cell.outputs for cell in executed(cells, tmp_path)] for _ in range(2))
    assert one == two
    assert one[3][0].data["text/plain"] == f"{ANSWER}\n\nfirst (first-model) · finish stop"


def test_each_run_of_a_notebook_continues_its_conversation_with_the_same_turns(pair, tmp_path, first):
    """As a nightly run does: the second run sends what the first one sent, in each of its cells."""
    load = ["%load_ext llx_magic", f"%llx_profile load {pair}"]
    asked = ["%%llx --chat=nightly\none", "%%llx --chat=nightly --bg\ntwo", "%%llx --chat=nightly --dry-run\nx"]
    for _ in range(2):
        executed([*load, *asked], tmp_path)
    sent = [[message["content"] for message in request.json["messages"]] for request in first.requests]
    assert sent == [["one"], ["one", ANSWER, "two"]] * 2


def test_a_console_goes_on_with_a_conversation(console, first):
    for prompt in ("one", "two"):
        console.run(f"%llx --chat=plan {prompt}").fine()
    sent = [message["content"] for message in first.requests[1].json["messages"]]
    assert sent == ["one", ANSWER, "two"]


# --- jupyter console ------------------------------------------------------------------------------------------------


def _console(folder: Path) -> pexpect.spawn:
    """Start the real one in a terminal, and have it execute a first line.

    One that subscribes too late misses that the kernel is idle again, and waits for that for ever: it is started anew.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    for _ in range(3):
        child = pexpect.spawn(
            sys.executable,
            ["-m", "jupyter_console", "--simple-prompt", "--kernel=python3"],
            cwd=str(folder),
            env={**os.environ, "PYTHONPATH": path, "TERM": "dumb", "JUPYTER_CONSOLE_TEST": "1"},
            encoding="utf-8",
            dimensions=(50, 300),
            timeout=180,
        )
        child.setecho(False)
        child.expect(r"In \[1\]: ")
        child.sendline("pass")
        if child.expect([r"In \[2\]: ", pexpect.TIMEOUT], timeout=60) == 0:
            return child
        child.close(force=True)
    pytest.fail("jupyter console did not execute its first line in three tries")


@pytest.fixture
def jupyter_console(tmp_path: Path, pair: str) -> Iterator[pexpect.spawn]:
    """The real one, with the two backends loaded."""
    child = _console(tmp_path)
    try:
        for number, line in enumerate(["%load_ext llx_magic", f"%llx_profile load {pair}"], 3):
            child.sendline(line)
            child.expect(rf"In \[{number}\]: ")
        yield child
    finally:
        child.close(force=True)


@pytest.mark.posix("Windows has no terminals of this kind")
def test_the_answer_is_there_in_jupyter_console(jupyter_console):
    jupyter_console.sendline("%llx hello")
    jupyter_console.expect(r"In \[5\]: ")
    written = jupyter_console.before
    assert written.count(ANSWER) == 1
    assert "first (first-model) · " in written
    assert "asking" not in written


# --- xeus-python ----------------------------------------------------------------------------------------------------


@pytest.fixture
def xeus(pair: str, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel that is not ipykernel, with the two backends loaded."""
    if "xpython" not in KernelSpecManager().find_kernel_specs():
        pytest.skip("NOT RUN: xeus-python is not installed (pip install xeus-python)")
    with started(tmp_path, kind="xpython") as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(f"%llx_profile load {pair}").fine()
        yield kernel


@pytest.mark.parametrize("magic", ["%%llx\nhello", "%llx hello", "r = %llx hello", "%%llx --chat trip\nhello"])
def test_prompts_are_answered_in_xeus_python(xeus, magic):
    cell = xeus.run(magic).fine()
    assert cell.plain.startswith(ANSWER)
    assert all(output["metadata"] == {} for output in cell.outputs if "data" in output)


@pytest.mark.parametrize("magic", ["%llx_set", "%llx_profile list", "%llx_stats", "%llx_trace", "%llx_jobs"])
def test_tables_are_shown_in_xeus_python(xeus, magic):
    xeus.run("%%llx\nhello").fine()
    cell = xeus.run(magic).fine()
    assert cell.outputs
    assert all(output["metadata"] == {} for output in cell.outputs if "data" in output)


def test_an_error_is_one_line_in_xeus_python(xeus):
    (error,) = xeus.run("%%llx --no-steam\nhello").errors
    assert len(error["traceback"]) == 1
    assert "--no-stream" in error["traceback"][0]


def test_a_background_prompt_is_answered_in_xeus_python(xeus):
    cell = xeus.run("%%llx --bg -o later\nhello").fine()
    assert "job 1 is running" in cell.plain
    assert wait_until(lambda: ANSWER in xeus.run("print(globals().get('later'))").plain)


# --- no output ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", ["%%llx --quiet\nhello", "%%llx -q -o r\nhello", "r = %llx -q hello"])
def test_a_quiet_prompt_shows_nothing_and_keeps_the_reply(viewer, magic):
    ran = viewer(magic).fine()
    assert not ran.shown
    assert not ran.printed
    assert viewer.last.text == ANSWER


def test_a_quiet_prompt_that_fails_shows_its_error(viewer, first, second):
    first.set_default("text-then-end")
    second.set_default("503")
    ran = viewer("%%llx -q\nhello")
    assert "503 Service Unavailable" in ran.failure
    assert not ran.shown


def test_a_quiet_prompt_prints_nothing_in_a_terminal(user):
    ran = user("%%llx -q\nhello").fine()
    assert not ran.printed
    assert user.last.text == ANSWER


def test_a_kernel_whose_get_parent_takes_no_channel_is_asked_without_one(pair):
    class Xeus:
        def get_parent(self):
            return {"metadata": {"cellId": "c"}}

    with opened(RedrawingShell) as shell:
        shell.shell.kernel = Xeus()
        shell(f"%llx_profile load {pair}").fine()
        assert len(shell("%%llx\nhello").fine().shown) > 1
