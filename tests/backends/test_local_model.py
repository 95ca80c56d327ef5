"""The embedded model's process: shared, started on demand, and gone when its parent goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from llx_magic.backends.local import MODEL, LocalBackend, LocalServer, pull, runtime_problem
from llx_magic.backends.local.modelfile import FileState, ModelFile, identity_of, inspect
from llx_magic.core.failure import BackendFailed, FailureKind, NotReady
from llx_magic.core.message import Message
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import ChatRequest, Usage
from llx_magic.errors import ModelUnavailable, ProfileError
from llx_magic.files.folders import cache_folder
from llx_magic.install import install_line

MODEL_FILE = ModelFile(
    state=FileState.FETCHED, path=Path(__file__).absolute(), identity=identity_of(Path(__file__).stat())
)
"""Any file: the runtimes of these tests read none."""

RUNTIME = """
import os, sys, time
class _Threads: n_threads = 0
class _Model: path = ""
class CommonParams:
    def __init__(self):
        self.model, self.cpuparams = _Model(), _Threads()
class Server:
    def __init__(self, params):
        print("noise on standard output")
        print("noise on standard error", file=sys.stderr, flush=True)
        {load}
        self.listening_address = "http://127.0.0.1:1"
"""


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """Install a runtime whose loading does what the test says, in place of the real one."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def install(load: str = "pass", *, source: str = RUNTIME) -> None:
        (folder / "xllamacpp.py").write_text(source.replace("{load}", load))

    return install


@pytest.fixture
def server():
    made = LocalServer()
    yield made
    made.stop()


PARENT = """
import asyncio, os, sys, time
from llx_magic.backends.local import LocalServer
from tests.backends.test_local_model import MODEL_FILE
server = LocalServer()
print(asyncio.run(server.ready(MODEL_FILE)).pid, end=" ", flush=True)
if "forks" in sys.argv:
    copy = os.fork()
    if not copy:
        time.sleep(600)
    print(copy, end=" ", flush=True)
if "ends" not in sys.argv:
    print(flush=True)
    time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_until(condition, seconds: float = 30.0) -> bool:
    """Poll for what another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def ready(server: LocalServer):
    return asyncio.run(server.ready(MODEL_FILE))


def test_nothing_runs_before_it_is_asked_for(server):
    assert server.status().state == "stopped"
    assert server.stop() is False


