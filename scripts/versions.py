"""Run a quick part of the suite on every Python found here, with the oldest and with the newest allowed packages.

    python scripts/versions.py [--only 3.13-lowest]

Each row gets an environment of its own under ``.versions/``, which a later run uses again. The row of httpx's
pre-release says what is to come: it may fail, and does not decide how this program exits.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".versions"
PYTHONS = ("3.11", "3.12", "3.13")

EXTRAS = ("aws", "azure", "dask", "google", "keyring", "otel", "png", "redis")
"""The extras that are held to their oldest versions as well."""

NOT_NEEDED = frozenset({
    "build", "hatchling", "import-linter", "llx-magic", "mypy", "nbval", "pandas-stubs", "playwright", "ruff",
    "types-tqdm", "xeus-python",
})  # fmt: skip
"""Of the packages for tests, those that check the source, drive a browser or build: the same on every Python."""

HELD = frozenset({"pyarrow"})
"""Of the packages for tests, those that are held to their oldest versions too: the newest need a newer NumPy."""

ROOMS = (
    *("core", "engine", "backends", "providers", "settings", "consent", "profiles", "session", "commands"),
    *("shared", "text", "observe", "dashboard", "cluster"),
)
FAULTS = ("connections", "replies", "network_environment")
QUICK = (*(f"tests/{room}" for room in ROOMS), *(f"tests/faults/test_{each}.py" for each in FAULTS))
TRANSPORT = "not httpx]"
LEFT_OUT = ("tests/test_imports.py::test_every_import_rule_holds",)

MENDED = {
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "h11": ("0.16", "CVE-2025-43859"),
    "certifi": ("2024.7.4", "CVE-2024-39689"),
    "idna": ("3.7", "CVE-2024-3651"),
    "pillow": ("10.3", "CVE-2024-28219"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "markdown-it-py": ("4.0", "a table that fills memory: https://github.com/markdown-it/markdown-it/issues/1000"),
    "ipython": ("8.10.0", "CVE-2023-24816"),
    "nbconvert": ("7.17", "CVE-2025-53000"),
    "tornado": ("6.5", "CVE-2025-47287"),
}
"""The first version of a package in which a published hole is mended, where we let older ones in or once did."""


@dataclass(frozen=True, slots=True)
class Row:
    """One environment: a Python, and which of the allowed packages it has."""

    version: str
    python: Path
    packages: str

    @property
    def name(self) -> str:
        """What it is called on the command line and in the table."""
        return f"{self.version}-{self.packages}"

    @property
    def may_fail(self) -> bool:
        """Whether it only says what is to come."""
        return self.packages == "pre-httpx"

    @property
    def folder(self) -> Path:
        """Where its environment is."""
        return PLACE / self.name

    @property
    def interpreter(self) -> Path:
        """The environment's own Python."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: whether all went well, and in a few words."""

    good: bool
    words: str
    seconds: float = 0.0


def find_python(version: str) -> Path | None:
    """Return a Python of that version that runs: one on PATH, else one beside a version manager's shim."""
    named = os.environ.get("PYTHON")
    for candidate in (*([named] if named else []), f"python{version}", *_beside_shims(version)):
        found = shutil.which(candidate)
        if found and _version_of(found) == version:
            return Path(found)
    return None


def _beside_shims(version: str) -> Iterator[str]:
    shim = shutil.which(f"python{version}") or shutil.which("python")
    folders = [Path(shim).parent.parent / "versions"] if shim else []
    if root := os.environ.get("PYENV_ROOT"):
        folders.append(Path(root) / "versions")
    for folder in folders:
        for found in sorted(folder.glob(f"{version}*/bin/python"), reverse=True):
            yield str(found)


