"""What the first cell of a session waits for: from sending it to the first text of its reply, beside the tenth.

Each kernel is fresh. It loads the extension and a profile, and `PAUSE` seconds later the first cell asks: in them the
connection is made ready on the thread of the background. The server is one that answers at once, in a paced stream. The
figure to hold is that the first cell shows its text at most 30 ms later than the tenth.

    python benchmarks/first_cell.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import statistics
import time

from kernel import Kernel, Message, arguments, save, table
from quick_server import WORDS, QuickServer

PAUSE = 1.0
CELLS = 10
AT_MOST = 30.0


def first_text(kernel: Kernel, cell: str) -> float:
    """Return the milliseconds from sending a cell to the first text of its reply."""
    shown: list[float] = []

    def see(message: Message, at: float) -> None:
        if not shown and WORDS[0].strip() in str(message["content"].get("data", "")):
            shown.append(at)

    begun = time.monotonic()
    kernel.follow(kernel.start(cell), see)
    return (shown[0] - begun) * 1e3


def main() -> int:
    given = arguments(__doc__, 9)
    firsts, tenths = [], []
    with QuickServer() as server:
        for _ in range(given.rounds):
            with Kernel(f"{server.url}/paced/v1") as kernel:
                kernel.run("%load_ext llx_magic\n%llx_profile load mock")
                time.sleep(PAUSE)
                taken = [first_text(kernel, "%%llx\nCount.") for _ in range(CELLS)]
            firsts.append(taken[0])
            tenths.append(taken[-1])
    later = statistics.median(one - other for one, other in zip(firsts, tenths, strict=True))
    table(
        ["from sending a cell to its first text", "ms, median"],
        [
            ("the first, a second after the profile was loaded", f"{statistics.median(firsts):.0f}"),
            ("the tenth", f"{statistics.median(tenths):.0f}"),
            ("later", f"**{later:.0f}** (at most {AT_MOST:.0f})"),
        ],
    )
    save(given.json, {"benchmark": "first_cell", "first": firsts, "tenth": tenths, "later": later})
    return 0 if later <= AT_MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
