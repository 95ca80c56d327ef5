"""What is stored is found again, whole."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from llx_magic.core.reply import Reply, Usage
from llx_magic.files.folders import config_folder
from llx_magic.replies.key import asked_of
from llx_magic.replies.record import Stored
from llx_magic.replies.store import ReplyStore
from llx_magic.text.schemas import shape_of
from tests.home import own_home
from tests.replies.kit import ASKED, key, stored, text_of, write

OTHER = asked_of("another", {})


@pytest.fixture
def store(tmp_path):
    with ReplyStore.open(tmp_path / "replies.sqlite") as opened:
        yield opened


def test_a_reply_comes_back_whole(store):
    reply = Reply(
        text="ja \x00 \U0001f600",
        backend="a",
        model="m-1",
        usage=Usage(10, 20, cached=4, cache_written=2, reasoning=7),
        attempts=3,
        seconds=1.5,
        ttft=0.2,
        finish_reason="length",
        reasoning="so …",
        notes=("cut at max_tokens",),
        cost=0.25,
        cost_is_estimate=True,
    )
    kept = Stored.of(reply, asked_model="m", asked=ASKED, profile="p", at=5.0)
    write(store, {key("a"): kept})
    found = store.find([key("a")], {ASKED})[key("a")]
    assert found == kept
    told = found.reply()
    assert (told.text, told.backend, told.model, told.usage) == (reply.text, "a", "m-1", reply.usage)
    assert (told.reasoning, told.finish_reason, told.notes) == (reply.reasoning, "length", reply.notes)
    assert (told.attempts, told.seconds, told.cost, told.cost_is_estimate) == (3, 1.5, 0.25, True)


def test_a_stored_reply_is_read_by_the_schema_of_today():
    assert stored('{"n": 3}').reply(shape_of({"n": int})).value == {"n": 3}


def test_only_what_is_there_is_found(store):
    write(store, {key("a"): stored("A"), key("b", 2): stored("B")})
    assert set(store.find([key("a"), key("b"), key("b", 2), key("c")], {ASKED})) == {key("a"), key("b", 2)}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 256, 600])
def test_any_number_of_keys_is_looked_up(store, count):
    rows = {key(str(number)): stored(str(number)) for number in range(count)}
    write(store, rows)
    found = store.find([*rows, *rows], {ASKED})
    assert found == rows


def test_a_reply_of_a_model_that_is_not_asked_today_does_not_count(store):
    write(store, {key("a"): stored("A")})
    assert store.find([key("a")], {OTHER}) == {}
    assert store.find([key("a")], {OTHER, ASKED}) == {key("a"): stored("A")}


def test_two_models_keep_their_replies_to_one_prompt(store):
    write(store, {key("a"): stored("of m")})
    write(store, {key("a"): stored("of another", asked=OTHER)})
    assert store.find([key("a")], {ASKED})[key("a")].text == "of m"
    assert store.find([key("a")], {OTHER})[key("a")].text == "of another"


def test_of_several_the_latest_counts(store):
    write(store, {key("a"): stored("late", at=9.0)})
    write(store, {key("a"): stored("early", at=3.0, asked=OTHER)})
    assert store.find([key("a")], {ASKED, OTHER})[key("a")].text == "late"


def test_a_reply_counts_before_an_error(store):
    write(store, {key("a"): stored("early", at=3.0, asked=OTHER)})
    write(store, {key("a"): stored("", at=9.0, error="too long", error_kind="context too long")})
    assert store.find([key("a")], {ASKED, OTHER})[key("a")].text == "early"


def test_asked_again_the_new_reply_takes_the_place_of_the_old(store):
    for text in ("old", "new"):
        write(store, {key("a"): stored(text)})
    assert text_of(store, "a") == "new"
    assert sum(1 for _ in store.export()) == 1


def test_no_error_takes_the_place_of_a_reply(store):
    write(store, {key("a"): stored("paid for")})
    write(store, {key("a"): stored("", error="refused", error_kind="content filter")})
    assert text_of(store, "a") == "paid for"


def test_a_reply_takes_the_place_of_an_error(store):
    write(store, {key("a"): stored("", error="refused", error_kind="content filter")})
    write(store, {key("a"): stored("answered")})
    assert store.find([key("a")], {ASKED})[key("a")].error is None


def test_equal_keys_in_one_group_leave_one_row(store):
    writer = store.writer(lambda _tokens, _problem: None)
    for number in range(50):
        writer.put(key("a"), stored(str(number)), number)
    writer.close()
    assert [each.text for _key, each in store.export()] == ["49"]


def test_the_user_s_store_lies_beside_the_configuration_for_the_user_alone(tmp_path, monkeypatch):
    own_home(tmp_path, monkeypatch)
    was = os.umask(0)
    try:
        with ReplyStore.open() as store:
            write(store, {key("a"): stored()})
            folder = config_folder() / "llx_magic"
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(was)
    assert modes["replies.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_several_threads_look_up_while_one_writes(store):
    rows = {key(str(number)): stored(str(number)) for number in range(300)}
    found: list[int] = []

    def look() -> None:
        for _ in range(20):
            found.append(len(store.find(list(rows), {ASKED})))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert write(store, rows) == [None] * 300
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert len(store.find(list(rows), {ASKED})) == 300


def test_what_is_cleared_is_gone_from_the_file_and_its_space_is_given_back(store):
    write(store, {key(str(number)): stored("SECRET" * 300, at=float(number)) for number in range(300)})
    before = store.size()
    assert store.clear(before=100.0) == 100
    assert store.clear() == 200
    assert store.size() < before / 4
    assert not any(b"SECRET" in path.read_bytes() for path in store.path.parent.iterdir())


def test_one_profile_is_cleared_and_the_others_stay(store):
    write(store, {key("a"): stored(profile="one"), key("b"): stored(profile="two")})
    assert store.clear(profile="one") == 1
    assert [each.profile for each in store.shares()] == ["two"]


def test_the_shares_say_what_the_store_holds_of_each_profile(store):
    write(
        store,
        {
            key("a"): stored(profile="one", at=5.0),
            key("b"): stored(profile="one", at=7.0, error="too long"),
            key("c"): stored(profile="two", at=6.0),
        },
    )
    one, two = store.shares()
    assert (one.profile, one.replies, one.failed, one.first, one.last) == ("one", 1, 1, 5.0, 7.0)
    assert (two.profile, two.replies, two.failed) == ("two", 1, 0)
    assert 0 < one.size < store.size()


def test_an_export_is_everything_in_the_order_of_writing(store):
    rows = {key(str(number)): stored(str(number)) for number in range(2_500)}
    write(store, rows)
    assert dict(store.export()) == rows
    assert [each.text for _key, each in store.export()] == [str(number) for number in range(2_500)]


def test_bytes_that_are_no_reply_are_as_if_they_were_not_there(store):
    write(store, {key("a"): stored("A"), key("b"): stored("B")})
    store._connection.execute("UPDATE reply SET data = x'7b7d' WHERE key = ?", (key("a")[0],))
    assert store.find([key("a"), key("b")], {ASKED}) == {key("b"): stored("B")}
    write(store, {key("a"): stored("again")})
    assert text_of(store, "a") == "again"
