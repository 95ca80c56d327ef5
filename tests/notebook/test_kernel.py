"""In a real kernel: outputs, errors, interrupts at every moment, background cells, and what is left at the end."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import IPython
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.faults.server import FaultServer, status
from tests.notebook.kernel import STATE, Kernel, started
from tests.notebook.kit import is_alive, wait_until, write_balancer, write_model, write_simulated

INTERRUPTED = "KeyboardInterrupt: the prompt was interrupted"


@pytest.fixture
def kernel(pair: str, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with the two backends loaded."""
    with started(tmp_path) as opened:
        opened.run("%load_ext llx_magic").fine()
        opened.run(f"%llx_profile load {pair}").fine()
        yield opened


def counts(kernel: Kernel, backend: str = "first") -> dict[str, int]:
    """What the statistics say of a backend."""
    kernel.run("_stats = %llx_stats lb").fine()
    names = ("requests", "successes", "failures", "cancelled")
    return kernel.value(f"{{name: int(_stats.frame.loc[{backend!r}, name]) for name in {names}}}")


def last(kernel: Kernel) -> dict[str, object]:
    """What ``_llx`` holds."""
    return kernel.value("dict(text=_llx.text, ok=_llx.ok, backend=_llx.backend, error=type(_llx.error).__name__)")


# --- output ---------------------------------------------------------------------------------------------------------


def test_a_streamed_cell_ends_with_one_output_that_is_whole_and_safe(kernel, first):
    first.text = "**Bold** <script>alert(1)</script>"
    cell = kernel.run("%%llx\nhello").fine()
    assert len(cell.outputs) == 1
    (data,) = cell.displays
    assert set(data) == {"text/plain", "text/html"}
    assert "<strong>Bold</strong>" in data["text/html"]
    assert "<script" not in data["text/html"]
    assert "first (first-model)" in data["text/plain"]


def test_a_one_line_prompt_is_shown_once(kernel):
    cell = kernel.run("%llx why?").fine()
    assert len(cell.outputs) == 1


def test_text_is_shown_while_it_comes(kernel, first):
    first.set_default("stall")
    cell = kernel.begin("%%llx\nhello")
    kernel.wait_for_text(cell, "First <strong>says")
    assert cell.reply is None
    first.release()
    assert "hello." in kernel.finish(cell).fine().plain


def test_a_reply_that_breaks_off_is_withdrawn_from_the_output(kernel, first):
    first.set_default("text-then-reset")
    cell = kernel.begin("%%llx\nhello")
    kernel.wait_for_text(cell, "First <strong>says")
    first.release()
    kernel.finish(cell).fine()
    assert len(cell.outputs) == 1
    assert "First" not in cell.plain.split("\n\n")[0]
    assert cell.plain.startswith("Second says hello.")


def test_the_code_of_a_reply_goes_into_a_new_cell(kernel, first):
    first.text = "```python\nx = 1\n```"
    cell = kernel.run("%%llx --next-cell\nhello").fine()
    (payload,) = cell.reply["payload"]
    assert (payload["source"], payload["text"], payload["replace"]) == ("set_next_input", "x = 1", False)


def test_a_table_is_shown_as_html_too(kernel):
    (data,) = kernel.run("%llx_set").fine().displays
    assert "<table" in data["text/html"]
    assert "tpm_threshold" in data["text/plain"]


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("%%llx --no-steam\nhello", "UsageProblem"),
        ("%%llx\n", "UsageProblem"),
        ("%%llx\n{{ nothing }}", "InterpolationError"),
        ("%llx_set tpm_threshold -1", "SettingError"),
        ("%llx_profile load nowhere", "ProfileError"),
        ("%%llx -f json\nhello", "ReplyFormatError"),
        ("%llx_jobs show 9", "UsageProblem"),
        ("%llx_key set mine sk-typed-secret", "UsageProblem"),
    ],
)
def test_an_error_is_an_error_output_of_one_line(kernel, cell, name):
    ran = kernel.run(cell)
    assert ran.errors[0]["ename"] == name
    assert ran.failure.startswith(f"{name}: ")
    assert "sk-typed-secret" not in str(ran)


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Minimal"])
def test_in_every_mode_of_tracebacks_a_failure_is_one_line_without_a_key(home, tmp_path, first, second, mode, pair):
    write_model(home, "first", base_url=first.base_url, auth_key_env="LLX_TEST_KEY")
    key = "sk-very-secret-1234567890"
    first.set_default(status(401, body={"error": {"message": f"wrong key {key}"}}))
    second.set_default("503")
    with started(tmp_path, LLX_TEST_KEY=key) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(f"%xmode {mode}").fine()
        ran = kernel.run(f"%%llx -p {pair}\nhello")
        assert "401" in ran.failure
        assert "503" in ran.failure
        again = kernel.run("import traceback\ntraceback.print_exception(_llx.error)")
        log = kernel.run("%llx_log\n%llx_trace")
        assert key not in f"{ran}{again}{log}"
        assert first.requests[0].headers["authorization"] == f"Bearer {key}"


