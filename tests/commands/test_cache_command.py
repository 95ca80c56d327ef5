"""``llx cache`` and ``llx --cache`` in a shell."""

from __future__ import annotations

import json

import pytest

from llx_magic.replies.store import ReplyStore
from tests.commands.command import Home
from tests.replies.kit import key, stored, write

DAY = 86_400.0


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def path(home):
    return home.folder / "config" / "llx_magic" / "replies.sqlite"


@pytest.fixture
def filled(path):
    """Two old replies and a row's own fault of one profile, a new reply of another."""
    import time

    now = time.time()
    with ReplyStore.open(path) as store:
        write(
            store,
            {
                key("a"): stored("A", profile="old", at=now - 40 * DAY),
                key("b"): stored("B", profile="old", at=now - 41 * DAY, prompt="b"),
                key("c"): stored("", profile="old", at=now - 42 * DAY, error="too long", error_kind="context too long"),
                key("d"): stored("D", profile="new", at=now),
            },
        )
    return path


def test_a_prompt_in_a_second_process_is_answered_from_the_store(home):
    home.simulated("one", reply="I am one.")
    home.run("-p", "one", "--cache", "Who are you?")
    home.simulated("one", reply="Somebody else.")
    done = home.run("-p", "one", "--cache", "Who are you?")
    assert done.stdout == "I am one.\n"
    assert "from the store, asked " in done.stderr


def test_the_store_is_told_by_profile(home, filled):
    done = home.run("cache")
    head, _, headings, _, new, old = done.stdout.rstrip().split("\n")
    assert head.startswith(f"{filled}: 3 replies and 1 own fault of rows, ")
    assert headings.split() == ["profile", "replies", "own", "faults", "size", "first", "latest"]
    assert new.split()[:3] == ["new", "1", "0"]
    assert old.split()[:3] == ["old", "2", "1"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ((), ""),
        (("--older-than", "30d"), "D"),
        (("--older-than", "6w"), "ABD"),
        (("--older-than", "972h"), "AD"),
        (("--profile", "old"), "D"),
        (("--profile", "new"), "AB"),
        (("--profile", "old", "--older-than", "972h"), "AD"),
        (("--older-than", "100d"), "ABD"),
    ],
)
def test_what_is_cleared_is_what_was_named(home, filled, words, left):
    done = home.run("cache", "clear", *words)
    assert done.returncode == 0, done.stderr
    with ReplyStore.open(filled) as store:
        texts = "".join(sorted(each.text for _key, each in store.export()))
        rest = sum(1 for _ in store.export())
    assert texts == left
    assert f"{4 - rest} deleted, {rest} left" in done.stdout


@pytest.mark.parametrize("words", [(), ("--older-than", "30d"), ("--profile", "new")])
def test_the_store_as_it_was_before_it_is_cleared_is_kept_and_can_be_read(home, filled, words):
    done = home.run("cache", "clear", *words)
    assert done.stdout.rstrip().endswith("; the store as it was is kept as replies.sqlite.bak")
    with ReplyStore.open(filled.with_name("replies.sqlite.bak")) as kept:
        assert [each.text for _key, each in kept.export()] == ["A", "B", "", "D"]


def test_where_nothing_is_cleared_the_copy_stays_as_it_was(home, filled):
    home.run("cache", "clear")
    assert "kept" not in home.run("cache", "clear").stdout
    with ReplyStore.open(filled.with_name("replies.sqlite.bak")) as kept:
        assert sum(1 for _ in kept.export()) == 4


def test_the_copy_is_for_the_user_alone(home, filled):
    home.run("cache", "clear")
    assert filled.with_name("replies.sqlite.bak").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_kept_is_not_deleted(home, filled):
    filled.with_name("replies.sqlite.bak").mkdir()
    assert home.run("cache", "clear").returncode != 0
    with ReplyStore.open(filled) as store:
        assert sum(1 for _ in store.export()) == 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("clear", "--older-than", "a month"),
            "llx: --older-than must be a number with s, min, h, d, w, such as 30d; got 'a month'",
        ),
        (("clear", "--older-than", "-3d"), "llx: --older-than must be a number"),
        (("clear", "--profile", "odl"), "holds nothing of profile odl; did you mean old?"),
        (("export", "--file", "out.csv"), "out.csv: the file must end in .parquet or .jsonl"),
        (("export",), "--file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_deleted(home, filled, words, line):
    done = home.run("cache", *words)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1
    with ReplyStore.open(filled) as store:
        assert sum(1 for _ in store.export()) == 4


@pytest.mark.parametrize("words", [(), ("clear",), ("export", "--file", "x.jsonl")])
def test_without_a_store_none_is_made(home, path, words):
    done = home.run("cache", *words)
    assert "there is no store yet" in done.stdout
    assert not path.exists()


def test_json_lines_hold_a_reply_each(home, filled):
    done = home.run("cache", "export", "--file", "out.jsonl")
    assert "4 written to" in done.stdout
    rows = [json.loads(line) for line in (home.folder / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["A", "B", "", "D"]
    assert rows[1]["prompt"] == "b"
    assert rows[2]["error_kind"] == "context too long"


def test_parquet_has_the_same_types_whether_there_are_values_or_not(home, filled):
    pq = pytest.importorskip("pyarrow.parquet")
    assert home.run("cache", "export", "--file", "out.parquet").returncode == 0
    schema = pq.read_schema(home.folder / "out.parquet")
    assert {name: str(schema.field(name).type) for name in ("at", "cost", "prompt_tokens", "finish_reason")} == {
        "at": "timestamp[us, tz=UTC]",
        "cost": "double",
        "prompt_tokens": "int64",
        "finish_reason": "string",
    }
    assert pq.read_table(home.folder / "out.parquet").column("text").to_pylist() == ["A", "B", "", "D"]


def test_a_file_that_is_there_is_not_overwritten(home, filled):
    (home.folder / "out.jsonl").write_text("mine")
    done = home.run("cache", "export", "--file", "out.jsonl")
    assert "is there already and is not overwritten" in done.stderr
    assert (home.folder / "out.jsonl").read_text() == "mine"


def test_another_store_is_named_with_store(home, filled):
    other = home.folder / "other.sqlite"
    with ReplyStore.open(other) as store:
        write(store, {key("x"): stored("X")})
    assert "other.sqlite: 1 reply, " in home.run("cache", "--store", str(other)).stdout
    assert "1 deleted, 0 left" in home.run("cache", "clear", "--store", str(other)).stdout
    assert "3 replies" in home.run("cache").stdout
