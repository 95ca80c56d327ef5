"""The dashboard in a shell: one for each profile, live, with controls, and an end that leaves a picture."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llx_magic.commands.reading import Reading
from llx_magic.commands.table import COMMANDS
from llx_magic.commands.where import Where
from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.parts.part import Piece
from llx_magic.dashboard.view import View
from llx_magic.engine.clocks import ManualClock
from llx_magic.errors import AllBackendsFailed, LlxError
from llx_magic.notebook.dashboard_widget import Dashboard
from llx_magic.notebook.dashboards import Dashboards, Painter
from llx_magic.notebook.pieces import AT_MOST_BYTES, Pieces
from llx_magic.notebook.still import Bundle
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import balancer, simulated
from tests.notebook.kit import PlainShell, RedrawingShell, User, opened, wait_until

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def trio() -> LoadBalancer:
    """Three backends whose first always fails; time stands still."""
    members = (simulated("bad", "503"), simulated("good"), simulated("spare"))
    return balancer(*members, clock=ManualClock(), circuit_breaker_failure_threshold=2)


@pytest.fixture
def other() -> LoadBalancer:
    return LoadBalancer(balancer(simulated("x"), simulated("y")).profile, clock=ManualClock())


@pytest.fixture
def shell() -> Iterator[User]:
    with opened(RedrawingShell) as user:
        yield user


@pytest.fixture
def dashboards(shell: User, trio: LoadBalancer) -> Iterator[Dashboards]:
    found = Dashboards(shell.shell, lambda: (trio,))
    yield found
    found.close()


@pytest.fixture
def shown(dashboards: Dashboards, trio: LoadBalancer) -> Dashboard:
    dashboards.show(trio)
    dashboard = dashboards.get(trio)
    assert dashboard is not None
    return dashboard


def unattended(lb: LoadBalancer) -> Dashboard:
    """A dashboard that pushes only when it is told to."""
    dashboard = Dashboard("alone", lambda: (lb,), lambda: None, lambda _dashboard, _last: None)
    dashboard.follow(lb)
    return dashboard


def ask(lb: LoadBalancer, times: int = 1) -> None:
    async def all_of_them() -> None:
        for _ in range(times):
            await lb.ask("why")

    asyncio.run(all_of_them())


def settle(dashboard: Dashboard) -> None:
    while dashboard.push():
        pass


def part(dashboard: Dashboard, name: str = "backend 1") -> str:
    settle(dashboard)
    return now(dashboard, name)


def now(dashboard: Dashboard, name: str = "backend 1") -> str:
    """What a piece shows, with plain spaces, without a push; empty before there is one."""
    return dashboard._pieces.shown(name).replace("\N{NO-BREAK SPACE}", " ")


def painters() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llx_magic dashboard"]


def test_displayed_twice_it_is_one_widget(shell: User, shown: Dashboard, dashboards: Dashboards, trio) -> None:
    """Two views of one model cannot disagree."""
    dashboards.show(trio)
    first, second = (output["data"][WIDGET]["model_id"] for output in shell.display.outputs[::2])
    assert first == second


def test_a_saved_notebook_has_a_dated_table_and_picture_below_the_widget(shell: User, shown: Dashboard) -> None:
    """Where there are no widgets nothing of the first output is to be seen."""
    live, still = (output["data"] for output in shell.display.outputs)
    assert (live["text/plain"], live["text/html"]) == ("", "")
    assert WIDGET not in still
    assert "Load Balancer Statistics" in still["text/plain"]
    assert "class='llx-still'" in still["text/html"]
    assert "<img " in still["text/html"]
    for said in still.values():
        assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S", said)


def test_what_is_saved_is_brought_up_to_date_at_the_end_of_a_cell(shell: User, shown: Dashboard, trio) -> None:
    """Saved after a cell, the notebook shows the state after it; a cell that changed nothing sends nothing."""
    display = shell.display.outputs[1]["transient"]["display_id"]
    assert shell("pass").shown == []
    shell["change"] = lambda: trio.open_circuit("good")
    (update,) = shell("change()").fine().shown
    assert update["update"]
    assert update["transient"]["display_id"] == display
    assert "good: open" in update["data"]["text/plain"]
    assert WIDGET not in update["data"]


def test_a_cell_that_runs_again_shows_it_anew_and_is_updated_once(shell: User, shown: Dashboard, dashboards, trio):
    """What it showed before is gone with the cell's old output, so nothing is sent for it any more."""
    for _ in range(3):
        dashboards.show(trio)
    front_end: Any = shell.shell
    front_end.kernel.cell = "another-cell"
    dashboards.show(trio)
    latest = {output["transient"]["display_id"] for output in shell.display.outputs[-3::2]}
    shell["change"] = lambda: trio.open_circuit("good")
    updates = shell("change()").fine().shown
    assert {update["transient"]["display_id"] for update in updates} == latest


