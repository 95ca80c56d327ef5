"""The bar of a run over rows in a cell: one output, redrawn, and plain lines where nothing can be redrawn."""

from __future__ import annotations

from llx_magic.core.progress import MapProgress, Share
from llx_magic.notebook.map_view import CellBar, map_view
from llx_magic.observe.bars import AT_MOST_EVERY, StillLines
from tests.notebook.kit import PlainShell, RedrawingShell
from tests.notebook.test_view import Recorder


def moment(done: int) -> MapProgress:
    share = Share(name="fast", answered=done, in_flight=4, level=8, state="closed")
    return MapProgress(at=10.0, began=0.0, total=100, done=done, shares=(share,))


def test_the_bar_is_one_output_that_is_redrawn():
    screen = Recorder()
    bar = CellBar(screen)
    for done in range(3):
        bar.draw([moment(done)])
    assert screen.replaced == [False, True, True]


def test_moments_that_came_together_are_drawn_once():
    screen = Recorder()
    CellBar(screen).draw([moment(1), moment(2), moment(3)])
    assert [bundle["text/plain"].partition(" · ")[0] for bundle in screen.bundles] == ["3 of 100 rows"]


def test_nothing_is_sent_where_nothing_has_changed():
    screen = Recorder()
    bar = CellBar(screen)
    bar.draw([moment(1)])
    bar.draw([])
    bar.draw([moment(1)])
    assert len(screen.bundles) == 1


def test_it_asks_to_be_drawn_at_most_four_times_a_second():
    assert CellBar(Recorder()).draw([moment(1)]) == AT_MOST_EVERY == 0.25


def test_the_output_holds_the_same_in_plain_text():
    screen = Recorder()
    CellBar(screen).draw([moment(50)])
    assert "fast 100.0% of the replies, 4 of 8 in flight" in screen.plain
    assert "fast" in screen.html


def test_a_front_end_that_can_redraw_gets_the_bar():
    assert isinstance(map_view(RedrawingShell(), "auto"), CellBar)


def test_one_that_cannot_gets_lines():
    assert isinstance(map_view(RedrawingShell(), "never"), StillLines)


def test_a_shell_without_a_kernel_and_without_a_terminal_gets_lines():
    assert isinstance(map_view(PlainShell(), "auto"), StillLines)
