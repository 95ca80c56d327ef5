"""A sample of the fault table through ``%%llx`` in a real shell: what a person sees of it."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from llx_magic.commands.footer import NOTE_LENGTH
from llx_magic.errors import AllBackendsFailed
from tests.faults.matrix import (
    ACCESS,
    FILTER,
    FIRST_TEXT,
    FIRST_WORDS,
    KEY_ECHO,
    LENGTH,
    LIMIT_LONG,
    NO_CONNECTION,
    NO_REPLY,
    REDIRECT,
    ROWS,
    SECOND_TEXT,
    SEEN,
    SERVER_FAULT,
    SILENT,
    TLS,
    TOO_MUCH,
    Row,
    script,
)
from tests.faults.server import FaultServer
from tests.faults.stage import PROMPT, Stage, keys_in, stage_of, staged, surround, write_profiles
from tests.notebook.kit import PlainShell, Ran, RedrawingShell, User, opened

CELL = f"%%llx\n{PROMPT}"


def find(fault: str, variant: str) -> Row:
    [found] = [row for row in ROWS if (row.fault, row.variant) == (fault, variant)]
    return found


ANSWERED = [
    find(ACCESS, "401"),
    find(KEY_ECHO, "echo-key"),
    find(SERVER_FAULT, "503"),
    find(LIMIT_LONG, "120 s"),
    find(NO_CONNECTION, "refused"),
    find(TLS, "self-signed"),
    find(SILENT, "no-headers"),
    find(NO_REPLY, "ok-html"),
    find(NO_REPLY, "stop-without-text"),
    find(REDIRECT, "redirect"),
    find(TOO_MUCH, "endless-body"),
    find(FILTER, "policy, failover asked for"),
]
"""Faults before any text: the second backend answers, and the line below says why."""

WITHDRAWN = [find(SEEN, "stall"), find(SEEN, "text-then-end"), find(KEY_ECHO, "echo-key-in-stream")]
"""Faults after some text: what was shown is withdrawn."""


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """A configuration folder of the test's own, and keys in the environment."""
    surround(tmp_path, monkeypatch)


@dataclass
class Desk:
    """A user at a shell, with both backends loaded."""

    user: User
    stage: Stage

    def ask(self) -> Ran:
        """Run a prompt cell; in whatever comes of it there is no traceback and no key."""
        ran = self.user(CELL)
        self.assert_clean(ran)
        return ran

    def assert_clean(self, ran: Ran) -> None:
        shown = [ran.printed, ran.complained, repr(ran.value), repr(ran.error), repr(ran.shown)]
        for line in ("%llx_log -n 1000", "%llx_trace", "%llx_stats lb", "%llx_profile show both"):
            looked = self.user(line).fine()
            shown += [looked.printed, repr(looked.value), repr(looked.shown)]
        whole = "\n".join(shown)
        assert not keys_in(whole), whole
        assert "Traceback" not in whole
        assert ran.complained == ""


@pytest.fixture(params=[PlainShell, RedrawingShell], ids=["terminal", "kernel"])
def kind(request) -> type:
    """A shell that prints, and one whose output is redrawn."""
    return request.param


@contextlib.contextmanager
def at(stage: Stage, kind: type, home: Path, row: Row) -> Iterator[Desk]:
    """Open a shell, in its most talkative mode, with the profile of the two backends loaded."""
    write_profiles(home, stage, row)
    with opened(kind) as user:
        user("%xmode Verbose").fine()
        user("%llx_profile load both").fine()
        yield Desk(user, stage)


def last_plain(ran: Ran) -> str:
    """Return the text form of what the output shows at its end."""
    return ran.shown[-1]["data"]["text/plain"] if ran.shown else ran.printed


def footer_of(ran: Ran) -> str:
    """Return the one line under the reply, which must be the last."""
    return last_plain(ran).strip().splitlines()[-1]


