"""Killed, interrupted and terminated: the connection is closed, no process and no lock is left, the next one asks."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from llx_magic.backends.local import pull
from tests.notebook.kernel import STATE, started
from tests.notebook.kit import is_alive, wait_until, write_balancer, write_model, write_simulated

pytestmark = pytest.mark.posix("signals end a process on Windows in another way")


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def processes() -> list[int]:
    """Every process there is."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def runs(pid: int, words: list[str]) -> bool:
    """Whether a process was started with these words."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1] == [word.encode() for word in words]
    except OSError:
        return False


@pytest.fixture
def local(home: Path) -> str:
    """A load balancer of the embedded model and a simulated one behind it."""
    pull()
    write_model(home, "small", provider="local", model_params={"max_tokens": 2000})
    path = home / "profiles" / "small.json"
    path.write_text(path.read_text().replace("small-model", "smollm2-135m-instruct"))
    write_simulated(home, "behind", virtual_time=False, reply="from behind")
    write_balancer(home, "mixed", ["small", "behind"], failover_retry_count=1)
    return "mixed"


# --- the kernel -----------------------------------------------------------------------------------------------------


def test_a_kernel_killed_in_the_middle_of_a_reply_leaves_nothing_to_the_next_one(pair, first, tmp_path):
    """The server sees the connection closed; the next kernel saves and asks at once."""
    first.set_default("stall")
    with started(tmp_path) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        cell = kernel.begin(f"%%llx -p {pair}\nhello")
        kernel.wait_for_text(cell, "First <strong>says")
        os.kill(kernel.pid, signal.SIGKILL)
        assert first.requests[0].disconnected.wait(30)
    first.set_default("ok")
    with started(tmp_path) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run("%llx_profile save loadbalancer again failover first second").fine()
        assert "First" in kernel.run("%%llx -p again\nhello").fine().plain


@pytest.mark.parametrize("magic", ["", "%llx_set"])
def test_unloading_ends_the_thread_that_ask_has_started(pair, tmp_path, first, magic):
    """Whether or not a magic was ever used; ``llx_magic.ask`` works again afterwards."""
    with started(tmp_path) as kernel:
        kernel.run(STATE).fine()
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(magic).fine()
        kernel.run(f"import llx_magic\nassert llx_magic.ask('hello', profile={pair!r}).ok").fine()
        assert kernel.value("_state()['threads']") == ["llx_magic"]
        kernel.run("%unload_ext llx_magic").fine()
        assert kernel.value("_state()['threads']") == []
        assert wait_until(lambda: not first._open)
        kernel.run(f"assert llx_magic.ask('hello', profile={pair!r}).ok").fine()


@pytest.mark.model
def test_unloading_ends_the_embedded_model_that_ask_has_started(local, tmp_path):
    """No magic was used before."""
    with started(tmp_path) as kernel:
        kernel.run(STATE).fine()
        kernel.run("%load_ext llx_magic\nimport llx_magic").fine()
        kernel.run("assert llx_magic.ask('Say yes.', profile='small', params={'max_tokens': 3}).ok").fine()
        (child,) = kernel.value("_state()['children']")
        kernel.run("%unload_ext llx_magic").fine()
        assert kernel.value("_state()['children']") == []
        assert not is_alive(child)


# --- the embedded model ---------------------------------------------------------------------------------------------

TELL = """
import asyncio, llx_magic as llx
from llx_magic.backends import local
async def main():
    async for part in llx.load("mixed").stream("Tell me a very long story."):
        if isinstance(part, llx.Delta):
            print(local.status().server.pid, flush=True)
asyncio.run(main())
"""


@pytest.mark.model
def test_a_process_killed_while_the_embedded_model_writes_leaves_no_child(local, scripts):
    """The model's process notices by itself, and the next program starts another."""
    teller = scripts.start(TELL)
    child = int(teller.stdout.readline())
    assert child in children_of(teller.pid)
    teller.kill()
    teller.wait()
    assert wait_until(lambda: not is_alive(child))
    again = scripts.start(TELL)
    assert int(again.stdout.readline()) != child


MODEL_KILLED = """
import asyncio, os, signal, llx_magic as llx
from llx_magic.backends import local
async def main():
    async with llx.load("mixed") as lb:
        killed = None
        async for part in lb.stream("Tell me a very long story."):
            if isinstance(part, llx.Delta) and killed is None:
                killed = local.status().server.pid
                os.kill(killed, signal.SIGKILL)
            elif isinstance(part, llx.Restart):
                print("restart", part.failed, part.next)
            elif isinstance(part, llx.Reply):
                print("reply", part.backend, part.text)
        again = await lb.ask("Say yes.", params={"max_tokens": 3})
        print("again", again.backend, local.status().server.pid != killed)
        print(int(lb.stats().failures["small"]), int(lb.stats().successes["small"]))
asyncio.run(main())
"""