def _version_of(python: str) -> str | None:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def requirements() -> tuple[list[str], list[str]]:
    """Return what the package itself and its extras require, and what its tests require beyond that."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    own = [*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    tools = [line for line in extras["test"] if _name_of(line) not in NOT_NEEDED]
    return own, tools


def _name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def lowest(requirement: str) -> str:
    """Return the requirement with its lower bound as the only version, its marker kept."""
    wanted, semicolon, marker = requirement.partition(";")
    bound = re.search(r">=\s*([0-9][0-9A-Za-z.]*)", wanted)
    assert bound is not None, f"{requirement} has no lower bound"
    return f"{_name_of(wanted)}=={bound[1]}{semicolon}{marker}"


def prepare(row: Row) -> None:
    """Make the row's environment, and put into it what belongs there.

    Raises:
        CalledProcessError: where it cannot be made; its output says why.
    """
    own, tools = requirements()
    if not row.interpreter.exists():
        _run([row.python, "-m", "venv", row.folder])
    constraints = row.folder / "constraints.txt"
    held = [*own, *(line for line in tools if _name_of(line) in HELD)] if row.packages == "lowest" else []
    constraints.write_text("\n".join(map(lowest, held)), encoding="utf-8")
    pip: list[str | Path] = [row.interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = f"{ROOT}[{','.join(EXTRAS)}]"
    _run([*pip, "--upgrade", "--upgrade-strategy", "eager", "-c", constraints, "-e", wanted, *tools])
    if row.may_fail:
        _run([*pip, "--pre", "--upgrade", "httpx"])


def holes(row: Row) -> list[str]:
    """Name each installed package that is older than the version in which a published hole is mended."""
    listed = _run([row.interpreter, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"])
    found = {each["name"].lower(): each["version"] for each in json.loads(listed)}
    return [
        f"{name} {found[name]} has {hole}"
        for name, (mended, hole) in MENDED.items()
        if name in found and _number(found[name]) < _number(mended)
    ]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version.partition("+")[0]))


def test(row: Row) -> Outcome:
    """Run the quick part of the suite."""
    left_out = [word for name in LEFT_OUT for word in ("--deselect", name)]
    words = ["-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "-m", "not model and not browser"]
    selected = ["-k", TRANSPORT] if not row.may_fail else ["-k", "httpx]", "--maxfail", "20"]
    paths = QUICK if not row.may_fail else ("tests/faults/test_connections.py", "tests/faults/test_replies.py")
    log = row.folder / "tests.txt"
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [row.interpreter, *words, *left_out, *selected, *paths],
            stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, timeout=3600, check=False,
        )  # fmt: skip
    last = log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
    return Outcome(done.returncode == 0, f"{last.strip('= ')}; {log.relative_to(ROOT)}")


def result_of(row: Row) -> Outcome:
    """Prepare a row and run it."""
    began = time.monotonic()
    try:
        prepare(row)
        found = holes(row)
        outcome = Outcome(good=False, words="; ".join(found)) if found else test(row)
    except subprocess.CalledProcessError as failed:
        said = (failed.stderr or failed.stdout or "").strip().splitlines()
        outcome = Outcome(good=False, words=f"cannot be installed: {said[-1] if said else failed}")
    except subprocess.TimeoutExpired:
        outcome = Outcome(good=False, words="did not end within an hour")
    return Outcome(outcome.good, outcome.words, time.monotonic() - began)


def rows() -> list[Row]:
    """Return a row for each Python that was found and each choice of packages, the pre-release last."""
    found = [(version, python) for version in PYTHONS if (python := find_python(version)) is not None]
    for version in set(PYTHONS) - {version for version, _ in found}:
        print(f"NOT RUN: Python {version} was not found; PYTHON=/path/to/python names one")
    chosen = [Row(version, python, packages) for version, python in found for packages in ("lowest", "newest")]
    return [*chosen, *(Row(version, python, "pre-httpx") for version, python in found[-1:])]


def _run(command: list[str | Path]) -> str:
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout


def main() -> int:
    """Run all rows, print a table, and return 1 where one failed that may not."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--only", action="append", help="a row by its name, such as 3.13-lowest; may be repeated")
    only = reader.parse_args().only
    chosen = [row for row in rows() if only is None or row.name in only]
    PLACE.mkdir(exist_ok=True)
    results = []
    for row in chosen:
        print(f"{row.name}: {row.python}", flush=True)
        results.append((row, result_of(row)))
    print("\n| row | outcome | seconds | |\n|---|---|---|---|")
    for row, outcome in results:
        verdict = "passed" if outcome.good else "FAILED, as it may" if row.may_fail else "FAILED"
        print(f"| {row.name} | {verdict} | {outcome.seconds:.0f} | {outcome.words} |")
    failed = any(not outcome.good and not row.may_fail for row, outcome in results)
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
