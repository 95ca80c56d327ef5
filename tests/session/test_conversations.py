"""Conversations: what a cell sends, what its re-run replaces, and files that several sessions share."""

from __future__ import annotations

import json
import multiprocessing
import stat
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from llx_magic.core.message import Message
from llx_magic.core.reply import Reply
from llx_magic.errors import UsageProblem
from llx_magic.session.conversations import Conversations
from llx_magic.session.turns import MOST_BYTES, MOST_TURNS, Turn, turn_of
from tests.session.kit import turn

NAMES = [None, "plan"]
"""The unnamed conversation and a named one, which must behave the same."""


@pytest.fixture
def conversations(tmp_path) -> Conversations:
    return Conversations(tmp_path / "config" / "conversations")


def prompts(conversations: Conversations, name: str | None) -> list[str]:
    return [each.prompt for each in conversations.get(name).turns]


def put(conversations: Conversations, name: str, content: str | bytes) -> Path:
    conversations.folder.mkdir(parents=True, exist_ok=True)
    path = conversations.folder / f"{name}.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def record_many(folder: Path, who: str, count: int) -> None:
    conversations = Conversations(folder)
    for number in range(count):
        conversations.record("shared", turn(f"{who}-{number}"))


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_sends_the_turns_before_it_in_order(conversations, name):
    """User and assistant alternate, oldest first; a cell without a turn of its own follows all of them."""
    conversations.record(name, turn("a"))
    conversations.record(name, turn("b"))
    assert conversations.before(name, "c").messages == (
        Message("user", "ask a"),
        Message("assistant", "re: ask a"),
        Message("user", "ask b"),
        Message("assistant", "re: ask b"),
    )
    assert conversations.before(name, None).messages == conversations.before(name, "c").messages


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_that_runs_again_replaces_its_own_turn(conversations, name):
    """The turn stays in its place and there is one of it, whatever the prompt is now."""
    for cell in "abc":
        conversations.record(name, turn(cell))
    conversations.record(name, turn("b", "changed"))
    assert prompts(conversations, name) == ["ask a", "changed", "ask c"]


@pytest.mark.parametrize("name", NAMES)
def test_a_middle_cell_that_runs_again_sends_only_the_turns_before_it(conversations, name):
    """What came later does not leak into it, so it asks the same as the first time."""
    for cell in "abc":
        conversations.record(name, turn(cell))
    assert conversations.before(name, "b").messages == (Message("user", "ask a"), Message("assistant", "re: ask a"))
    assert conversations.before(name, "a").messages == ()


@pytest.mark.parametrize("name", NAMES)
def test_prompts_without_a_cell_are_always_appended(conversations, name):
    """A terminal's prompts have no identity: none replaces another."""
    conversations.record(name, turn(None, "same"))
    conversations.record(name, turn(None, "same"))
    assert prompts(conversations, name) == ["same", "same"]


@pytest.mark.parametrize("name", NAMES)
def test_the_system_prompt_of_earlier_turns_can_be_continued(conversations, name):
    """It is the latest one before the cell; a turn without one does not take it away."""
    conversations.record(name, turn("a", system="be brief"))
    conversations.record(name, turn("b"))
    conversations.record(name, turn("c", system="be long"))
    assert conversations.before(name, "a").system is None
    assert conversations.before(name, "c").system == "be brief"
    assert conversations.before(name, None).system == "be long"


def test_a_name_that_does_not_exist_yet_has_said_nothing(conversations):
    """So a prompt can start it; reading makes no file."""
    assert conversations.before("new", "a").messages == ()
    assert not conversations.folder.exists()


def test_a_reply_makes_a_turn_with_its_time_in_utc(conversations):
    """The time is given by the caller, in Unix seconds."""
    reply = Reply(
        text="blue", backend="b", model="m", usage=None, attempts=1, seconds=1, ttft=None, finish_reason="stop"
    )
    made = turn_of(reply, "why?", cell="a", unix_seconds=1_700_000_000.25, system="s")
    assert made == turn(
        "a", "why?", reply="blue", backend="b", model="m", at="2023-11-14T22:13:20.250+00:00", system="s"
    )


def test_the_unnamed_conversation_belongs_to_its_session(conversations):
    """Another session does not see it, and it leaves no file."""
    conversations.record(None, turn("a"))
    assert Conversations(conversations.folder).get(None).turns == ()
    assert not conversations.folder.exists()


def test_sessions_see_each_other_s_turns(conversations):
    """A named conversation is read anew for each operation."""
    other = Conversations(conversations.folder)
    conversations.record("plan", turn("a"))
    other.record("plan", turn("b"))
    assert prompts(conversations, "plan") == prompts(other, "plan") == ["ask a", "ask b"]


def test_every_field_survives_the_file(conversations):
    """Line ends, quotes, any script and no system prompt come back as they were."""
    kept = turn("a", "line 1\r\nline 2\t\"q\" 'q' \\ é 日本 🎈 \u2028 \x1b[31m", reply="", system=None)
    conversations.record("plan", kept)
    assert conversations.get("plan").turns == (kept,)