def test_it_shows_what_happens_while_the_main_thread_does_something_else(shown: Dashboard, trio) -> None:
    """The thread pushes by itself; nobody calls anything."""
    ask(trio, 2)
    assert wait_until(lambda: "out, next try in 30 s" in now(shown))
    assert wait_until(lambda: "class='o'" in now(shown))


def test_what_happened_before_it_was_opened_is_there(dashboards: Dashboards, trio) -> None:
    ask(trio, 2)
    dashboards.show(trio)
    dashboard = dashboards.get(trio)
    assert dashboard is not None
    assert "class='o'" in part(dashboard)
    assert "good answered" in part(dashboard, "prompt 2")


def test_a_countdown_counts_down(shown: Dashboard, trio) -> None:
    trio.open_circuit("bad")
    assert "out, next try in 30 s" in part(shown)
    trio._live.clock.advance(1.0)
    assert "out, next try in 29 s" in part(shown)


def test_nothing_is_pushed_where_nothing_changed(trio) -> None:
    shown = unattended(trio)
    ask(trio)
    settle(shown)
    pushed: list[object] = []
    for widget in shown._pieces.box.children:
        widget.observe(pushed.append, "value")
    shown._redraw()
    settle(shown)
    assert pushed == []


def test_a_new_prompt_moves_no_other_piece(trio) -> None:
    """Each place on the screen is sent by itself, so those that stay where they are must not be counted anew."""
    shown = unattended(trio)
    ask(trio, 8)
    settle(shown)
    moved: list[object] = []
    for widget in shown._pieces.box.children:
        widget.layout.observe(moved.append, "order")
    ask(trio)
    settle(shown)
    assert len(moved) == 1


def test_what_is_the_same_as_before_is_not_drawn_again() -> None:
    drawn: list[str] = []

    def piece(of: str) -> Piece:
        return Piece(of, lambda: drawn.append(of) or of)

    pieces = Pieces()
    for second in ("two", "two", "three"):
        pieces.take({"a 1": piece("one"), "b 2": piece(second)})
        while pieces.send():
            pass
    assert drawn == ["one", "two", "three"]
    assert [pieces.shown(name) for name in ("a 1", "b 2")] == ["one", "three"]


def test_one_update_sends_no_more_than_its_share() -> None:
    """What does not fit follows with the next update, until everything is there."""
    many = balancer(
        *(simulated(f"backend-{place}", "503" if place < 7 else "ok") for place in range(8)), clock=ManualClock()
    )
    dashboard = unattended(many)
    sent: list[int] = []
    for widget in dashboard._pieces.box.children:
        widget.observe(lambda change: sent.append(len(change["new"].encode())), "value")
    ask(many, 4)
    updates = []
    more = True
    while more:
        sent.clear()
        more = dashboard.push()
        updates.append(tuple(sent))
    assert len(updates) > 1
    assert all(len(update) == 1 or sum(update) <= AT_MOST_BYTES for update in updates)


def test_a_pause_stops_redrawing_and_its_end_catches_up(shown: Dashboard, trio) -> None:
    before = part(shown)
    shown._pause.value = True
    ask(trio)
    assert part(shown) == before
    shown._pause.value = False
    assert part(shown) != before


