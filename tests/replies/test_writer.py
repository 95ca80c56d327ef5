"""A reply is on the disk before anybody hears of it, and nothing is lost where it cannot be."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from llx_magic.core.reply import Usage
from llx_magic.errors import LlxError
from llx_magic.replies.database import connect
from llx_magic.replies.problems import StoreProblem
from llx_magic.replies.store import ReplyStore
from llx_magic.replies.writer import LARGEST_GROUP, Writer
from tests.replies.kit import ASKED, key, stored, text_of, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "replies.sqlite"


def test_what_is_delivered_can_be_read_by_others(path):
    """The group is read over another connection at the moment when it is delivered."""
    seen: list[bool] = []
    with ReplyStore.open(path) as store, ReplyStore.open(path) as other:

        def deliver(tokens: list[str], problem: object) -> None:
            seen.extend(text_of(other, token) == token for token in tokens)

        writer = store.writer(deliver)
        for number in range(200):
            writer.put(key(str(number)), stored(str(number)), str(number))
        writer.close()
    assert seen == [True] * 200


def test_groups_have_a_largest_size_and_keep_the_order(path):
    groups: list[list[int]] = []
    with ReplyStore.open(path) as store:
        writer = store.writer(lambda tokens, _problem: groups.append(tokens))
        for number in range(1_000):
            writer.put(key(str(number)), stored(), number)
        writer.close()
    assert [token for group in groups for token in group] == list(range(1_000))
    assert max(map(len, groups)) <= LARGEST_GROUP
    assert len(groups) < 200


def test_half_characters_are_written_as_what_they_are_not(path):
    """No file in UTF-8 can hold half of a surrogate pair; the rest of the reply, and its group, are written."""
    with ReplyStore.open(path) as store:
        half = stored("a\ud800b", profile="\udfff", notes=("n\ud800",), usage=Usage(1, 2), prompt="\ud83d\ude00")
        assert write(store, {key("a"): half, key("b"): stored("whole")}) == [None, None]
        found = store.find([key("a")], {ASKED})[key("a")]
        assert (found.text, found.profile, found.notes, found.usage) == (
            "a\ufffdb",
            "\ufffd",
            ("n\ufffd",),
            Usage(1, 2),
        )
        assert found.prompt == "\U0001f600"
        assert text_of(store, "b") == "whole"


def test_a_lone_reply_is_written_without_waiting_for_more(path):
    delivered = threading.Event()
    with ReplyStore.open(path) as store:
        writer = store.writer(lambda _tokens, _problem: delivered.set())
        writer.put(key("a"), stored(), None)
        assert delivered.wait(30)
        writer.close()


def test_many_threads_may_put(path):
    tokens: list[int] = []
    with ReplyStore.open(path) as store:
        writer = store.writer(lambda group, _problem: tokens.extend(group))

        def put(first: int) -> None:
            for number in range(first, first + 250):
                writer.put(key(str(number)), stored(), number)

        threads = [threading.Thread(target=put, args=(first,)) for first in range(0, 1_000, 250)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close()
    assert sorted(tokens) == list(range(1_000))


def test_a_writer_that_got_nothing_ends_and_leaves_nothing(path):
    with ReplyStore.open(path) as store:
        store.writer(lambda _tokens, _problem: None).close()
        assert store.shares() == ()


def test_on_a_full_disk_the_replies_are_handed_back_with_one_line_and_later_ones_are_written(path):
    """The disk is full by SQLite's own limit on pages, which a connection can be given."""
    opened: list[sqlite3.Connection] = []

    def connect_to_a_small_disk() -> sqlite3.Connection:
        opened.append(connect(path, 1.0))
        opened[0].execute("PRAGMA max_page_count = 8")
        return opened[0]

    back: list[tuple[str, str | None]] = []
    halfway = threading.Event()

    def deliver(tokens: list[str], problem: LlxError | None) -> None:
        back.extend((token, None if problem is None else str(problem)) for token in tokens)
        if problem is not None:
            opened[0].execute("PRAGMA max_page_count = 100000")
            halfway.set()

    writer = Writer(connect_to_a_small_disk, path, 1.0, deliver)
    writer.put(key("large"), stored("x" * 100_000), "large")
    assert halfway.wait(30)
    writer.put(key("small"), stored("kept"), "small")
    writer.close()
    line = f"{path}: the disk is full"
    assert back == [("large", line), ("small", None)]
    with ReplyStore.open(path) as store:
        assert text_of(store, "small") == "kept"
        assert text_of(store, "large") is None


def test_a_lock_that_another_process_keeps_is_one_line_and_the_replies_are_handed_back(path):
    with ReplyStore(path, patience=0.2) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        (problem,) = write(store, {key("a"): stored()})
        other.execute("ROLLBACK")
        assert isinstance(problem, StoreProblem)
        assert str(problem) == f"{path}: another process has kept it locked for 0.2 s"
        assert write(store, {key("a"): stored("then")}) == [None]
        assert text_of(store, "a") == "then"


def test_a_lock_that_ends_is_waited_for(path):
    with ReplyStore(path) as store:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
        assert write(store, {key("a"): stored("then")}) == [None]


def test_a_file_that_was_removed_meanwhile_is_made_anew(path):
    """What went on to be written into it would be on no disk."""
    went: list[object] = []
    first = threading.Event()
    with ReplyStore.open(path) as store:

        def deliver(_tokens: list[None], problem: object) -> None:
            went.append(problem)
            first.set()

        writer = store.writer(deliver)
        writer.put(key("a"), stored("A"), None)
        assert first.wait(30)
        for each in path.parent.iterdir():
            each.unlink()
        writer.put(key("b"), stored("B"), None)
        writer.close()
    assert went == [None, None]
    with ReplyStore.open(path) as store:
        assert set(store.find([key("a"), key("b")], {ASKED})) == {key("b")}
