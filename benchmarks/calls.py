"""What a call costs: llx_magic and other clients against a bare httpx.AsyncClient, as ratios within one run.

Every contender is a process of its own and takes its turn in each round, so that whatever else the machine does falls
on all of them alike; a figure is the median of its ratios to bare httpx in the same round. What takes long has its
turn in every fourth round. The model server is a process of its own as well.
`make bench` makes an environment for each of the other libraries first (`environments.py` does it by itself); those
that are not there are named and left out. Seven rounds of all take some 8 minutes on two cores.

    python benchmarks/calls.py [--rounds N] [--json FILE] [--only NAME,NAME] [--quick]
        [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from contenders import CONTENDERS
from environments import python_of
from quick_server import QuickServer, refused_url

HERE = Path(__file__).parent
BASE = "httpx"
CALLERS = 50
LEAST_ROUNDS = 2
SELDOM = 4
"""What takes long has its turn once in so many rounds, beginning with the first."""
FRAMEWORKS = {"llx_magic on httpx", "LiteLLM Router", "LangChain", "any-llm"}
SERVICES_CLIENTS = {"openai", "anthropic"}
"""They are on httpx too, and a thousand at a time take them long."""


@dataclass(frozen=True)
class Bound:
    """How many rounds there are, and the seconds after which none begins."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Section:
    """One measurement: the task, the value that is compared, and the most that ours may take."""

    title: str
    task: dict[str, object]
    value: str
    at_most: float | None = None
    over: str | None = None  # the section whose bare figure is the unit, where not this one's
    unit: float = 1e6
    is_long: bool = False
    apart: bool = False  # whether server and client have cores of their own


