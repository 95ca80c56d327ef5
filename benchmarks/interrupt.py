"""How long after an interrupt the model's server sees that nobody is listening any more.

A cell streams a reply without end in a real kernel, the kernel is interrupted as a front end does it, and the server,
a process of its own, says when the connection was closed. The figure to hold is a median of 100 ms.

    python benchmarks/interrupt.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import random
import statistics
import time

from kernel import Kernel, Message, arguments, save, table
from mock_server import MockServer


def measure(kernel: Kernel, server: MockServer) -> float:
    """Return the milliseconds from an interrupt, at some moment of a stream, to the closed connection."""
    cell = kernel.start("%%llx\nGo on.")
    server.next("request")
    time.sleep(random.uniform(0.5, 1.5))
    sent = time.monotonic()
    kernel.manager.interrupt_kernel()
    took = server.next("dropped") - sent
    errors: list[str] = []

    def see(message: Message, _at: float) -> None:
        if message["msg_type"] == "error":
            errors.extend(message["content"]["traceback"])

    kernel.follow(cell, see)
    if errors != ["KeyboardInterrupt: the prompt was interrupted"]:
        raise RuntimeError(f"the cell should have ended in one line, got {errors}")
    return took * 1e3


def main() -> None:
    given = arguments(__doc__, 21)
    with MockServer(tokens_per_second=200, endless=True) as server, Kernel(server.base_url) as kernel:
        kernel.run("%load_ext llx_magic")
        measure(kernel, server)  # imports, once
        taken = [measure(kernel, server) for _ in range(given.rounds)]
    figures = {"median_ms": statistics.median(taken), "max_ms": max(taken), "samples": taken}
    median = f"**{figures['median_ms']:.1f}** (at most 100)"
    table(
        ["interrupts", "ms to the closed connection, median", "ms, most"], [(len(taken), median, f"{max(taken):.1f}")]
    )
    save(given.json, {"benchmark": "interrupt", **figures})


if __name__ == "__main__":
    main()
