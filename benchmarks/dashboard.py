"""What an update of the dashboard costs: kernel CPU and bytes, over a real comm in a real kernel.

In a fresh kernel simulated backends on virtual time are asked prompt after prompt, failing and recovering; after each
prompt the dashboard pushes what has changed, as its thread does. CPU is the process's, so that the thread that sends
counts too; a push in which nothing is sent is not an update. Bytes are counted here, where a front end would get
them: the texts by themselves, and the messages whole. The figures to hold are 2 ms and 4 KB with 3 backends, and
10 ms with 20.

    python benchmarks/dashboard.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field

from kernel import Kernel, Message, arguments, save, table

LIMITS = {3: (2.0, 4.0), 20: (6.0, None), 40: (6.0, None)}
"""At most so many milliseconds and kilobytes for each number of backends."""

SETUP = """
import asyncio, json, time
from llx_magic.notebook.dashboard_widget import Dashboard
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer

def member(number):
    script = "503,503,ok,ok,429:2,ok" if number % 3 == 0 else "ok,ok,500,ok"
    params = dict(virtual_time=True, script=script, cycle=True, latency_ms=900, completion_tokens=60,
                  tokens_per_second=80.0)
    return ModelProfile(f"backend-{number}", "simulated", "m", params=params)

settings = dict(circuit_breaker_failure_threshold=2, circuit_breaker_recovery_timeout_ms=20000, tpm_threshold=10)
profile = Profile.roundrobin("measured", [member(number) for number in range(COUNT)], settings)
balancer = LoadBalancer(profile, isolated=True)
dashboard = Dashboard("measured", lambda: (balancer,), lambda: None, lambda *_: None)
dashboard.follow(balancer)
for _ in range(40):
    await asyncio.gather(balancer.ask("why"), balancer.ask("why"), return_exceptions=True)
while dashboard.push():
    pass
time.sleep(0.5)
"""

UPDATE = """
figures = []
sent = []
watched = set()
def watch():
    for widget in set(dashboard._pieces.box.children) - watched:
        watched.add(widget)
        widget.observe(lambda change: sent.append(len(change["new"].encode())), "value")
for _ in range(ROUNDS):
    await asyncio.gather(balancer.ask("why"), return_exceptions=True)
    more = True
    while more:
        watch()
        sent.clear()
        cpu, thread = time.process_time(), time.thread_time()
        more = dashboard.push()
        thread = time.thread_time() - thread
        time.sleep(0.02)  # what the sending thread does belongs to the update
        cpu = time.process_time() - cpu
        if sent:
            figures.append((cpu * 1e3, thread * 1e3, sum(sent)))
idle = time.process_time()
for _ in range(ROUNDS):
    time.sleep(0.02)
idle = (time.process_time() - idle) / ROUNDS * 1e3
print(json.dumps([figures, idle]))
"""


@dataclass
class Wire:
    """Adds up the widget messages of one cell."""

    sizes: list[int] = field(default_factory=list)

    def see(self, message: Message, _at: float) -> None:
        if message["msg_type"] == "comm_msg":
            parts = (message["header"], message["parent_header"], message["metadata"], message["content"])
            self.sizes.append(sum(len(json.dumps(part, default=str).encode()) for part in parts))


def measure(count: int, rounds: int) -> dict[str, float]:
    """Return the figures of one kernel with so many backends."""
    with Kernel() as kernel:
        kernel.run(SETUP.replace("COUNT", str(count)))
        wire = Wire()
        printed = kernel.follow(kernel.start(UPDATE.replace("ROUNDS", str(rounds))), wire.see)
    updates, idle = json.loads(printed)
    cpu = [each[0] - idle for each in updates]
    sizes = [each[2] / 1024 for each in updates]
    return {
        "updates": len(updates),
        "cpu_ms": statistics.median(cpu),
        "cpu_ms_p95": sorted(cpu)[int(len(cpu) * 0.95)],
        "push_ms": statistics.median(each[1] for each in updates),
        "kb": statistics.median(sizes),
        "kb_most": max(sizes),
        "kb_wire": sum(wire.sizes) / len(updates) / 1024,
    }


def main() -> None:
    given = arguments(__doc__, 100)
    found = {count: measure(count, given.rounds) for count in LIMITS}
    rows = []
    for count, (milliseconds, kilobytes) in LIMITS.items():
        each = found[count]
        limit = f" (at most {milliseconds:g})"
        size = f" (at most {kilobytes:g})" if kilobytes else ""
        rows.append((
            count, each["updates"], f"**{each['cpu_ms']:.2f}**{limit}", f"{each['cpu_ms_p95']:.2f}",
            f"{each['push_ms']:.2f}", f"{each['kb']:.1f}", f"**{each['kb_most']:.1f}**{size}", f"{each['kb_wire']:.1f}",
        ))  # fmt: skip
    table(
        ["backends", "updates", "CPU ms, median", "p95", "of it in push", "KB, median", "KB, most", "KB with headers"],
        rows,
    )
    save(given.json, {"benchmark": "dashboard", **{f"{count} backends": each for count, each in found.items()}})


if __name__ == "__main__":
    main()
