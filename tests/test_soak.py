"""The soak in its short form, and the one leak that only a soak would find, at every moment at which it could begin."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

import llx_magic as llx
from llx_magic.backends.http.connections import VARIABLE
from llx_magic.backends.http.direct import DirectTransport
from llx_magic.core.breaker import Cause

SOAK = Path(__file__).resolve().parent.parent / "benchmarks" / "soak.py"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [10, pytest.param(110, marks=pytest.mark.slow)])
def test_thousands_of_requests_lose_splice_and_leave_nothing(tmp_path: Path, seconds: int) -> None:
    """Every claim of the soak holds, and its counts add up, over as many requests as go into the time."""
    file = tmp_path / "figures.json"
    command = [sys.executable, str(SOAK), "--requests", "60000", "--seconds", str(seconds), "--json", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=350)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(file.read_text(encoding="utf-8"))
    counted = {what: at_the_end for what, _, at_the_end, _, _ in figures["rows"]}
    ended = ("answered", "failed on every backend", "cancelled by the user")
    assert counted["requests"] == sum(counted[each] for each in ended)
    assert counted["requests"] > 1000, "no more than the warm-up"
    assert counted["lost"] == counted["spliced, cut or somebody else's"] == 0
    assert figures["restarts"] > 0
    assert all(figures["circuits"][each] > 0 for each in (Cause.FAILURES, Cause.RECOVERY_TIME, Cause.RECOVERED))


MESSAGE = {"role": "assistant", "content": "fine"}
BODY = json.dumps({"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}).encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def cancelled_after(turns: int, lb: llx.LoadBalancer) -> bool:
    """Cancel a request after so many turns of the loop; return whether it had ended."""
    request = asyncio.create_task(lb.ask("why", settings={"streaming": "disabled"}))
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = request.done()
    request.cancel()
    await asyncio.wait([request])
    return ended


def connections_in_use() -> list[str]:
    """Return what the pools of both transports take to be in use."""
    gc.collect()
    found = gc.get_objects()
    httpx_s = [each for each in found if type(each).__name__ == "AsyncHTTPConnection"]
    direct = [each for each in found if isinstance(each, DirectTransport)]
    return [
        *(each.info() for each in httpx_s if not (each.is_idle() or each.is_closed())),
        *(repr(line) for each in direct for line in each.in_use),
    ]


@pytest.mark.parametrize("transport", ["direct", "httpx"])
@pytest.mark.parametrize("reused", [False, True], ids=["on a new connection", "on one that is used again"])
async def test_a_request_cancelled_at_any_turn_of_the_loop_leaves_no_connection_in_use(
    reused: bool, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool keeps a connection only to use it again: one that it took for busy would stay there for ever."""
    monkeypatch.setenv(VARIABLE, transport)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    model = llx.ModelProfile("m", "openai", "m", connection=llx.Connection(base_url=address))
    ended, turns, seen = False, 0, 0
    while not ended:
        async with llx.load(llx.Profile.single(model)) as lb:
            if reused:
                await lb.ask("why", settings={"streaming": "disabled"})
            ended = await cancelled_after(turns, lb)
            await asyncio.sleep(0.01)
            assert connections_in_use() == [], f"cancelled after {turns} turns"
        turns += 1
    async with llx.load(llx.Profile.single(model)) as lb:
        request = asyncio.create_task(lb.ask("why", settings={"streaming": "disabled"}))
        while not request.done():
            seen = max(seen, len(connections_in_use()))
            await asyncio.sleep(0)
    server.close()
    await asyncio.sleep(0.05)
    assert seen > 0, "one that is in use was never seen, so none could have been found"