def test_a_paused_picture_says_since_when(shown: Dashboard) -> None:
    shown._pause.value = True
    assert re.search(r"role='status'[^>]*white-space:nowrap[^>]*>paused at \d\d:\d\d:\d\d<", shown._paused.value)
    assert shown._pause.description == "Resume"
    shown._pause.value = False
    assert shown._paused.value == ""
    assert shown._pause.description == "Pause"


def test_a_cell_that_runs_again_starts_live(shown: Dashboard, dashboards: Dashboards, trio) -> None:
    shown._pause.value = True
    before = now(shown)
    ask(trio)
    dashboards.show(trio)
    assert not shown._pause.value
    assert part(shown) != before


def test_the_span_can_be_chosen(shown: Dashboard) -> None:
    shown._span.value = 3600.0
    assert "1 h" in part(shown, "headline") or "from the first prompt on" in part(shown, "headline")


def test_circuits_are_opened_and_closed_by_hand(shown: Dashboard, trio) -> None:
    shown._backend.value = "good"
    shown._open_circuit.click()
    assert trio.stats().state["good"] == "open"
    assert "opened by hand" in shown.message
    shown._close_circuit.click()
    assert trio.stats().state["good"] == "closed"


def test_reset_forgets_statistics_and_keeps_circuits(shown: Dashboard, trio) -> None:
    ask(trio, 2)
    shown._reset.click()
    assert trio.snapshot().total_requests == 0
    assert "no prompt yet" in part(shown, "headline")
    assert "out, next try in 30 s" in part(shown)


def test_statistics_reset_elsewhere_are_seen(shown: Dashboard, trio) -> None:
    """%llx_stats --reset tells no event."""
    ask(trio)
    assert "1 of 1 prompt answered" in part(shown, "headline")
    trio.reset_statistics()
    assert "no prompt yet" in part(shown, "headline")