def sections(refused: str, url: str, *, quick: bool) -> dict[str, Section]:
    few = 4 if quick else 2
    found = {
        "sequential": Section(
            "one call after another, time per call",
            {"task": "calls", "count": 200 // few, "at_a_time": 1},
            "seconds",
            0.4,
        ),
        "64": Section(
            "64 calls at a time, CPU per call", {"task": "calls", "count": 1280 // few, "at_a_time": 64}, "cpu", 0.15
        ),
    }
    for number, most in {1: 0.35, 16: None, 256: 0.12, 1000: 0.15}.items():
        if quick and number > 256:
            continue
        # What is measured at 1 is the section above: the same task is carried out once.
        count = {1: 200 // few, 1000: 1000}.get(number, max(number * 2, 640 // few))
        found[f"cpu {number}"] = Section(
            f"{number:,} at a time, CPU per call",
            {"task": "calls", "count": count, "at_a_time": number},
            "cpu",
            most,
            is_long=number == 1000,
        )
    burst = {"task": "stream", "count": 20 // few, "path": ""}
    paced = {"task": "stream", "count": 3, "path": "/paced"}
    found |= {
        "burst": Section("stream of 200 chunks in a burst, CPU per chunk", burst, "cpu", 0.3, apart=True),
        "burst 16": Section("16 such streams at a time, CPU per chunk", {**burst, "count": 1, "at_a_time": 16}, "cpu"),
        "burst first": Section("stream in a burst, time to the first piece", burst, "ttft", 0.8, apart=True),
        "paced": Section("paced stream, time to the first piece", paced, "ttft", 0.6),
        "paced cpu": Section("paced stream, CPU per chunk", paced, "cpu"),
        "refused": Section(
            "failover after a refused connection, extra time over a direct call of bare httpx",
            {"task": "failover", "first": f"{refused}/v1", "count": 100 // few},
            "extra",
            0.3,
            over="sequential",
        ),
        "500": Section(
            "failover after status 500, extra time over a direct call of bare httpx",
            {"task": "failover", "first": f"{url}/500/v1", "count": 100 // few},
            "extra",
            None,
            over="sequential",
        ),
    }
    return found


def place(server: int, client: int, *, apart: bool) -> None:
    """Let server and client run where the system puts them, or on cores of their own, where there are several (Linux).

    Of a burst it decides nearly alone when the first piece comes: who shares the server's core reads when all is sent.
    Bare sockets take 0.9 ms then and not 0.1, bare httpx 1.5 and not 0.6; which of both it is changes with each run.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(os.getpid())
        own = {max(cores)} if apart and len(cores) > 1 else set[int]()
        os.sched_setaffinity(server, own or cores)
        os.sched_setaffinity(client, cores - own)


class Process:
    """A contender's process."""

    def __init__(self, name: str, python: str) -> None:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
        env["LLX_HTTP_TRANSPORT"] = "httpx" if name.endswith("on httpx") else "direct"
        env["PYTHONWARNINGS"] = "ignore"  # what libraries will do one day
        for proxy in ("http_proxy", "https_proxy", "all_proxy"):
            env.pop(proxy, None)
            env.pop(proxy.upper(), None)
        self._process = subprocess.Popen(
            [python, str(HERE / "contender_process.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, **task: object) -> dict[str, float]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "its process ended"}

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


Samples = dict[str, dict[str, dict[int, dict[str, float]]]]
"""By section, contender and round."""


def measure(
    processes: dict[str, Process], server: QuickServer, plan: dict[str, Section], bound: Bound
) -> tuple[Samples, dict]:
    """Return every sample by section and contender, and how many of 50 callers reached a dead backend."""
    samples: Samples = {key: {name: {} for name in processes} for key in plan}
    begun = time.monotonic()
    for number in range(bound.rounds + 1):
        passed = time.monotonic() - begun
        if number > LEAST_ROUNDS and passed * (number + 1) / number > bound.seconds:
            print(f"{number - 1} rounds in {passed:.0f} s: no time for another", file=sys.stderr)
            break
        results: dict[str, dict[str, dict[str, float]]] = {}
        for key, section in plan.items():
            for name, process in processes.items():
                if not _has_turn(number, section, name):
                    continue
                task = json.dumps(section.task)
                results.setdefault(name, {})
                if task not in results[name]:  # several figures come from one task
                    place(server.pid, process.pid, apart=section.apart)
                    results[name][task] = process.do(url=server.url, **section.task)
                if number:  # the first round is for warming up
                    samples[key][name][number] = results[name][task]
        print(f"round {number} of {bound.rounds}", file=sys.stderr)
    half_open: dict[str, object] = {"task": "half_open", "url": server.url, "callers": CALLERS}
    return samples, {name: process.do(**half_open) for name, process in processes.items()}


def _has_turn(number: int, section: Section, name: str) -> bool:
    if number == 0:
        return not section.is_long  # it warms up by itself
    takes_long = name in FRAMEWORKS or (section.is_long and name in SERVICES_CLIENTS)
    return number % SELDOM == 1 or not takes_long


def ratio(samples: Samples, plan: dict[str, Section], key: str, name: str) -> tuple[float, float] | str:
    """Return a contender's median ratio to bare httpx and its median value, or why there is none."""
    section = plan[key]
    mine = samples[key][name]
    unit_key = section.over or key
    unit_value = plan[unit_key].value
    base = samples[unit_key][BASE]
    for sample in (*mine.values(), *base.values()):
        if "error" in sample:
            return str(sample["error"])
    ratios = [sample[section.value] / base[number][unit_value] for number, sample in mine.items()]
    return statistics.median(ratios), statistics.median(each[section.value] for each in mine.values())


def report(samples: Samples, plan: dict[str, Section], reached: dict, missing: dict[str, str]) -> tuple[str, dict]:
    names = list(reached)
    figures: dict[str, dict[str, object]] = {}
    lines = ["| what | " + " | ".join(names) + " | llx_magic, at most |", "|---|" + "---|" * (len(names) + 1)]
    for key, section in plan.items():
        cells = []
        for name in names:
            found = ratio(samples, plan, key, name)
            if isinstance(found, str):
                cells.append("-")
                figures.setdefault(key, {})[name] = {"error": found}
            else:
                micro = found[1] * section.unit
                cells.append(f"{found[0]:.2f} ({micro:,.0f} µs)")
                figures.setdefault(key, {})[name] = {"ratio": found[0], "microseconds": micro}
        lines.append(f"| {section.title} | " + " | ".join(cells) + f" | {section.at_most or ''} |")
    counts = [str(int(each["reached"])) if "reached" in each else "-" for each in reached.values()]
    lines.append(f"| of {CALLERS} callers, how many reach a dead backend when its cool-down ends | ")
    lines[-1] += " | ".join(counts) + " | 1 |"
    text = "\n".join(lines)
    for name, why in missing.items():
        text += f"\n\n{name} was not measured: {why}"
    return text, {"figures": figures, "reached": reached, "missing": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help="contenders, separated by commas; bare httpx is always there")
    parser.add_argument("--quick", action="store_true", help="half of the calls, and no thousand at a time")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no round that would end later")
    given = parser.parse_args()
    wanted = [name for name in CONTENDERS if not given.only or name == BASE or name in given.only.split(",")]
    pythons = {name: python_of(name) for name in wanted}
    missing = {name: found.problem for name, found in pythons.items() if found.problem}
    with QuickServer() as server:
        plan = sections(refused_url(), server.url, quick=given.quick)
        processes = {name: Process(name, found.python) for name, found in pythons.items() if not found.problem}
        try:
            samples, reached = measure(processes, server, plan, Bound(given.rounds, given.seconds))
        finally:
            for process in processes.values():
                process.close()
    text, facts = report(samples, plan, reached, missing)
    rounds = len(samples["sequential"][BASE])
    seldom = (rounds + SELDOM - 1) // SELDOM
    others = f"{', '.join(sorted(FRAMEWORKS))}, and {' and '.join(sorted(SERVICES_CLIENTS))} a thousand at a time"
    print(f"{text}\n\nmedians of {rounds} rounds; of {seldom} for {others}")
    if given.json:
        given.json.write_text(json.dumps({**facts, "rounds": rounds, "samples": samples}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
