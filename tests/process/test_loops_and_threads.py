"""Loops that run already, several of them, many threads, and an interpreter that ends in the middle."""

from __future__ import annotations

import pytest

from tests.notebook.kernel import started

FROM_A_LOOP = """
import asyncio
import llx_magic as llx

async def main():
    lb = llx.load("pair")
    awaited = await lb.ask("awaited")
    inside = llx.ask("synchronous, while this loop runs", profile="pair")
    in_a_thread = await asyncio.to_thread(llx.ask, "in a thread", profile="pair")
    text = ""
    async for part in lb.stream("streamed"):
        text = part.text if isinstance(part, llx.Reply) else text
    await lb.aclose()
    print({awaited.text, inside.text, in_a_thread.text, text})

asyncio.run(main())
asyncio.run(main())
"""


def test_a_loop_that_runs_can_await_stream_and_even_ask_synchronously(scripts, pair, first):
    """One loop after another, with the profile's state shared."""
    assert scripts.run(FROM_A_LOOP) == "{'First **says** hello.'}\n" * 2
    assert len(first.requests) == 8


MANY = """
import asyncio, threading
import llx_magic as llx
replies, barrier = [], threading.Barrier(50 + 8)

def ask(number):
    barrier.wait()
    replies.append(llx.ask(f"thread {number}", profile="pair").text)

def loop(number):
    async def several():
        async with llx.load("pair") as lb:
            barrier.wait()
            for reply in await asyncio.gather(*(lb.ask(f"loop {number}.{turn}") for turn in range(4))):
                replies.append(reply.text)
    asyncio.run(several())

threads = [threading.Thread(target=ask, args=(n,)) for n in range(50)]
threads += [threading.Thread(target=loop, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stats = llx.load("pair").stats().loc["first"]
print(set(replies), len(replies), int(stats.requests), int(stats.successes), int(stats.in_flight))
"""


def test_fifty_threads_and_eight_loops_ask_one_profile_at_once(scripts, pair, first):
    """Every one is answered, and the counts add up."""
    assert scripts.run(MANY) == "{'First **says** hello.'} 82 82 82 0\n"
    prompts = {received.json["messages"][-1]["content"] for received in first.requests}
    assert len(prompts) == 82


ENDING = """
import asyncio, os, sys, threading
import llx_magic as llx
kind = sys.argv[1]

def say(line):
    # Not print: where the end of the interpreter stops a thread in it, the thread keeps the lock of stdout, and Python
    # aborts: https://github.com/python/cpython/issues/129536
    os.write(1, f"{line}\\n".encode())

def ask():
    try:
        say(llx.ask("hello", profile="pair", settings={"stall_timeout_ms": 300}).text)
    except BaseException as problem:
        say(type(problem).__name__)

async def stream(leave):
    async for part in llx.load("pair").stream("hello"):
        if leave:
            break
        say("first piece")

def asking():
    asyncio.run(stream(False))

if kind in ("daemon", "thread"):
    threading.Thread(target=ask, daemon=kind == "daemon").start()
elif kind == "own loop":
    threading.Thread(target=asking, daemon=True).start()
elif kind == "left":
    asyncio.run(stream(True))
say("begun")
open("go").read()
if kind == "raises":
    threading.Thread(target=ask, daemon=True).start()
    raise SystemExit(0)
"""


@pytest.mark.posix("Windows has no named pipes of this kind")
@pytest.mark.parametrize("kind", ["daemon", "thread", "own loop", "left", "raises"])
def test_an_interpreter_that_ends_while_a_reply_comes_ends_without_a_word(scripts, pair, first, second, kind):
    """A daemon thread's request ends with the process, an ordinary thread's is answered first."""
    import os

    first.set_default("stall")
    fifo = scripts.folder / "go"
    os.mkfifo(fifo)
    process = scripts.start(ENDING, kind)
    if kind != "raises":
        assert first.reached.wait(30)
    fifo.write_text("go")
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (0, "")
    assert "begun" in said
    assert ("Second says hello." in said) == (kind == "thread")
    if kind != "raises":
        assert first.requests[0].disconnected.wait(30)


IN_A_CELL = """
import asyncio, functools, multiprocessing
import llx_magic
lb = llx_magic.load("pair")
replies = [await lb.ask("awaited"), llx_magic.ask("in a cell that awaits", profile="pair")]
replies += await asyncio.gather(*(lb.ask(f"gathered {number}") for number in range(5)))
replies += [part async for part in lb.stream("streamed") if isinstance(part, llx_magic.Reply)]
await lb.aclose()
for method in ("fork", "spawn"):
    with multiprocessing.get_context(method).Pool(2) as pool:
        replies += pool.map(functools.partial(llx_magic.ask, profile="pair"), ["one", "two", "three"])
"""


def test_a_cell_of_a_notebook_awaits_gathers_and_sends_out_a_pool(tmp_path, pair, first):
    """The kernel's own loop is running, and a prompt was answered before; a prompt works afterwards."""
    with started(tmp_path) as kernel:
        kernel.run("%load_ext llx_magic").fine()
        kernel.run(f"%%llx -p {pair}\nbefore").fine()
        assert not kernel.run(IN_A_CELL).fine().outputs
        assert kernel.value("[reply.backend for reply in replies]") == ["first"] * 14
        assert "First" in kernel.run(f"%%llx -p {pair}\nafter").fine().plain
    assert len(first.requests) == 16


AT_EXIT = """
import atexit
import llx_magic as llx
llx.ask("before", profile="pair")
atexit.register(lambda: print(llx.ask("at exit", profile="pair").backend))
"""


def test_a_prompt_while_the_interpreter_exits_is_answered(scripts, pair, first):
    """A program may say its last words through a model."""
    assert scripts.run(AT_EXIT) == "first\n"


UNFINISHED = """
import asyncio, gc
import llx_magic as llx
async def main():
    lb = llx.load("pair")
    stream = lb.stream("hello")
    await anext(stream)
    task = asyncio.ensure_future(lb.ask("never awaited"))
    await asyncio.sleep(0.05)
asyncio.run(main())
gc.collect()
print("over")
"""


def test_a_loop_that_ends_with_requests_in_flight_closes_them_without_a_word(scripts, pair, first):
    """A stream that nobody reads on and a task that nobody awaits are cancelled with their loop."""
    first.set_default("stall")
    assert scripts.run(UNFINISHED) == "over\n"
    assert first.wait_for_requests(2)
    assert all(received.disconnected.wait(30) for received in first.requests)
