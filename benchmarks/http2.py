"""Whether HTTP/2 would pay: the same calls of the same client over HTTP/1.1 and over HTTP/2, with TLS as services do.

Many calls at a time go over as many connections of HTTP/1.1, or over one of HTTP/2. Each client is measured in turn
with both, in the processor's time that it takes and the time until all are answered: when its connections are still to
be made, and when they stand. The server is Granian, which speaks both in Rust.

    python benchmarks/environments.py http2
    .bench/http2/bin/python benchmarks/http2.py [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from contender import BODY
from quick_server import WHOLE, refused_url

AT_A_TIME = 64
CALLS_EACH = 10
REPLY = WHOLE.partition(b"\r\n\r\n")[2]

Ask = Callable[[], Awaitable[object]]


async def app(scope, receive, send) -> None:
    """Answer any request with the same reply, when it has come whole."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(REPLY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": REPLY})


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run the server with a certificate of its own; give its address."""
    import trustme
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    port = refused_url().rpartition(":")[2]
    command = [sys.executable, "-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", port,
               "--ssl-certificate", folder / "server.pem", "--ssl-keyfile", folder / "key.pem", "--no-log",
               "http2:app"]  # fmt: skip
    process = subprocess.Popen(command, cwd=Path(__file__).parent)
    url = f"https://localhost:{port}/v1/chat/completions"
    try:
        _wait_for(url, ssl.create_default_context(cafile=str(folder / "authority.pem")))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, context: ssl.SSLContext) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, context=context):
            return
        time.sleep(0.1)
    raise RuntimeError("the server does not answer")


@contextlib.asynccontextmanager
async def of_httpx(url: str, authority: bytes, *, http2: bool):
    """Give what asks with httpx, whose HTTP/2 is written in Python."""
    import httpx

    context = ssl.create_default_context(cadata=authority.decode())
    async with httpx.AsyncClient(http2=http2, verify=context, timeout=60) as client:

        async def ask() -> None:
            response = await client.post(url, json=BODY)
            assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            response.json()

        yield ask


@contextlib.asynccontextmanager
async def of_pyreqwest(url: str, authority: bytes, *, http2: bool):
    """Give what asks with pyreqwest, whose HTTP/2 is written in Rust."""
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().add_root_certificate_pem(authority).http2(http2).build() as client:

        async def ask() -> None:
            response = await client.post(url).body_json(BODY).build().send()
            assert response.version == ("HTTP/2.0" if http2 else "HTTP/1.1")
            await response.json()

        yield ask


async def spent(ask: Ask, each: int) -> tuple[float, float]:
    """Return the microseconds of the processor for a call, and the milliseconds until all were answered."""

    async def caller() -> None:
        for _ in range(each):
            await ask()

    begun, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(AT_A_TIME)))
    cpu = (time.process_time() - processor) / (AT_A_TIME * each) * 1e6
    return cpu, (time.perf_counter() - begun) * 1e3


async def measured(url: str, authority: bytes, rounds: int) -> dict[tuple[str, str], list[tuple[float, ...]]]:
    """Return, by client and protocol, what new connections and connections that stand took in each round."""
    samples: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for number in range(rounds + 1):
        for name, made in {"httpx": of_httpx, "pyreqwest": of_pyreqwest}.items():
            for http2 in (False, True):
                async with made(url, authority, http2=http2) as ask:
                    found = (*await spent(ask, 1), *await spent(ask, CALLS_EACH))
                if number:  # the first round is for warming up
                    samples.setdefault((name, "HTTP/2" if http2 else "HTTP/1.1"), []).append(found)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as url:
        samples = asyncio.run(measured(url, Path(folder, "authority.pem").read_bytes(), given.rounds))
    print(f"{AT_A_TIME} calls at a time, medians of {given.rounds} rounds\n")
    print("| client | protocol | CPU per call, new connections | all answered | CPU per call | all answered |")
    print("|---|---|---|---|---|---|")
    for (name, protocol), found in samples.items():
        cold, cold_time, warm, warm_time = (statistics.median(column) for column in zip(*found, strict=True))
        times = f"{cold:,.0f} µs | {cold_time:,.0f} ms | {warm:,.0f} µs | {warm_time:,.0f} ms"
        print(f"| {name} | {protocol} | {times} |")


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "localhost"
    main()
