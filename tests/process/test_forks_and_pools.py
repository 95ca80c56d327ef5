"""Processes that are copied or started from one that has asked already: each asks for itself, and none waits."""

from __future__ import annotations

import pytest

FORK = """
import os, threading, gc
import llx_magic as llx
assert llx.ask("before", profile="pair").backend == "first"
ready, go = os.pipe()
children = []
for number in range(3):
    if (child := os.fork()) == 0:
        gc.collect()
        os.read(ready, 1)
        reply = llx.ask(f"child {number}", profile="pair")
        os._exit(0 if reply.ok and reply.backend == "first" else 1)
    children.append(child)
os.write(go, b"...")
replies = [llx.ask(f"parent {number}", profile="pair") for number in range(5)]
print([reply.backend for reply in replies])
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def test_parent_and_forked_children_ask_at_once(scripts, pair, first):
    """Each gets its own answer over its own connections."""
    assert scripts.run(FORK) == f"{['first'] * 5}\n[0, 0, 0]\n"
    prompts = {received.json["messages"][-1]["content"] for received in first.requests}
    assert prompts == {"before", *(f"child {number}" for number in range(3)), *(f"parent {n}" for n in range(5))}


FORK_IN_THE_MIDDLE = """
import gc, os, sys, threading
import llx_magic as llx
answers = []
asking = threading.Thread(target=lambda: answers.append(llx.ask("parent", profile="pair")))
asking.start()
print("asking", flush=True)
sys.stdin.readline()
if (child := os.fork()) == 0:
    gc.collect()
    reply = llx.ask("child", profile="pair", backend="second")
    gc.collect()
    sys.exit(0 if reply.ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
asking.join()
print(answers[0].text, llx.ask("after", profile="pair", backend="second").text)
"""


@pytest.mark.posix("Windows has no named pipes of this kind")
def test_a_fork_in_the_middle_of_a_reply_disturbs_neither_side(scripts, pair, first, monkeypatch):
    """The child leaves by its ordinary exit, the parent's reply comes to its end, and nobody complains."""
    first.set_default("stall")
    source = FORK_IN_THE_MIDDLE.replace("sys.stdin.readline()", "open('go').read()")
    fifo = scripts.folder / "go"
    import os

    os.mkfifo(fifo)
    process = scripts.start(source)
    assert first.reached.wait(30)
    fifo.write_text("go")
    assert process.stdout.readline() == "asking\n"
    assert process.stdout.readline() == "0\n"
    assert not first.requests[0].disconnected.is_set()
    first.release()
    said, complained = process.communicate(timeout=60)
    assert said == "First **says** hello. Second says hello.\n"
    assert complained == ""


POOL = """
import functools, multiprocessing, sys
import llx_magic as llx
if __name__ == "__main__":
    assert llx.ask("before", profile="pair").ok
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        replies = pool.map(functools.partial(llx.ask, profile="pair"), [f"prompt {number}" for number in range(6)])
        print({reply.text for reply in replies}, len(replies), len({reply.trace for reply in replies}))
        for arguments, expected in [
            ({"profile": "hopeless"}, llx.AllBackendsFailed),
            ({"profile": "nobody"}, llx.ProfileError),
            ({"settings": {"timeout_ms": "x"}, "profile": "pair"}, llx.SettingError),
            ({"backend": "nobody", "profile": "pair"}, llx.UsageProblem),
        ]:
            try:
                pool.map(functools.partial(llx.ask, **arguments), ["hello"])
            except expected as problem:
                print(type(problem).__name__, getattr(problem, "partial", ""), len(getattr(problem, "reasons", ())))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_asks_and_its_replies_and_errors_come_back(scripts, home, pair, first, method):
    """However the processes are made; a failure is raised in the parent with its reasons and its partial text."""
    from tests.notebook.kit import write_balancer, write_simulated

    write_simulated(home, "down", script="503")
    write_simulated(home, "breaks", script="cut:2", reply="Once upon a time")
    write_balancer(home, "hopeless", ["down", "breaks"], failover_retry_count=1)
    said = scripts.run(POOL, method).splitlines()
    assert said[0] == "{'First **says** hello.'} 6 6"
    assert said[1].startswith("AllBackendsFailed Once upon")
    assert said[1].endswith(" 2")
    assert [line.split()[0] for line in said[2:]] == ["ProfileError", "SettingError", "UsageProblem"]
    assert len(first.requests) == 7
