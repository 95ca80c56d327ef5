"""A thread of its own for work that may block for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from llx_magic.engine.own_thread import OwnThread

_BLOCKED = """
import asyncio, threading
from llx_magic.engine.own_thread import OwnThread

async def main():
    thread = OwnThread("reader")
    task = asyncio.ensure_future(thread.call(threading.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    thread.end()

asyncio.run(main())
print("done")
"""


async def test_all_calls_are_made_on_the_same_thread_in_their_order():
    thread: OwnThread[str] = OwnThread("reader")
    names = await asyncio.gather(*(thread.call(lambda: threading.current_thread().name) for _ in range(3)))
    thread.end()
    assert names == ["reader"] * 3


@pytest.mark.parametrize(
    ("raised", "told"), [(OSError("gone"), OSError), (StopIteration(), RuntimeError), (SystemExit(1), RuntimeError)]
)
async def test_what_a_call_raises_is_raised_where_it_was_made(raised, told):
    def fail() -> None:
        raise raised

    thread: OwnThread[None] = OwnThread("reader")
    with pytest.raises(told):
        await thread.call(fail)
    thread.end()


def test_a_call_that_blocks_for_ever_does_not_keep_the_process_from_ending():
    done = subprocess.run([sys.executable, "-c", _BLOCKED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "done\n"
