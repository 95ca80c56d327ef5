"""The benchmarks run and report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench

    return bench


@pytest.mark.slow
def test_calls_are_measured_against_bare_httpx(tmp_path: Path) -> None:
    """The shortest run ends well, its table has our column, and each of our figures is a ratio above 0."""
    file = tmp_path / "figures.json"
    options = ["--quick", "--rounds", "1", "--only", "httpx,llx_magic", "--json", str(file)]
    ran = subprocess.run(
        [sys.executable, str(BENCHMARKS / "calls.py"), *options],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[0] == "| what | httpx | llx_magic | llx_magic, at most |"
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert all(each["llx_magic"]["ratio"] > 0 for each in figures["figures"].values())
    assert figures["reached"]["llx_magic"] == {"reached": 1}
    assert figures["missing"] == {}


@pytest.mark.slow
def test_watching_is_measured_against_nobody_watching(tmp_path: Path) -> None:
    """Each way of watching our calls has a ratio to the plain one, whose own is 1."""
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / "observing.py"), "--rounds", "1", "--json", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
    assert len(figures) == 5
    assert {each["ratio"] for each in figures["plain"].values()} == {1.0}


def test_what_was_not_measured_is_named_with_its_reason(bench: ModuleType) -> None:
    """The page of results has no figure for a benchmark that failed; it says which it was and why."""
    outcomes = [bench.Outcome(each, f"python {each.script}.py", problem="out of order") for each in bench.BENCHMARKS]
    page = bench.page(outcomes, "make bench", 60.0, 0.0)
    summary = page.partition("## What is to be held")[2].partition("\n## ")[0]
    rows = [line for line in summary.splitlines() if line.endswith("** |") and "**ours**" not in line]
    assert rows
    assert all(row.endswith("**not measured** |") for row in rows)
    assert page.count("out of order") == len(bench.BENCHMARKS)


def test_every_benchmark_has_its_row_in_the_readme(bench: ModuleType) -> None:
    """A script that `make bench` runs is described in benchmarks/README.md."""
    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert [each.script for each in bench.BENCHMARKS if f"benchmarks/{each.script}.py" not in readme] == []


@pytest.mark.slow
def test_each_form_is_measured_beside_its_services_own_client(tmp_path: Path) -> None:
    """Every form has figures, or the reason why its client is not there."""
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / "forms.py"), "--rounds", "1", "--json", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    assert len(found["figures"]) + len(found["missing"]) == 6
    assert all("its environment is made by" in why for why in found["missing"].values())
    assert all(each["chunk"]["ratio"] > 0 for each in found["figures"].values())


@pytest.mark.slow
def test_a_storm_of_refusals_loses_no_row(tmp_path: Path) -> None:
    """At a service that takes 100 a second, whether or not it says so, every row is answered."""
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / "rows_storm.py"), "--only", "100/s", "--json", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
    assert [sample["answered"] for each in figures.values() for sample in each["samples"]] == [600] * 6


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import kernels

    return kernels


def test_of_300_kernels_one_probes_a_circuit_at_a_time(kernels: ModuleType) -> None:
    """On virtual time: between two probes lies the recovery time, and nobody goes on alone."""
    found = kernels.outage(300, 60.0, kernels.REST_SECONDS)
    assert found["s between two probes, least"] >= 30.0
    assert found["alone"] == 0


def test_300_kernels_keep_to_a_common_limit_and_use_it(kernels: ModuleType) -> None:
    """On virtual time, while all want far more: never above it in any minute, and 0.95 of it used."""
    found = kernels.limit(300, 10.0, kernels.REST_SECONDS)
    assert found["most in 60 s, share"] <= 1.0
    assert found["used, share"] >= 0.95


def test_300_kernels_heed_a_429_that_one_of_them_meets(kernels: ModuleType) -> None:
    """On virtual time: all of them, within the longest rest between two looks of so many."""
    found = kernels.heed(300, 60.0, kernels.REST_SECONDS)
    assert found["heard"] == 300
    assert found["ms, last"] <= 1000 * 1.5 * kernels.REST_SECONDS * 300 + 10