@pytest.mark.model
def test_a_model_killed_in_the_middle_of_a_reply_is_one_more_backend_that_failed(local, scripts):
    """What was shown is withdrawn, the next backend answers, and the next request starts the model again."""
    said = scripts.run(MODEL_KILLED).splitlines()
    assert said == ["restart small behind", "reply behind from behind", "again small True", "1 1"]


SLOW_RUNTIME = """
import os, time
from pathlib import Path
Path(TRYING).write_text(str(os.getpid()))
time.sleep(3600)
"""

MAIN_ENDS = """
import os, sys, threading, time
from pathlib import Path
import llx_magic as llx
for _ in range(5):
    threading.Thread(target=llx.ask, args=("hello",), kwargs={"profile": "mixed"}, daemon=True).start()
while not Path("trying").exists() or not Path("trying").read_text(): time.sleep(0.01)
if "forks" in sys.argv:
    if os.fork() == 0:
        time.sleep(3600)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def slow_runtime(local, scripts) -> Path:
    """A runtime whose import never ends, and the file that names the process that tries."""
    (scripts.folder / "runtime").mkdir()
    source = SLOW_RUNTIME.replace("TRYING", repr(str(scripts.folder / "trying")))
    (scripts.folder / "runtime" / "xllamacpp.py").write_text(source)
    scripts.env["PYTHONPATH"] += os.pathsep + str(scripts.folder / "runtime")
    return scripts.folder / "trying"


@pytest.mark.model
def test_a_program_that_ends_while_the_runtime_is_tried_ends_at_once_and_takes_the_trial_along(scripts, slow_runtime):
    """However long loading takes; threads that ask together share one trial."""
    assert scripts.run(MAIN_ENDS) == ""
    assert not is_alive(int(slow_runtime.read_text()))


@pytest.mark.model
def test_an_interrupt_while_the_runtime_is_tried_ends_the_command_at_once(scripts, slow_runtime):
    """Nothing waits for the import to come to its end."""
    command = scripts.command(sys.executable, "-m", "llx_magic", "-p", "mixed", "--prompt", "hello")
    assert wait_until(lambda: slow_runtime.exists() and slow_runtime.read_text() != "")
    command.send_signal(signal.SIGINT)
    said, complained = command.communicate(timeout=20)
    assert (command.returncode, said, complained) == (130, "", "llx: interrupted\n")
    assert not is_alive(int(slow_runtime.read_text()))


@pytest.mark.model
def test_a_program_killed_while_the_runtime_is_tried_takes_the_trial_along(scripts, slow_runtime):
    """Also where a forked copy of it lives on."""
    process = scripts.start(MAIN_ENDS, "forks")
    process.wait(30)
    assert wait_until(lambda: not is_alive(int(slow_runtime.read_text())))
    (copy,) = [pid for pid in processes() if is_alive(pid) and runs(pid, process.args)]
    os.kill(copy, signal.SIGKILL)


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
@pytest.mark.parametrize("mode", ["stall", "no-headers"])
def test_the_command_ends_by_a_signal_with_the_shells_status_and_closes_its_connection(
    scripts, pair, first, sent, status, mode
):
    """One line at most, no traceback, nothing on standard output, since the reply is not whole."""
    first.set_default(mode)
    script = f'"{sys.executable}" -m llx_magic -p {pair} --prompt hello & echo $! >&2; wait $!; echo "status $?" >&2'
    shell = scripts.command("bash", "-c", script) if sent is signal.SIGTERM else None
    command = shell or scripts.command(sys.executable, "-m", "llx_magic", "-p", pair, "--prompt", "hello")
    pid = int(shell.stderr.readline()) if shell else command.pid
    assert first.reached.wait(30)
    os.kill(pid, sent)
    said, complained = command.communicate(timeout=30)
    assert first.requests[0].disconnected.wait(30)
    assert said == ""
    assert "Traceback" not in complained
    found = int(complained.rpartition("status ")[2]) if shell else command.returncode
    assert found == status
    assert len(complained.splitlines()) <= 2


@pytest.mark.model
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["INT", "TERM", "KILL"])
def test_the_command_ended_by_a_signal_leaves_no_process_of_the_model(local, scripts, sent):
    """Also where it has no chance to say anything."""
    command = scripts.command(sys.executable, "-m", "llx_magic", "-p", "mixed", "--prompt", "Tell a very long story.")
    assert wait_until(lambda: bool(children_of(command.pid)))
    children = children_of(command.pid)
    command.send_signal(sent)
    said, complained = command.communicate(timeout=30)
    assert (said, command.returncode) == ("", 130 if sent is signal.SIGINT else -sent)
    assert "Traceback" not in complained
    assert wait_until(lambda: not any(is_alive(child) for child in children))
