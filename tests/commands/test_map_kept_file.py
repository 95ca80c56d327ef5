"""``llx map --out FILE`` where FILE is there already and no row has a reply: it stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.command import Home

NO_KEY = ("-p", "keyed")
DEAD = ("-p", "dead", "--give-up-after", "1")
TOO_DEAR = ("-p", "dear", "--budget", "0.000001")
REFUSED = ("-p", "strict")
ENDS = pytest.mark.parametrize("how", [NO_KEY, DEAD, TOO_DEAR, REFUSED], ids=["no key", "dead", "too dear", "refused"])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A configuration with one backend that answers and several that do not, and a file of two rows."""
    home = Home(tmp_path)
    home.simulated("clerk")
    home.simulated("dead", "503", cycle=True)
    home.simulated("strict", "filter", cycle=True)
    home.write("keyed", provider="openai", model="m", ephemeralSettings={"auth-key-env": "NO_SUCH_KEY"})
    prices = {"price-input": 0, "price-output": 1}
    home.write("dear", provider="simulated", model="m", modelParams={}, ephemeralSettings=prices)
    (tmp_path / "in.csv").write_text("text\ngood\nbad\n")
    return home


def rate(*words: str) -> tuple[str, ...]:
    return ("map", "in.csv", "--prompt", "Rate {{ text }}.", *words)


@ENDS
@pytest.mark.parametrize("name", ["keep.csv", "keep.jsonl", "keep.parquet"])
def test_a_run_without_any_reply_leaves_the_file_that_was_there(home, how, name):
    home.run(*rate("-p", "clerk", "--out", name))
    before = (home.folder / name).read_bytes()
    done = home.run(*rate(*how, "--out", name, "--fresh"))
    assert (done.returncode, (home.folder / name).read_bytes()) == (1, before)


@ENDS
def test_the_last_line_says_that_the_file_is_as_it_was(home, how):
    (home.folder / "keep.csv").write_text("before")
    done = home.run(*rate(*how, "--out", "keep.csv", "-q"))
    assert done.stderr.startswith("llx: no reply for 2 of 2 rows: ")
    assert done.stderr.endswith("; keep.csv is as it was before\n")


@ENDS
def test_a_file_that_was_not_there_is_written_and_nothing_is_said_of_before(home, how):
    done = home.run(*rate(*how, "--out", "new.csv"))
    assert (home.folder / "new.csv").read_text().startswith("text,reply,llx_status")
    assert "as it was before" not in done.stderr


@pytest.mark.parametrize("named", ["~/keep.csv", "folder/keep.csv"])
def test_a_file_elsewhere_stays_too(home, named):
    (home.folder / "folder").mkdir()
    path = home.folder / named.replace("~/", "")
    path.write_text("before")
    home.run(*rate(*NO_KEY, "--out", named), HOME=str(home.folder))
    assert path.read_text() == "before"


def test_one_reply_is_enough_for_the_file_to_be_written(home):
    home.simulated("half", "filter,ok")
    (home.folder / "keep.csv").write_text("before")
    home.run(*rate("-p", "half", "--out", "keep.csv"))
    assert (home.folder / "keep.csv").read_text().startswith("text,reply,llx_status")
