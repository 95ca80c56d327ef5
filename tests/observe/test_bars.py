"""What is written while rows are asked: in terminals of every width, in files, in pipes."""

from __future__ import annotations

import io
import os

import pytest

from llx_magic.core.events import SubProfileSelected
from llx_magic.core.progress import MapProgress
from llx_magic.engine.clocks import ManualClock
from llx_magic.observe.bars import (
    AT_MOST_EVERY,
    STILL_SECONDS,
    MapView,
    QuietMap,
    StillLines,
    TerminalBar,
    view_on,
)


def moment(done: int, at: float = 10.0) -> MapProgress:
    return MapProgress(at=at, began=0.0, total=100, done=done)


class Screen(io.StringIO):
    """A terminal of one line: what a person sees on it at last."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def seen(self) -> str:
        line: list[str] = []
        for each in self.getvalue().rpartition("\n")[2].split("\r"):
            line[: len(each)] = each
        return "".join(line).rstrip()


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.usefixtures("wide")
def test_a_terminal_shows_the_latest_moment_and_nothing_of_a_longer_earlier_line():
    screen = Screen()
    bar = TerminalBar(screen)
    bar.draw([MapProgress(at=10.0, began=0.0, total=100, done=1, waiting_for="the rate limit of fast, 12 s")])
    bar.draw([moment(2)])
    assert screen.seen().startswith("  2% |")
    assert "waiting" not in screen.seen()


@pytest.mark.usefixtures("wide")
def test_a_bar_that_is_closed_leaves_an_empty_line():
    screen = Screen()
    bar = TerminalBar(screen)
    bar.draw([moment(2)])
    bar.close()
    assert screen.seen() == ""
    assert "\n" not in screen.getvalue()


@pytest.mark.usefixtures("wide")
def test_no_escape_sequence_is_written_to_a_terminal():
    screen = Screen()
    bar = TerminalBar(screen)
    bar.draw([moment(2)])
    bar.close()
    assert "\x1b" not in screen.getvalue()


def test_a_terminal_that_was_made_narrower_gets_a_narrower_bar(monkeypatch: pytest.MonkeyPatch):
    screen = Screen()
    bar = TerminalBar(screen)
    widths = []
    for columns in (100, 30):
        monkeypatch.setenv("COLUMNS", str(columns))
        bar.close()
        screen.truncate(0)
        screen.seek(0)
        bar.draw([moment(2)])
        widths.append(len(screen.seen()))
    assert widths[0] > 30 > widths[1]


@pytest.mark.usefixtures("wide")
def test_a_debug_line_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLXPRT_DEBUG", "llxprt:*")
    screen = Screen()
    bar = TerminalBar(screen)
    bar.draw([moment(2)])
    bar.draw([SubProfileSelected(at=1.0, request=1, backend="b", policy="roundrobin"), moment(3)])
    above, _, below = screen.getvalue().rpartition("\n")
    assert above.endswith("b")
    assert "3% |" in below


@pytest.mark.usefixtures("wide")
def test_of_two_runs_at_once_a_terminal_shows_one_and_the_other_when_that_has_ended():
    screen = Screen()
    first, second = TerminalBar(screen), TerminalBar(screen)
    first.draw([moment(2)])
    second.draw([moment(50)])
    assert screen.seen().startswith("  2% |")
    second.close()
    assert screen.seen().startswith("  2% |")
    first.close()
    second.draw([moment(60)])
    assert screen.seen().startswith(" 60% |")


def test_a_file_gets_a_line_each_half_minute_and_no_control_character():
    clock, told = ManualClock(), list[str]()
    lines = StillLines(told.append, clock.now)
    for second in range(100):
        lines.draw([moment(second, at=float(second))])
        clock.advance(1)
    lines.close()
    assert [line.partition(" · ")[0] for line in told] == [f"{n} of 100 rows" for n in (30, 60, 90)]
    assert all(line.isprintable() for line in told)


def test_a_run_shorter_than_that_writes_nothing_into_a_file():
    clock, told = ManualClock(), list[str]()
    lines = StillLines(told.append, clock.now)
    lines.draw([moment(1)])
    clock.advance(STILL_SECONDS - 1)
    lines.draw([moment(99)])
    assert told == []


@pytest.mark.parametrize("view", [QuietMap(), StillLines(print), TerminalBar(Screen())])
def test_every_view_asks_to_be_drawn_at_most_four_times_a_second(view: MapView):
    assert view.draw([moment(1)]) == AT_MOST_EVERY == 0.25


def test_a_pipe_is_no_terminal():
    assert isinstance(view_on(io.StringIO()), StillLines)


def test_a_terminal_gets_a_bar_unless_it_cannot_go_back_on_its_line(monkeypatch: pytest.MonkeyPatch):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as out:
        monkeypatch.setenv("TERM", "xterm")
        assert isinstance(view_on(out), TerminalBar)
        monkeypatch.setenv("TERM", "dumb")
        assert isinstance(view_on(out), StillLines)
    os.close(ours)