def test_those_who_come_together_share_one_process_on_any_loop(server, runtime):
    runtime("time.sleep(0.2)")
    pids: set[int] = set()

    async def gather() -> None:
        served = await asyncio.gather(*(server.ready(MODEL_FILE) for _ in range(5)))
        pids.update(each.pid for each in served)

    threads = [threading.Thread(target=lambda: asyncio.run(gather())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 1


def test_stop_ends_the_process_and_the_next_prompt_starts_another(server, runtime):
    runtime()
    first = ready(server)
    assert server.status().pid == first.pid
    assert server.stop()
    assert not is_alive(first.pid)
    assert server.status().state == "stopped"
    assert ready(server).pid != first.pid


@pytest.mark.posix("signals end a process on Windows in another way")
def test_a_process_that_died_is_replaced(server, runtime):
    runtime()
    first = ready(server)
    os.kill(first.pid, signal.SIGKILL)
    assert wait_until(lambda: server.status().state == "stopped")
    assert ready(server).pid != first.pid


def test_cancelling_while_it_loads_returns_at_once_and_disturbs_nobody(server, runtime):
    runtime("time.sleep(1)")

    async def cancel_one() -> bool:
        patient = asyncio.create_task(server.ready(MODEL_FILE))
        hasty = asyncio.create_task(server.ready(MODEL_FILE))
        await asyncio.sleep(0)
        hasty.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hasty
        loading = server.status().state == "starting" and not patient.done()
        return loading and (await patient).url == "http://127.0.0.1:1"

    assert asyncio.run(cancel_one())


def test_the_loop_goes_on_while_it_loads(server, runtime):
    runtime("time.sleep(0.3)")

    async def count_turns() -> int:
        task, turns = asyncio.create_task(server.ready(MODEL_FILE)), 0
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns

    assert asyncio.run(count_turns()) > 5


class FailingWhileLookedAt(Future):
    """A start that fails between one look at it and the next."""

    def result(self, timeout=None):
        self.set_exception(ModelUnavailable("it cannot be loaded"))
        return super().result(timeout)


def test_a_start_that_fails_while_its_status_is_asked_for_is_a_process_that_stopped(server, runtime):
    """The status never raises."""
    runtime()
    ready(server)
    child = server._child
    with contextlib.ExitStack() as stack:
        stack.callback(child.stop)
        child.serving = FailingWhileLookedAt()
        assert server.status().state == "stopped"


@pytest.mark.parametrize("source", [RUNTIME.replace("{load}", "time.sleep(60)"), "import time; time.sleep(60)"])
def test_stopping_while_it_loads_fails_those_who_wait(server, runtime, source):
    runtime(source=source)

    async def stop_early() -> None:
        task = asyncio.create_task(server.ready(MODEL_FILE))
        await asyncio.to_thread(wait_until, lambda: server.status().pid is not None)
        await asyncio.to_thread(server.stop)
        await task

    with pytest.raises(ModelUnavailable, match="the embedded model was stopped while it was loading"):
        asyncio.run(stop_early())


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ("raise RuntimeError('bad file')", "the embedded model cannot be loaded: bad file"),
        (
            "os._exit(9)",
            "the embedded model's process ended while loading (exit status 9): noise on standard error",
        ),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line_and_is_tried_anew(server, runtime, load, message):
    runtime(load)
    for _ in range(2):
        with pytest.raises(ModelUnavailable) as caught:
            ready(server)
        assert str(caught.value) == message
    runtime()
    assert ready(server).port == 1


def test_a_process_that_never_gets_ready_is_given_up(runtime):
    runtime("time.sleep(600)")
    server = LocalServer(ready_seconds=0.2)
    with pytest.raises(ModelUnavailable, match="ended while loading"):
        ready(server)
    assert server.status().state == "stopped"


def test_a_missing_library_is_named_with_debians_package(server, runtime):
    runtime(source="raise ImportError('libgomp.so.1: cannot open shared object file: No such file or directory')")
    expected = "the embedded model needs the library libgomp.so.1: install it (Debian's package is libgomp1)"
    assert runtime_problem() == expected
    with pytest.raises(ModelUnavailable) as caught:
        ready(server)
    assert str(caught.value) == expected


def test_a_missing_runtime_is_named_with_the_line_that_installs_it_for_this_very_python():
    child = Path(sys.modules["llx_magic.backends.local.server"].__file__).with_name("child.py")
    server = LocalServer((sys.executable, "-I", "-S", str(child)))
    expected = f"the embedded model's runtime xllamacpp is not installed: type {install_line('local')}"
    with pytest.raises(ModelUnavailable) as caught:
        ready(server)
    assert str(caught.value) == expected
    assert " -m pip install 'xllamacpp" in expected


def test_stopping_at_any_moment_of_the_start_is_one_line_and_no_thread_dies_of_it(monkeypatch):
    """The moments in which its standard input is open, not yet written to, are short: it takes many tries."""
    died: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for attempt in range(40):
            server = LocalServer((sys.executable, "-S", "-c", "import sys; sys.stdin.read()"))
            serving = server._alive(MODEL_FILE).serving
            while attempt % 4 and server.status().pid is None:
                pass
            server.stop()
            with pytest.raises(ModelUnavailable, match="the embedded model was stopped while it was"):
                serving.result(30)
    finally:
        sys.setswitchinterval(interval)
    assert died == []


def test_an_obstacle_that_was_removed_is_no_longer_one(server, runtime):
    runtime(source="raise ImportError('broken')")
    with pytest.raises(ModelUnavailable, match="broken"):
        ready(server)
    runtime()
    assert ready(server).port == 1


def test_the_process_goes_when_its_parent_is_killed(runtime):
    runtime()
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not is_alive(child))


def test_the_process_goes_when_its_parent_ends(runtime):
    runtime()
    ended = subprocess.run([sys.executable, "-W", "error", "-c", PARENT, "ends"], capture_output=True, check=True)
    assert ended.stderr == b""
    assert not is_alive(int(ended.stdout))


@pytest.mark.posix("signals end a process on Windows in another way")
def test_an_interrupt_of_the_process_leaves_it_alone(server, runtime):
    runtime()
    pid = ready(server).pid
    os.kill(pid, signal.SIGINT)
    assert ready(server).pid == pid
    assert os.getpgid(pid) != os.getpgid(0)


@pytest.mark.posix("there is no fork on Windows")
def test_a_forked_copy_neither_uses_nor_ends_the_parents_process(server, runtime):
    runtime()
    pid = ready(server).pid
    copy = os.fork()
    if copy == 0:
        os._exit(0 if server.status().state == "stopped" and not server.stop() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
    assert is_alive(pid)
    assert server.status().pid == pid


@pytest.mark.posix("signals end a process on Windows in another way")
def test_a_forked_copy_does_not_keep_the_process_alive(runtime):
    runtime()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, "forks"], stdout=subprocess.PIPE)
    child, copy = map(int, parent.stdout.readline().split())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not is_alive(child))
    assert is_alive(copy)
    os.kill(copy, signal.SIGKILL)


@pytest.mark.posix("only Linux has /proc")
def test_the_key_is_in_no_command_line_and_no_repr(server, runtime):
    runtime()
    serving = ready(server)
    assert serving.key not in repr(serving)
    assert serving.key.encode() not in Path(f"/proc/{serving.pid}/cmdline").read_bytes()
    assert serving.key.encode() not in Path(f"/proc/{serving.pid}/environ").read_bytes()


def test_only_the_embedded_model_may_be_asked_for():
    with pytest.raises(ProfileError, match=rf"local: the embedded model is called {MODEL}, got 'gpt-9'"):
        LocalBackend("local", "gpt-9")


