"""The verification checklist: what it says of the code itself, and that each of its items names a test that exists."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from pathlib import Path

import pytest

from llx_magic.core import events
from llx_magic.core.describe import CIRCUIT_BREAKER, FORMS, LB
from tests.acceptance.scenario import ROOT

README = Path(__file__).with_name("README.md")
SOURCES = sorted((ROOT / "llx_magic").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

SILENT_EVENTS = {"VisitStarted"}
"""Events without a line of their own: the line of the first attempt follows at once."""

ITEMS = {"Functionality": 12, "Code Quality": 8, "Performance": 5, "Documentation": 4}
"""How many items each part of the plan's checklist has."""

PATTERNS = (
    "[circuit-breaker] <backend>: Marked unhealthy (<n> failures in window)",
    "[circuit-breaker] <backend>: State = open",
    "[circuit-breaker] <backend>: Testing recovery (half-open)",
    "[circuit-breaker] <backend>: Recovered (state = closed)",
    "[LB:timeout] <backend>: Request exceeded <n>ms",
    "[LB:failover] <backend>: Backend timeout (<n>ms > <n>ms), failing over",
    "[LB:tpm] <backend>: Current TPM = <n>",
    "[LB:failover] <backend>: TPM (<n>) below threshold (<n>), failing over",
    "[LB:failover] Trying backend: <backend> (attempt <n>/<n>)",
    "[LB:failover] Success on backend: <backend>",
    "[LB:failover] <backend> failed after <n> attempts: <error>",
    "[LB:failover] Skipping unhealthy backend: <backend>",
)
"""The plan's key log patterns."""


def sections() -> dict[str, list[str]]:
    """Return the rows of each of the README's tables by heading."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in README.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| ") and "---" not in line:
            found.setdefault(heading, []).append(line)
    return {name: rows[1:] for name, rows in found.items()}


def functions_of(path: Path) -> set[str]:
    """Return the names of a file's tests."""
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions) and node.name.startswith("test_")}


def named_tests() -> list[str]:
    return sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", README.read_text())))


@pytest.mark.parametrize("name", named_tests())
def test_each_test_that_the_checklist_names_exists(name):
    """A test named in the README is in the file that is named."""
    path, _, function = name.partition("::")
    assert function in functions_of(ROOT / path)


def test_each_file_and_rule_that_the_checklist_names_exists():
    """Files and settings named in the README are there, and rules of the linter are switched on."""
    text = README.read_text()
    files = re.findall(r"`((?:tests|docs|scripts|llx_magic)/[\w./-]+)`", text)
    assert files
    assert [path for path in files if not (ROOT / path).exists()] == []

    rules = re.findall(r"`ruff:([A-Z]+)`", text)
    assert rules
    assert [rule for rule in rules if rule not in PYPROJECT["tool"]["ruff"]["lint"]["select"]] == []
    assert "`mypy:strict`" in text
    assert PYPROJECT["tool"]["mypy"]["strict"] is True
    assert "llx_magic" in PYPROJECT["tool"]["mypy"]["files"]


@pytest.mark.parametrize(("part", "count"), ITEMS.items())
def test_each_item_of_the_checklist_has_its_proof(part, count):
    """Every part of the checklist is whole, and no item is without a test, a rule or a file to read."""
    rows = sections()[part]
    assert len(rows) == count
    assert [row for row in rows if not re.search(r"`[^`]+`", row.split("|")[2])] == []


def test_each_scenario_has_its_module():
    """The README's table of scenarios names every module of this folder that plays one, and no other."""
    named = set(re.findall(r"`(test_\w+\.py)`", "\n".join(sections()["Scenarios"])))
    there = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert named == there


def test_no_any_type_is_used():
    """No module of the package uses ``typing.Any``."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            is_name = isinstance(node, ast.Name) and node.id == "Any"
            if is_name or (isinstance(node, ast.Attribute) and node.attr == "Any"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_no_todo_and_no_stub():
    """No comment puts something off, and no function is left to be written."""
    found = []
    for path in SOURCES:
        text = path.read_text()
        comments = [
            each for each in tokenize.generate_tokens(io.StringIO(text).readline) if each.type == tokenize.COMMENT
        ]
        found += [f"{path}: {each.string}" for each in comments if re.search(r"\b(TODO|FIXME|STUB|XXX)\b", each.string)]
        if "NotImplementedError" in text:
            found.append(f"{path}: NotImplementedError")
    assert found == []


def test_every_function_has_a_signature():
    """Each parameter and each result is annotated, in private functions too."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            bare = [each.arg for each in every if each and each.annotation is None and each.arg not in ("self", "cls")]
            if bare or node.returns is None:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert found == []


def test_every_decision_has_a_debug_line():
    """Each kind of event is written as a line, but for those whose line follows at once."""
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
    leaves = {kind.__name__ for kind in kinds if not kind.__subclasses__()}
    assert leaves - {form.event.__name__ for form in FORMS} == SILENT_EVENTS


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_key_pattern_of_the_plan_is_a_debug_line(pattern):
    """Each of the plan's patterns is in the one table that lines are written from, on its channel."""
    names = {"backend": "<backend>", "message": "<error>"}
    written = {
        re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda field: names.get(field[1], "<n>"), form.pattern): form.channel
        for form in FORMS
    }
    assert written.get(pattern) == (CIRCUIT_BREAKER if pattern.startswith("[circuit-breaker]") else LB)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_test_files_say_what_they_claim(path):
    """Each test module has a docstring; each test has one too, or a name that is a sentence."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    vague = [node.name for node in functions if not ast.get_docstring(node) and node.name.count("_") < 3]
    assert vague == []