def test_export_names_its_files_and_replaces_none(
    shown: Dashboard, trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ask(trio)
    shown._export.click()
    first = {path.name for path in tmp_path.glob("llx-dashboard-*")}
    assert all(name in html.unescape(shown.message) for name in first)
    shown._export.click()
    second = {path.name for path in tmp_path.glob("llx-dashboard-*")}
    assert len(second) == 2 * len(first)
    assert {Path(name).suffix for name in first} == {".png", ".svg", ".md", ".csv", ".parquet"}
    assert shown.message.startswith(f"<span role='status'>written into {tmp_path}: ")
    (history,) = [name for name in first if name.endswith("-history.csv")]
    assert "answered" in (tmp_path / history).read_text()


def test_a_control_that_fails_says_so_in_one_escaped_line(shown: Dashboard) -> None:
    def fail() -> str:
        raise LlxError("no <b>such</b>\nthing")

    shown._carry_out(fail)
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in shown.message


def test_another_loaded_profile_can_be_chosen(shell: User, trio, other) -> None:
    loaded = [trio]
    found = Dashboards(shell.shell, lambda: loaded)
    object.__setattr__(other.profile, "name", "other")
    try:
        found.show(trio)
        dashboard = found.get(trio)
        assert dashboard is not None
        loaded.append(other)
        settle(dashboard)
        assert [name for name, _ in dashboard._profile.options] == ["lb", "other"]
        dashboard._profile.value = "other"
        assert dashboard._backend.options == ("x", "y")
        assert ">x<" in part(dashboard)
        assert ">bad" not in part(dashboard)
        found.show(trio)
        assert ">bad" in part(dashboard)
    finally:
        found.close()


def test_closing_leaves_a_table_and_a_picture_and_no_thread(shell: User, shown: Dashboard, dashboards, trio) -> None:
    displays = [output["transient"]["display_id"] for output in shell.display.outputs]
    adviser = shown._adviser
    shown._close.click()
    assert adviser is not None
    assert adviser._stopped.is_set()
    ended, last = shell.display.outputs[-2:]
    assert ended["update"]
    assert last["update"]
    assert [each["transient"]["display_id"] for each in (ended, last)] == displays
    assert ended["data"] == {"text/plain": "", "text/html": ""}
    assert set(last["data"]) == {"text/plain", "text/html"}
    assert dashboards.get(trio) is None
    assert trio._live._subscribers == tuple(each for each in trio._live._subscribers if "Dashboard" not in repr(each))
    assert wait_until(lambda: not painters())


class Undrawable(Dashboard):
    """A dashboard whose picture cannot be drawn."""

    def _view(self, snapshot: Snapshot) -> View:
        raise ZeroDivisionError


class Wordless(Dashboard):
    """A dashboard whose state cannot even be told in words."""

    def plain(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("kind", "says"), [(Undrawable, "Load Balancer Statistics"), (Wordless, "could not be drawn; the log says why")]
)
def test_a_dashboard_that_cannot_be_drawn_is_closed_all_the_same_and_leaves_words(
    trio, kind: type[Dashboard], says: str
) -> None:
    left: list[Bundle] = []
    before = trio._live._subscribers
    dashboard = kind("alone", lambda: (trio,), lambda: None, lambda _dashboard, last: left.append(last))
    with contextlib.suppress(ZeroDivisionError):
        dashboard.follow(trio)
    dashboard._close.click()
    (last,) = left
    assert all(says in str(words) for words in last.values())
    assert trio._live._subscribers == before
    assert dashboard.box.comm is None


def test_it_can_be_opened_again_after_it_was_closed(shown: Dashboard, dashboards: Dashboards, trio) -> None:
    shown.close()
    dashboards.show(trio)
    again = dashboards.get(trio)
    assert again is not None
    assert again is not shown
    ask(trio, 2)
    assert wait_until(lambda: "out, next try" in now(again))


def test_all_dashboards_share_one_thread(dashboards: Dashboards, trio, other) -> None:
    dashboards.show(trio)
    dashboards.show(other)
    assert len(painters()) == 1


def test_a_terminal_is_told_and_gets_the_statistics(trio, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(PlainShell) as user:
        Dashboards(user.shell, lambda: ()).show(trio)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("the live dashboard needs a notebook")
    assert "Load Balancer Statistics" in said


def test_without_ipywidgets_it_says_so_and_prints_the_statistics(
    shell: User, trio, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "llx_magic.notebook.dashboard_widget")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    Dashboards(shell.shell, lambda: ()).show(trio)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("the live dashboard needs ipywidgets, which is not installed")
    assert "Load Balancer Statistics" in said


def test_callbacks_requests_and_updates_may_come_from_different_threads(shown: Dashboard, trio) -> None:
    """A widget's callback can run in a thread of its own while a cell asks and the painter pushes."""
    stop = threading.Event()

    def click() -> None:
        while not stop.is_set():
            for control in (shown._open_circuit, shown._close_circuit, shown._reset):
                control.click()
            shown._span.value = 60.0 if shown._span.value == 300.0 else 300.0

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            with contextlib.suppress(AllBackendsFailed):
                ask(trio)
            shown.push()
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    shown._close_circuit.click()
    settle(shown)
    assert not any(thread.is_alive() for thread in threads)


def test_a_fault_in_one_update_does_not_end_the_next(shown: Dashboard) -> None:
    """The painter goes on after what it was given to do asked for more."""
    turns: list[int] = []
    painter = Painter(lambda: bool(turns.append(1)) or len(turns) < 3)
    painter.start()
    painter.wake()
    assert wait_until(lambda: len(turns) >= 3)
    painter.stop()
    assert len(painters()) == 1  # that of the dashboard


def test_the_magics_grammar_takes_a_profile() -> None:
    reading = Reading(COMMANDS["dashboard"].load(), "%llx_dashboard", Where.NOTEBOOK)
    for word in ("-p", "demo"):
        reading.take(word)
    assert reading.asked().get("profile") == "demo"
