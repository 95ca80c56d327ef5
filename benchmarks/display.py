"""What showing a reply of 2,000 tokens at 200 tokens/s costs: bytes to the browser, kernel CPU, lateness.

The reply (`mock_server.TOKENS`: headings, lists, code, tables) comes from a server of its own process through a real
kernel, whose messages are read as a front end reads them. Four ways, in turn:

* ``%%llx``: what is measured;
* ``%%llx --no-stream``: the same request with one output; its CPU is the baseline of its round for the others;
* each token, 10 times a second: `display` of the text so far as `Markdown`, as chat libraries update a cell.

Bytes are those of all display messages of the cell: header, parent header, metadata and content in JSON, as they go
through the front end's socket. CPU is that of all threads of the kernel, and of its main thread alone, which draws
in a ``%%llx`` cell and reads too in the others; reading a stream costs more than showing it, so the first figure varies
with what else the machine does. Late is the time from
the server's last token to the last display. The figures to hold are 180 KB and 0.15 s of CPU.

    python benchmarks/display.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass

from kernel import Kernel, Message, arguments, save, table
from mock_server import TOKENS, MockServer

OURS, WHOLE = "`%%llx`", "`%%llx --no-stream`"
LOOP = """
import time
import llx_magic
from IPython.display import Markdown, display
_text, _drawn, _handle = "", 0.0, display(Markdown(""), display_id=True)
async with llx_magic.load("mock") as _balancer:
    async for _part in _balancer.stream("Go on."):
        if isinstance(_part, llx_magic.Delta):
            _text += _part.text
            if time.monotonic() - _drawn >= {pause}:
                _drawn = time.monotonic()
                _handle.update(Markdown(_text))
_handle.update(Markdown(_text))
"""
WAYS = {
    OURS: "%%llx\nGo on.",
    WHOLE: "%%llx --no-stream\nGo on.",
    "10 times a second": LOOP.format(pause=0.1),
    "each token": LOOP.format(pause=0.0),
}
CPU = "import time as _time\nprint(_time.process_time(), _time.thread_time())"


@dataclass
class Cost:
    """What one cell cost."""

    kilobytes: float = 0.0
    content_kilobytes: float = 0.0
    updates: int = 0
    cpu_seconds: float = 0.0
    main_cpu_seconds: float = 0.0
    late_ms: float = 0.0


def measure(kernel: Kernel, server: MockServer, cell: str) -> Cost:
    """Run a cell and return what it cost."""
    cost = Cost()
    last = 0.0

    def see(message: Message, at: float) -> None:
        nonlocal last
        if message["msg_type"] not in {"display_data", "update_display_data"}:
            return
        sizes = [
            len(json.dumps(message[part], ensure_ascii=False, default=str, separators=(",", ":")).encode())
            for part in ("content", "header", "parent_header", "metadata")
        ]
        cost.content_kilobytes += sizes[0] / 1000
        cost.kilobytes += sum(sizes) / 1000
        cost.updates += 1
        last = at

    before = kernel.run(CPU).split()
    kernel.follow(kernel.start(cell), see)
    after = kernel.run(CPU).split()
    cost.cpu_seconds, cost.main_cpu_seconds = (float(b) - float(a) for a, b in zip(before, after, strict=True))
    cost.late_ms = (last - server.next("finished")) * 1e3
    return cost


def main() -> None:
    given = arguments(__doc__, 3)
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    with MockServer(tokens_per_second=200) as server, Kernel(server.base_url) as kernel:
        kernel.run("%load_ext llx_magic")
        for way in (OURS, WHOLE):
            measure(kernel, server, WAYS[way])  # imports, once
        for _ in range(given.rounds):
            for way, cell in WAYS.items():
                costs[way].append(measure(kernel, server, cell))
    median = {
        way: Cost(
            *(statistics.median(column) for column in zip(*(asdict(each).values() for each in found), strict=True))
        )
        for way, found in costs.items()
    }
    over = {
        way: [
            statistics.median(
                getattr(each, what) - getattr(base, what) for each, base in zip(found, costs[WHOLE], strict=True)
            )
            for what in ("cpu_seconds", "main_cpu_seconds")
        ]
        for way, found in costs.items()
    }
    size = len("".join(TOKENS).encode()) / 1000
    print(f"{len(TOKENS)} tokens, {size:.1f} KB of Markdown, 200 tokens/s, median of {given.rounds}\n")
    rows = [
        (way, f"{c.kilobytes:.0f}", f"{c.content_kilobytes:.0f}", c.updates, f"{c.cpu_seconds:.2f}",
         f"{over[way][0]:.2f}", f"{over[way][1]:.2f}" if way.startswith("`%%llx") else "", f"{c.late_ms:.0f}")
        for way, c in median.items()
    ]  # fmt: skip
    columns = ["way", "KB", "KB, content alone", "updates", "CPU s", "CPU s for display", "… main thread", "late, ms"]
    table(columns, rows)
    print(f"`%%llx`: {median[OURS].kilobytes:.0f} KB (at most 180), {over[OURS][0]:.2f} s of CPU (at most 0.15)")
    samples = {way: [asdict(each) for each in found] for way, found in costs.items()}
    save(
        given.json,
        {
            "benchmark": "display",
            "median": {way: asdict(c) for way, c in median.items()},
            "cpu_over_no_stream": over,
            "samples": samples,
        },
    )


if __name__ == "__main__":
    main()