def test_a_backend_without_its_file_says_what_to_type_and_nothing_is_started(server, tmp_path):
    backend = LocalBackend("local", cache=tmp_path, server=server)
    with pytest.raises(NotReady, match=r"^the embedded model is not fetched: type llx local pull$"):
        asyncio.run(backend.prepare())
    assert server.status().state == "stopped"


@pytest.mark.model
def test_a_process_that_cannot_start_makes_a_backend_that_is_not_ready(server, runtime, model_cache):
    runtime("raise RuntimeError('bad file')")
    backend = LocalBackend("local", cache=model_cache, server=server)
    with pytest.raises(NotReady, match=r"^the embedded model cannot be loaded: bad file$"):
        asyncio.run(backend.prepare())


class Pieces:
    """Notes the text as it arrives."""

    def __init__(self, at_first=lambda: None) -> None:
        self.got: list[str] = []
        self.at_first = at_first

    def on_sending(self, to: str) -> None:
        pass

    def on_connected(self) -> None:
        pass

    def on_text(self, piece: str) -> None:
        self.got.append(piece)
        if len(self.got) == 1:
            self.at_first()

    def on_reasoning(self, piece: str) -> None:
        raise AssertionError(piece)

    def on_usage(self, usage: Usage) -> None:
        pass

    def on_rates(self, facts: RateFacts) -> None:
        raise AssertionError(facts)


def ask(prompt: str, *, streaming: bool = True, **params) -> ChatRequest:
    return ChatRequest(messages=(Message("user", prompt),), params=params, streaming=streaming)


@pytest.fixture(scope="module")
def model_cache() -> Path:
    pull()
    return cache_folder()


@pytest.fixture
def backend(model_cache):
    server = LocalServer()
    yield LocalBackend("local", cache=model_cache, server=server)
    server.stop()


async def answer(backend, request, pieces):
    return await (await backend.prepare()).answer(request, pieces)


async def answer_and_close(backend, request, pieces):
    try:
        return await answer(backend, request, pieces)
    finally:
        await backend.aclose()


@pytest.mark.model
def test_the_model_is_whole_and_ready(backend, model_cache):
    assert inspect(model_cache).problem is None
    assert asyncio.run(backend.prepare())


@pytest.mark.model
def test_the_model_answers_in_pieces_that_add_up(backend):
    pieces = Pieces()
    answer = asyncio.run(answer_and_close(backend, ask("Count to five.", max_tokens=30), pieces))
    assert answer.text == "".join(pieces.got)
    assert len(pieces.got) > 1
    assert answer.model == MODEL
    assert answer.finish_reason in ("stop", "length")
    assert 0 < answer.usage.completion_tokens <= 30


@pytest.mark.model
def test_the_model_answers_whole_when_no_stream_is_asked_for(backend):
    answer = asyncio.run(answer_and_close(backend, ask("Say yes.", streaming=False, max_tokens=5), Pieces()))
    assert answer.text
    assert answer.usage.prompt_tokens > 0


@pytest.mark.model
def test_cancelling_half_way_frees_the_model_for_the_next_prompt(backend):
    async def cancel_then_ask():
        started = asyncio.Event()
        long = ask("Tell me a very long story.", max_tokens=2000)
        task = asyncio.create_task(answer(backend, long, Pieces(started.set)))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await answer_and_close(backend, ask("Say yes.", max_tokens=5), Pieces())

    assert asyncio.run(cancel_then_ask()).text


@pytest.mark.posix("signals end a process on Windows in another way")
@pytest.mark.model
def test_a_model_killed_half_way_is_a_network_failure_and_the_next_prompt_is_answered(backend):
    server = backend._server

    async def kill_then_ask():
        pieces = Pieces(lambda: os.kill(server.status().pid, signal.SIGKILL))
        with pytest.raises(BackendFailed) as caught:
            await answer(backend, ask("Tell me a very long story.", max_tokens=2000), pieces)
        assert caught.value.failure.kind is FailureKind.NETWORK
        assert await asyncio.to_thread(wait_until, lambda: server.status().state != "running")  # sockets close first
        return await answer_and_close(backend, ask("Say yes.", max_tokens=5), Pieces())

    assert asyncio.run(kill_then_ask()).text


@pytest.mark.model
def test_a_prompt_beyond_the_window_is_the_callers_mistake(backend):
    with pytest.raises(BackendFailed) as caught:
        asyncio.run(answer_and_close(backend, ask("word " * 6000), Pieces()))
    assert caught.value.failure.kind is FailureKind.CONTEXT_LENGTH


@pytest.mark.model
def test_the_models_status_tells_process_port_and_memory(backend):
    asyncio.run(answer_and_close(backend, ask("Say yes.", max_tokens=2), Pieces()))
    status = backend._server.status()
    assert status.state == "running"
    assert status.port > 0
    assert f"process {status.pid}, port {status.port}" in str(status)