def test_half_a_character_does_not_cost_the_turn(conversations):
    """What UTF-8 cannot hold becomes a question mark."""
    conversations.record("plan", turn("a", "half \ud83d", model="m\udc00"))
    assert prompts(conversations, "plan") == ["half ?"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_files_are_for_the_user_alone(conversations):
    """The folder is 0700, the file and its copy 0600."""
    conversations.record("plan", turn("a"))
    conversations.clear("plan")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in conversations.folder.iterdir()}
    assert modes == {"plan.json": 0o600, "plan.json.bak": 0o600, "lock": 0o600}
    assert stat.S_IMODE(conversations.folder.stat().st_mode) == 0o700


def test_two_processes_that_record_at_once_lose_nothing(conversations):
    """Each turn of both is there, each process's own in order."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=record_many, args=(conversations.folder, who, 25)) for who in "pq"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = prompts(conversations, "shared")
    for who in "pq":
        assert [text for text in found if f"ask {who}" in text] == [f"ask {who}-{number}" for number in range(25)]


@pytest.mark.parametrize("name", NAMES)
def test_threads_that_record_at_once_lose_nothing(conversations, name):
    """Background cells end on threads of their own."""
    threads = [
        threading.Thread(target=lambda who=who: [conversations.record(name, turn(f"{who}{n}")) for n in range(10)])
        for who in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(prompts(conversations, name))) == 40


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "nul", "x.json", "", "x" * 65, "new\nline"])
def test_a_name_that_is_not_allowed_is_refused_in_one_line(conversations, name):
    """It never becomes a path."""
    with pytest.raises(UsageProblem, match=r"^conversation name .*$") as raised:
        conversations.delete(name)
    assert len(str(raised.value).splitlines()) == 1
    assert not conversations.folder.exists()


@pytest.mark.parametrize("action", ["get", "clear", "delete"])
def test_an_unknown_name_offers_the_nearest(conversations, action):
    """The message names what was given and what there is."""
    conversations.record("holiday-plan", turn("a"))
    with pytest.raises(UsageProblem, match=r"^there is no conversation holiday-pln; did you mean holiday-plan\?$"):
        getattr(conversations, action)("holiday-pln")


def test_clear_keeps_the_file_it_empties(conversations):
    """The copy has the turns; an empty conversation is not cleared again, so the copy stays."""
    conversations.record("plan", turn("a"))
    assert conversations.clear("plan") == 1
    assert conversations.clear("plan") == 0
    assert conversations.get("plan").turns == ()
    saved = json.loads((conversations.folder / "plan.json.bak").read_text("utf-8"))
    assert [each["prompt"] for each in saved["turns"]] == ["ask a"]


def test_clear_without_a_name_forgets_the_unnamed_one_alone(conversations):
    """Named ones are not touched."""
    conversations.record(None, turn("a"))
    conversations.record("plan", turn("a"))
    assert conversations.clear(None) == 1
    assert conversations.get(None).turns == ()
    assert prompts(conversations, "plan") == ["ask a"]


def test_delete_keeps_a_copy(conversations):
    """The name is free again and the copy is not listed."""
    conversations.record("plan", turn("a"))
    assert conversations.delete("plan").name == "plan.json.bak"
    assert conversations.names() == ()


BROKEN = {
    "half": '{"version": 1, "turns": [',
    "empty": "",
    "list": "[]",
    "no version": "{}",
    "no turns": '{"version": 1}',
    "turn without a reply": '{"version": 1, "turns": [{"cell": null, "prompt": "x"}]}',
    "number for a text": '{"version": 1, "turns": [{"cell": 1}]}',
    "not UTF-8": b'{"version": 1, "turns": "\xff"}',
    "nested too deep": '{"version": 1, "x": ' + "[" * 100_000,
    "newer": '{"version": 2, "turns": {"other": "form"}}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_reported_in_one_line_and_left_alone(conversations, content):
    """Every operation refuses it, a recorded turn included, and the list shows its problem."""
    path = put(conversations, "bad", content)
    before = path.read_bytes()
    actions = [
        lambda: conversations.get("bad"),
        lambda: conversations.before("bad", "a").messages,
        lambda: conversations.record("bad", turn("a")),
        lambda: conversations.clear("bad"),
    ]
    for action in actions:
        with pytest.raises(UsageProblem, match=r"bad\.json: ") as raised:
            action()
        assert len(str(raised.value).splitlines()) == 1
    assert path.read_bytes() == before
    (row,) = conversations.all()
    assert row.problem == str(raised.value)


def test_a_newer_file_is_named_as_such(conversations):
    """The message says both versions, whatever else the file holds."""
    put(conversations, "new", BROKEN["newer"])
    with pytest.raises(UsageProblem, match="has version 2, made by a newer llx_magic; this one reads 1"):
        conversations.get("new")


def test_a_broken_conversation_can_be_taken_away(conversations):
    """Its content is kept beside."""
    put(conversations, "bad", "{")
    assert conversations.delete("bad").read_text() == "{"


def test_one_broken_file_does_not_hide_the_others(conversations):
    """The list has a row for each; files of other names are not conversations."""
    put(conversations, "bad", "{")
    put(conversations, "not a name", "{}")
    conversations.record("good", turn("a"))
    conversations.record(None, turn("b"))
    assert [(row.name, len(row.turns), row.problem is None) for row in conversations.all()] == [
        ("", 1, True),
        ("bad", 0, False),
        ("good", 1, True),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_a_link_is_neither_read_nor_written(conversations, tmp_path):
    """A file elsewhere cannot be reached through the folder."""
    target = tmp_path / "elsewhere.json"
    target.write_text('{"version": 1, "turns": []}')
    conversations.folder.mkdir(parents=True)
    (conversations.folder / "link.json").symlink_to(target)
    with pytest.raises(UsageProblem, match="symbolic link"):
        conversations.record("link", turn("a"))
    with pytest.raises(UsageProblem, match="symbolic link"):
        conversations.get("link")
    assert target.read_text() == '{"version": 1, "turns": []}'


def test_a_file_that_is_too_large_is_not_read(conversations):
    """The bound is stated."""
    put(conversations, "huge", b" " * (MOST_BYTES + 1))
    with pytest.raises(UsageProblem, match=r"huge\.json: is larger than 8 MiB, the most a conversation may have"):
        conversations.get("huge")


@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_that_is_full_says_what_to_do_before_anything_is_sent(conversations, name):
    """A new cell is refused when it asks for what came before; a cell with its own turn may go on."""
    turns = [{"cell": str(number), "prompt": "x", "reply": "y", "backend": "b", "model": "m", "at": ""}
             for number in range(MOST_TURNS)]  # fmt: skip
    if name:
        put(conversations, name, json.dumps({"version": 1, "turns": turns}))
    else:
        for each in turns:
            conversations.record(name, Turn(**each))
    for action in (lambda: conversations.before(name, "new").messages, lambda: conversations.record(name, turn("new"))):
        with pytest.raises(UsageProblem, match=r"has 1000 turns, the most it may have; clear it, or go on in another"):
            action()
    assert len(conversations.before(name, "1").messages) == 2
    conversations.record(name, turn("1", "again"))
    assert len(conversations.get(name).turns) == MOST_TURNS


@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_that_would_be_too_large_keeps_what_it_has(conversations, name):
    """The turn that is too much is refused in one line."""
    conversations.record(name, turn("a"))
    with pytest.raises(UsageProblem, match=r"would be larger than 8 MiB, the most it may have; clear it, or go on"):
        conversations.record(name, turn("b", "x" * MOST_BYTES))
    assert prompts(conversations, name) == ["ask a"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "taken").write_text("")
    conversations = Conversations(tmp_path / "taken" / "conversations")
    with pytest.raises(UsageProblem, match="conversations: cannot be written"):
        conversations.record("plan", turn("a"))


def test_the_default_folder_follows_the_configuration(monkeypatch, tmp_path):
    """Conversations are beside the package's other state, not among the profiles."""
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path))
    assert Conversations().folder == tmp_path / "llx_magic" / "conversations"