@pytest.mark.parametrize("row", ANSWERED, ids=lambda row: f"{row.fault}: {row.variant}")
def test_the_second_backend_answers_and_the_line_below_says_why(row, kind, tmp_path, monkeypatch):
    """The reply is the second one's text alone; there is one quiet line, and no error."""
    with stage_of(row, monkeypatch) as stage, at(stage, kind, tmp_path, row) as desk:
        ran = desk.ask().fine()
        [note] = desk.user.last.notes
        assert re.search(row.says, note)
        assert last_plain(ran).split("\n", 1)[0] == desk.user.last.text == SECOND_TEXT
        assert footer_of(ran).startswith("second (second-model) · ")
        assert note[:NOTE_LENGTH].removesuffix("…")[:90] in footer_of(ran)
        assert last_plain(ran).replace(SECOND_TEXT, "").strip() == footer_of(ran)
        assert len(stage.first.requests) == row.expected_requests


@pytest.mark.parametrize("row", WITHDRAWN, ids=lambda row: f"{row.fault}: {row.variant}")
def test_a_reply_that_breaks_off_is_withdrawn_before_the_reader_s_eyes(row, kind, tmp_path, monkeypatch):
    """A redrawn output keeps nothing of it; a terminal draws a line that says so and starts below."""
    with stage_of(row, monkeypatch) as stage, at(stage, kind, tmp_path, row) as desk:
        ran = desk.ask().fine()
        assert desk.user.last.text == SECOND_TEXT
        assert "restarted" in footer_of(ran)
        if ran.shown:
            final = ran.shown[-1]
            assert final["update"]
            assert FIRST_WORDS.strip() not in final["data"]["text/plain"]
            assert final["data"]["text/html"].count(SECOND_TEXT) == 1
            assert FIRST_WORDS.strip() not in final["data"]["text/html"].split("<details", 1)[0]
        else:
            before, rule, after = re.split(r"(?m)^(---- first broke off .*: the text above is withdrawn, asking"
                                           r" second ----)$", ran.printed)  # fmt: skip
            assert before.strip() == FIRST_WORDS.strip()
            assert rule.isprintable()
            assert after.strip().splitlines() == [SECOND_TEXT, footer_of(ran)]


def test_the_restart_is_seen_while_it_happens(tmp_path, monkeypatch):
    """The words were shown, then the line that says who broke off and who is asked."""
    row = find(SEEN, "stall")
    with stage_of(row, monkeypatch) as stage, at(stage, RedrawingShell, tmp_path, row) as desk:
        stage.second.set_default("ok-when-released")
        threading.Thread(target=lambda: stage.second.reached.wait(20) and release_soon(stage), daemon=True).start()
        ran = desk.ask().fine()
        pictures = [each["data"]["text/html"] for each in ran.shown]
        with_words = [number for number, picture in enumerate(pictures) if FIRST_WORDS.strip() in picture]
        told = [number for number, picture in enumerate(pictures[:-1]) if "first broke off (no further" in picture]
        assert with_words
        assert told
        assert max(with_words) < min(told)
        assert "asking second" in pictures[told[0]]


def release_soon(stage: Stage) -> None:
    """Let the second backend answer once the output has had time to be redrawn."""
    time.sleep(0.5)
    stage.second.release()


def test_a_reply_that_was_cut_says_so(kind, tmp_path, monkeypatch):
    """It is shown, and flagged."""
    row = find(LENGTH, "length")
    with stage_of(row, monkeypatch) as stage, at(stage, kind, tmp_path, row) as desk:
        ran = desk.ask().fine()
        assert last_plain(ran).startswith(FIRST_WORDS.strip())
        assert footer_of(ran).endswith("cut at max_tokens")


NOBODY_CASES = {
    "all refuse": (
        "400",
        "422",
        r"first refused the request: 400 Bad Request: scripted.*\n.*\n  second  422 ",
    ),
    "all fail": ("503", "401", r"no backend could answer: 2 failed\n  first   503 .*\n  second  401 Unauthorized"),
    "a content filter": ("policy", "ok", r"filtered by first: 400 Bad Request: no; no further backend was asked"),
}