def test_a_failed_prompt_stops_run_all(pair, first, second, tmp_path):
    first.set_default("503")
    second.set_default("503")
    cells = ["%load_ext llx_magic", f"%llx_profile load {pair}", "%%llx\nhello", "print('went on')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    error = notebook.cells[2].outputs[-1]
    assert error.output_type == "error"
    assert error.ename == "AllBackendsFailed"
    assert [line.split()[0] for line in error.traceback] == ["AllBackendsFailed:", "first", "second"]
    assert not notebook.cells[3].outputs


def test_an_executed_notebook_holds_each_reply_once(pair, tmp_path):
    cells = ["%load_ext llx_magic", f"%llx_profile load {pair}", "%%llx\nhello", "%%llx --no-stream\nhello"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells[2:]:
        (output,) = cell.outputs
        assert output.data["text/plain"].startswith("First **says** hello.")


# --- interrupts -----------------------------------------------------------------------------------------------------


def assert_all_goes_on(kernel: Kernel, first: FaultServer, *, cancelled: int = 1) -> None:
    """The interrupted prompt was counted as cancelled and nothing else, and the next one is answered."""
    assert counts(kernel) == {"requests": cancelled, "successes": 0, "failures": 0, "cancelled": cancelled}
    first.set_default("ok")
    assert "First **says** hello." in kernel.run("%%llx\nhello again").fine().plain
    assert last(kernel)["ok"]
    assert counts(kernel)["successes"] == 1


class Silence:
    """A listening socket: connections are taken and what comes is read, but nothing is ever said."""

    def __init__(self, *, accepting: bool) -> None:
        self.connected = threading.Event()
        self.dropped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._listener.getsockname()[1]
        self._fillers: list[socket.socket] = []
        if accepting:
            threading.Thread(target=self._read, daemon=True).start()
        else:
            self._fill()

    def _fill(self) -> None:
        """Take up all the places of connections that wait to be accepted, so that the next one cannot be made."""
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)
        wait_until(lambda: self.half_open() > 0)

    def half_open(self) -> int:
        """How many connections to it are being made and do not stand."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return sum(f":{self.port:04X} 02 " in line for line in lines)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            peer, _address = self._listener.accept()
            with peer:
                while peer.recv(4096):
                    self.connected.set()
            self.dropped.set()

    def close(self) -> None:
        for each in (*self._fillers, self._listener):
            each.close()


@pytest.fixture
def deaf() -> Iterator[Silence]:
    """A server to which no connection can be made."""
    silence = Silence(accepting=False)
    yield silence
    silence.close()


@pytest.fixture
def mute() -> Iterator[Silence]:
    """A server that takes a connection and says nothing."""
    silence = Silence(accepting=True)
    yield silence
    silence.close()


def test_an_interrupt_while_connecting_ends_the_cell(kernel, home, first, deaf):
    write_model(home, "first", base_url=f"http://127.0.0.1:{deaf.port}/v1")
    kernel.run("%llx_profile load pair").fine()
    before = deaf.half_open()
    cell = kernel.begin("%%llx\nhello")
    assert wait_until(lambda: deaf.half_open() > before)
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert cell.errors[0]["ename"] == "Interrupted"
    assert wait_until(lambda: deaf.half_open() == before)
    assert counts(kernel) == {"requests": 1, "successes": 0, "failures": 0, "cancelled": 1}
    assert "Second" in kernel.run("%%llx -b second\nhello").fine().plain


def test_an_interrupt_during_the_handshake_ends_the_cell_and_closes_the_connection(kernel, home, mute):
    write_model(home, "first", base_url=f"https://127.0.0.1:{mute.port}/v1")
    kernel.run("%llx_profile load pair").fine()
    cell = kernel.begin("%%llx\nhello")
    assert mute.connected.wait(30)
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert mute.dropped.wait(30)
    assert counts(kernel) == {"requests": 1, "successes": 0, "failures": 0, "cancelled": 1}
    assert "Second" in kernel.run("%%llx -b second\nhello").fine().plain


@pytest.mark.parametrize("mode", ["no-headers", "comments-only", "role-then-silence", "dripping-headers"])
def test_an_interrupt_before_any_text_ends_the_cell_and_closes_the_connection(kernel, first, second, mode):
    first.set_default(mode)
    cell = kernel.begin("%%llx\nhello")
    assert first.reached.wait(30)
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert first.requests[0].disconnected.wait(30)
    assert not second.requests
    assert last(kernel) == {"text": "", "ok": False, "backend": "", "error": "Interrupted"}
    assert_all_goes_on(kernel, first)


@pytest.mark.parametrize("magic", ["%%llx\nhello", "%llx hello", "r = %llx hello", "%%llx -f code\nhello"])
def test_an_interrupt_while_text_comes_keeps_it_marked_and_closes_the_connection(kernel, first, second, magic):
    first.set_default("stall")
    cell = kernel.begin(magic)
    kernel.wait_for_text(cell, "First <strong>says")
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert first.requests[0].disconnected.wait(30)
    kernel.wait_for_text(cell, "incomplete")
    assert cell.displays[0]["text/plain"] == "First **says**\n\ninterrupted: the text above is incomplete"
    assert "incomplete" in cell.displays[0]["text/html"]
    assert last(kernel)["text"] == "First **says** "
    assert not last(kernel)["ok"]
    assert not second.requests
    assert_all_goes_on(kernel, first)


def test_an_interrupt_without_streaming_keeps_what_had_come_too(kernel, first):
    first.set_default("stall")
    cell = kernel.begin("%%llx --no-stream\nhello")
    assert first.reached.wait(30)
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert first.requests[0].disconnected.wait(30)
    assert len(cell.displays) <= 1
    assert not last(kernel)["ok"]
    assert_all_goes_on(kernel, first)


def test_an_interrupt_while_waiting_to_try_again_ends_the_cell(kernel, first, second):
    first.set_default("503")
    settings = "--set failover_retry_count=2 --set failover_retry_delay_ms=3600000"
    cell = kernel.begin(f"%%llx {settings}\nhello")
    kernel.wait_for_text(cell, "first failed: ")
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert len(first.requests) == 1
    assert not second.requests
    assert counts(kernel) == {"requests": 1, "successes": 0, "failures": 0, "cancelled": 1}
    kernel.wait_for_text(cell, "interrupted")
    assert "interrupted" in cell.displays[0]["text/plain"]


def test_an_interrupt_stops_run_all(kernel, first):
    first.set_default("no-headers")
    cells = [kernel.begin("%%llx\nhello")]
    first.reached.wait(30)
    kernel.interrupt()
    assert kernel.finish(cells[0]).reply["status"] == "error"


def test_two_interrupts_at_once_leave_a_kernel_that_works(kernel, first):
    first.set_default("stall")
    cell = kernel.begin("%%llx\nhello")
    assert first.reached.wait(30)
    kernel.interrupt()
    kernel.interrupt()
    # The second one may break into ipykernel itself once the cell has ended, and that reply is then never sent.
    kernel.run("pass")
    assert cell.reply is None or cell.errors
    assert first.requests[0].disconnected.wait(30)
    first.set_default("ok")
    assert wait_until(lambda: not kernel.run("%%llx\nhello again").errors)


def test_an_interrupt_of_a_dry_run_or_of_another_cell_is_ordinary(kernel):
    cell = kernel.begin("print('on', flush=True)\nimport time\ntime.sleep(600)")
    kernel.wait_for_text(cell, "on")
    kernel.interrupt()
    assert kernel.finish(cell).errors[0]["ename"] == "KeyboardInterrupt"
    assert "First" in kernel.run("%%llx\nhello").fine().plain


# --- background -----------------------------------------------------------------------------------------------------


def test_a_background_cell_returns_at_once_and_fills_in_later(kernel, first):
    first.set_default("stall")
    cell = kernel.run("%%llx --bg -o answer\nhello").fine()
    assert "job 1 is running" in cell.plain
    assert "running" in kernel.run("%llx_jobs").fine().plain
    other = kernel.run("print('other')").fine()
    first.release()
    kernel.wait_for_text(cell, "first (first-model)")
    assert "First **says** hello." in cell.plain
    assert other.plain == "other\n"
    assert wait_until(lambda: "answered" in kernel.run("%llx_jobs").fine().plain)
    assert kernel.value("answer.ok")
    assert "First **says** hello." in kernel.run("%llx_jobs show 1").fine().plain


def test_a_background_cell_writes_nothing_into_cells_that_run_meanwhile(home, tmp_path, pair, first):
    first.set_default("ok-when-released")
    with started(tmp_path, LLXPRT_DEBUG="llxprt:*") as kernel:
        kernel.run("%load_ext llx_magic").fine()
        cell = kernel.run(f"%%llx -p {pair} --bg\nhello").fine()
        assert first.reached.wait(30)
        other = kernel.begin("import time\nwhile '_llx' not in globals(): time.sleep(0.01)")
        first.release()
        kernel.finish(other).fine()
        assert not other.outputs
        kernel.wait_for_text(cell, "[LB:failover]")
        kernel.wait_for_text(cell, "first (first-model)")


def test_a_background_prompt_can_be_cancelled(kernel, first):
    first.set_default("stall")
    cell = kernel.run("%%llx --bg\nhello").fine()
    kernel.wait_for_text(cell, "First <strong>says")
    assert "job 1 is cancelled" in kernel.run("%llx_jobs cancel 1").fine().plain
    assert first.requests[0].disconnected.wait(30)
    kernel.wait_for_text(cell, "cancelled: the text above is incomplete")
    assert "cancelled" in kernel.run("%llx_jobs").fine().plain
    assert "has ended already" in kernel.run("%llx_jobs cancel 1").fine().plain
    assert_all_goes_on(kernel, first)


def test_a_background_prompt_that_fails_says_so_in_its_cell_and_in_the_list(kernel, first, second):
    first.set_default("text-then-end")
    second.set_default("503")
    cell = kernel.run("%%llx --bg\nhello").fine()
    assert wait_until(lambda: "failed" in kernel.run("%llx_jobs").fine().plain)
    kernel.wait_for_text(cell, "503")
    assert last(kernel)["error"] == "AllBackendsFailed"


def test_a_background_prompt_that_fails_before_any_text_says_why_in_its_cell(kernel, first, second):
    first.set_default("503")
    second.set_default("503")
    cell = kernel.run("%%llx --bg\nhello").fine()
    kernel.wait_for_text(cell, "second: 503")
    assert last(kernel)["error"] == "AllBackendsFailed"


def test_a_background_prompt_cannot_make_a_new_cell(kernel, first):
    assert "--next-cell does not go with --bg" in kernel.run("%%llx --bg --next-cell\nhello").failure
    assert not first.requests


def test_an_interrupt_does_not_touch_a_background_prompt(kernel, first, second):
    second.set_default("stall")
    background = kernel.run("%%llx --bg -b second\nhello").fine()
    kernel.wait_for_text(background, "Second says")
    first.set_default("no-headers")
    cell = kernel.begin("%%llx -b first\nhello")
    assert first.reached.wait(30)
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert first.requests[0].disconnected.wait(30)
    assert not second.requests[0].disconnected.is_set()
    second.release()
    kernel.wait_for_text(background, "second (second-model)")
    assert wait_until(lambda: "answered" in kernel.run("%llx_jobs").fine().plain)


def test_several_background_prompts_fill_their_own_cells(kernel, first):
    first.set_default("ok-when-released")
    cells = [kernel.run(f"%%llx --bg -o a{number}\nprompt {number}").fine() for number in range(3)]
    assert first.wait_for_requests(3)
    first.release()
    for cell in cells:
        kernel.wait_for_text(cell, "first (first-model)")
    assert kernel.value("[a0.ok, a1.ok, a2.ok]") == [True] * 3


# --- the end --------------------------------------------------------------------------------------------------------


def test_shutting_the_kernel_down_closes_a_background_prompt(kernel, first):
    first.set_default("stall")
    kernel.run("%%llx --bg\nhello").fine()
    assert first.reached.wait(30)
    kernel.stop()
    assert first.requests[0].disconnected.wait(30)


def test_unloading_closes_a_background_prompt(kernel, first):
    first.set_default("stall")
    kernel.run("%%llx --bg\nhello").fine()
    assert first.reached.wait(30)
    kernel.run("%unload_ext llx_magic").fine()
    assert first.requests[0].disconnected.wait(30)


@pytest.mark.parametrize("again", ["", "%load_ext llx_magic", "%reload_ext llx_magic"])
def test_unloading_leaves_nothing(pair, tmp_path, first, second, again):
    second.set_default("stall")
    with started(tmp_path) as kernel:
        kernel.run(STATE).fine()
        kernel.run(
            "%unload_ext storemagic"
        ).fine()  # IPython registers its own magics for extensions at their first use
        before = kernel.value("_state()")
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(again).fine()
        loaded = kernel.value("_state()")
        assert loaded["line magics"].count("llx") == 1
        assert loaded["configurables"].count("LlxMagics") == 1
        assert loaded["cleanup"].count("hand_over_prompts") == 1
        kernel.run(f"%llx_profile load {pair}").fine()
        kernel.run("%%llx\nhello").fine()
        kernel.run("%%llx --bg -b second\nhello").fine()
        assert second.reached.wait(30)
        assert kernel.value("_state()['threads']")
        kernel.run("%unload_ext llx_magic").fine()
        assert kernel.value("_state()") == before
        assert wait_until(lambda: not first._open and not second._open)
        assert kernel.run("%llx hello").errors or "not found" in kernel.run("%llx hello").plain


def test_loading_twice_and_reloading_leave_one_of_each(pair, tmp_path, first):
    with started(tmp_path) as kernel:
        kernel.run(STATE).fine()
        kernel.run("%load_ext llx_magic").fine()
        once = kernel.value("_state()")
        for _ in range(3):
            kernel.run("%load_ext llx_magic\n%reload_ext llx_magic").fine()
        assert [len(each) for each in kernel.value("_state()").values()] == [len(each) for each in once.values()]
        kernel.run(f"%llx_profile load {pair}").fine()
        assert len(kernel.run("%%llx\nhello").fine().outputs) == 1
        assert len(first.requests) == 1


def test_after_unloading_it_can_be_loaded_again(kernel, pair):
    kernel.run("%unload_ext llx_magic").fine()
    kernel.run("%load_ext llx_magic").fine()
    kernel.run(f"%llx_profile load {pair}").fine()
    assert "First" in kernel.run("%%llx\nhello").fine().plain


# --- the environment ------------------------------------------------------------------------------------------------

HEAVY = ("httpx", "pandas", "matplotlib", "ipywidgets")


def test_the_kernel_runs_the_same_ipython_as_these_tests(tmp_path):
    """So the tests hold for whichever version stands first on PYTHONPATH."""
    with started(tmp_path) as kernel:
        assert kernel.value("__import__('IPython').__version__") == IPython.__version__


def test_loading_imports_nothing_heavy(tmp_path):
    with started(tmp_path) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        assert kernel.value(f"[name for name in {HEAVY} if name in __import__('sys').modules]") == []


def test_it_works_where_ipywidgets_is_not_installed(tmp_path, pair):
    with started(tmp_path) as kernel:
        kernel.run("import sys; sys.modules['ipywidgets'] = None").fine()
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(f"%llx_profile load {pair}").fine()
        assert "First" in kernel.run("%%llx\nhello").fine().plain
        assert "first" in kernel.run("%llx_stats lb").fine().plain
        kernel.run("%llx_set\n%llx_profile list").fine()


def test_the_variable_of_the_kernel_names_the_profile_where_none_is_loaded(tmp_path, home):
    write_simulated(home, "named", reply="from the named one")
    with started(tmp_path, LLX_PROFILE="named") as kernel:
        kernel.run("%load_ext llx_magic").fine()
        assert "from the named one" in kernel.run("%%llx\nhello").fine().plain


def test_the_default_profile_is_asked_where_none_is_loaded_in_any_kernel(tmp_path, home):
    write_simulated(home, "usual", reply="from the usual one")
    with started(tmp_path) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run("%llx_profile set-default usual").fine()
    with started(tmp_path) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        assert "from the usual one" in kernel.run("%%llx\nhello").fine().plain


def test_a_saved_notebook_holds_no_key(home, tmp_path, first, pair, monkeypatch):
    key = "sk-very-secret-1234567890"
    monkeypatch.setenv("LLX_TEST_KEY", key)
    write_model(home, "first", base_url=first.base_url, auth_key_env="LLX_TEST_KEY")
    cells = [
        "%load_ext llx_magic", f"%llx_profile load {pair}", "%%llx\nhello", "%llx_log", "%llx_stats lb", "%llx_trace",
        "%llx_profile show first", "_llx", "%llx_set",
    ]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert first.requests[0].headers["authorization"] == f"Bearer {key}"
    assert key not in nbformat.writes(notebook)


# --- the embedded model ---------------------------------------------------------------------------------------------

RUNTIME = """
import os, time
from pathlib import Path
class _Threads: n_threads = 0
class _Model: path = ""
class CommonParams:
    def __init__(self):
        self.model, self.cpuparams = _Model(), _Threads()
class Server:
    def __init__(self, params):
        Path(os.environ["LLX_TEST_PID"]).write_text(str(os.getpid()))
        time.sleep(3600)
"""


@pytest.fixture
def slow_model(home: Path, first: FaultServer, tmp_path: Path) -> Iterator[tuple[Kernel, Path]]:
    """A kernel whose embedded model never finishes loading, and the file that names its process."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(RUNTIME)
    write_model(home, "small", provider="local")
    document = json.loads((home / "profiles" / "small.json").read_text())
    (home / "profiles" / "small.json").write_text(json.dumps({**document, "model": "smollm2-135m-instruct"}))
    write_model(home, "first", base_url=first.base_url)
    write_balancer(home, "mixed", ["small", "first"], failover_retry_count=1)
    pid = tmp_path / "pid"
    with started(tmp_path, PYTHONPATH=str(folder), LLX_TEST_PID=str(pid)) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run("%llx_profile load mixed").fine()
        yield kernel, pid


def pid_in(path: Path) -> int:
    assert wait_until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


@pytest.mark.model
def test_an_interrupt_while_the_model_loads_ends_the_cell_and_the_model_goes_on_loading(slow_model, first):
    kernel, path = slow_model
    cell = kernel.begin("%%llx\nhello")
    pid = pid_in(path)
    kernel.interrupt()
    assert kernel.finish(cell).failure == INTERRUPTED
    assert counts(kernel, "small") == {"requests": 0, "successes": 0, "failures": 0, "cancelled": 0}
    assert not first.requests
    assert is_alive(pid)
    assert "First" in kernel.run("%%llx -b first\nhello").fine().plain
    kernel.run("%unload_ext llx_magic").fine()
    assert wait_until(lambda: not is_alive(pid))


@pytest.mark.model
def test_shutting_the_kernel_down_ends_the_process_of_the_model(slow_model):
    kernel, path = slow_model
    kernel.run("%%llx --bg\nhello").fine()
    pid = pid_in(path)
    kernel.stop()
    assert wait_until(lambda: not is_alive(pid))


@pytest.mark.posix("signals end a process on Windows in another way")
@pytest.mark.model
def test_killing_the_kernel_ends_the_process_of_the_model(slow_model):
    kernel, path = slow_model
    kernel.run("%%llx --bg\nhello").fine()
    pid = pid_in(path)
    kernel.manager.signal_kernel(signal.SIGKILL)
    assert wait_until(lambda: not is_alive(pid))