def test_turns_are_facts():
    """A turn cannot be changed, only replaced by another."""
    with pytest.raises(AttributeError):
        turn("a").prompt = "other"
    assert replace(turn("a"), prompt="other").prompt == "other"


def run_of(conversations: Conversations, name: str | None, prompts_: list[str]) -> list[list[str]]:
    """Ask as a notebook that a program executes; return what each prompt was sent with."""
    sent = []
    for prompt in prompts_:
        place = conversations.next_place(name)
        sent.append([message.text for message in conversations.before(name, place).messages])
        conversations.record(name, turn(place, prompt))
    return sent


def test_each_run_of_a_notebook_sends_the_same(tmp_path):
    """A process is a run: the n-th prompt takes the place of the n-th of the last run, and later ones are not sent."""
    runs = [run_of(Conversations(tmp_path), "plan", ["one", "two", "three"]) for _ in range(3)]
    assert runs[0] == [[], ["one", "re: one"], ["one", "re: one", "two", "re: two"]]
    assert runs[0] == runs[1] == runs[2]
    assert prompts(Conversations(tmp_path), "plan") == ["one", "two", "three"]


def test_a_run_keeps_the_turns_made_by_hand_and_sends_them_each_time(tmp_path):
    Conversations(tmp_path).record("plan", turn("a cell", "by hand"))
    runs = [run_of(Conversations(tmp_path), "plan", ["one"]) for _ in range(2)]
    assert runs == [[["by hand", "re: by hand"]]] * 2
    assert prompts(Conversations(tmp_path), "plan") == ["by hand", "one"]


def test_a_notebook_with_other_prompts_takes_the_places_of_its_last_run(tmp_path):
    run_of(Conversations(tmp_path), "plan", ["one", "two"])
    assert run_of(Conversations(tmp_path), "plan", ["uno"]) == [[]]
    assert prompts(Conversations(tmp_path), "plan") == ["uno", "two"]


def test_places_are_counted_in_each_conversation(tmp_path):
    conversations = Conversations(tmp_path)
    assert [conversations.next_place(name) for name in ("a", "b", "a", None)] == ["a 1", "b 1", "a 2", " 1"]