@pytest.mark.parametrize(("first", "second", "says"), NOBODY_CASES.values(), ids=NOBODY_CASES)
def test_where_nobody_answers_the_error_has_a_line_for_each_backend(first, second, says, kind, tmp_path):
    """However talkative the shell: no traceback, every backend named."""
    row = find(SERVER_FAULT, "503")
    with staged(*script((first,)), second=script((second,))[0]) as stage, at(stage, kind, tmp_path, row) as desk:
        ran = desk.ask()
        assert isinstance(ran.error, AllBackendsFailed)
        assert re.search(says, ran.failure)
        assert ran.printed.strip() == ran.failure


def test_where_nobody_finishes_the_text_stays_and_is_marked(kind, tmp_path):
    """What had come may still be of use, but it must not look like a reply."""
    row = find(SERVER_FAULT, "503")
    broken = script(("text-then-end",))[0]
    with staged(broken, second="401") as stage, at(stage, kind, tmp_path, row) as desk:
        ran = desk.ask()
        headline, first, _second = ran.failure.splitlines()
        assert headline == "AllBackendsFailed: no backend could answer: 2 failed"
        assert first.startswith("  first   the stream ended before")
        assert not desk.user.last.ok
        assert desk.user.last.text == FIRST_WORDS
        if kind is PlainShell:
            assert FIRST_WORDS.strip() in ran.printed
        assert "Traceback" not in ran.printed


def test_where_every_circuit_is_open_the_error_names_the_seconds_and_nothing_is_sent(kind, tmp_path):
    """At once, for each backend, with its last error."""
    row = find(ACCESS, "401")
    with staged("401", second="403") as stage, at(stage, kind, tmp_path, row) as desk:
        desk.ask()  # the threshold is one
        before = [(server.connections, len(server.requests)) for server in (stage.first, stage.second)]
        ran = desk.ask()
        assert [(server.connections, len(server.requests)) for server in (stage.first, stage.second)] == before
        for name, status in (("first", "401 Unauthorized"), ("second", "403 Forbidden")):
            assert re.search(rf"  {name} +circuit open; its last error: {status}.*?\(may be tried again in \d+ s\); "
                             rf"%llx_circuit close {name} ends that", ran.failure), ran.failure  # fmt: skip
        assert ran.printed.strip() == ran.failure


@pytest.mark.posix("signals end a process on Windows in another way")
@pytest.mark.parametrize("mode", ["no-headers", "role-then-silence", "stall", "503"])
def test_an_interrupt_stops_the_prompt_in_one_line_and_nothing_is_held_against_the_backend(mode, kind, tmp_path):
    """The connection is closed at once, nobody else is asked, and what had come stays, marked."""
    row = find(SERVER_FAULT, "503 once, then an answer")
    waiting = replace(row, settings={"failover_retry_delay_ms": 600_000} if mode == "503" else {})
    with staged(*script((mode,))) as stage, at(stage, kind, tmp_path, waiting) as desk:
        interrupt = threading.Thread(target=interrupt_once, args=(stage.first, mode), daemon=True)
        interrupt.start()
        ran = desk.ask()
        interrupt.join(20)
        assert isinstance(ran.error, KeyboardInterrupt)
        assert ran.failure == "KeyboardInterrupt: the prompt was interrupted"
        assert ran.printed.rstrip().endswith(ran.failure)
        assert not stage.second.requests
        if mode != "503":
            assert stage.first.requests[-1].disconnected.wait(5)
        if mode == "stall":
            assert FIRST_WORDS.strip() in (last_plain(ran) if ran.shown else ran.printed)
            assert "interrupted: the text above is incomplete" in (last_plain(ran) if ran.shown else ran.printed)
        stats = repr(desk.user("%llx_stats lb").fine().value)
        assert "  first\n    Requests: 1\n    Success Rate: N/A\n" in stats  # neither a success nor a failure
        assert "  first: closed\n" in stats
        stage.first.release()
        stage.first.set_default("ok")
        desk.ask().fine()
        assert desk.user.last.text == FIRST_TEXT


def interrupt_once(server: FaultServer, mode: str) -> None:
    """Interrupt the main thread as a front end does, once the first backend is where it should be."""
    if mode == "503":
        server.wait_for_requests(1)
        server.requests[-1].answered.wait(10)
    else:
        server.reached.wait(10)
    time.sleep(0.4)  # so that what was sent has been read, and shown
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
