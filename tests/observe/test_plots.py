"""Plots: shown without pyplot, told apart without colour, and fit for one backend, many and none."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import re
import subprocess
import sys
import time
import warnings

import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.tokens import TokenWindow
from llx_magic.core.trace import NOTHING_ASKED, Trace
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe.frames.frames import circuit_frame, cool_downs_frame, curves_frame, visits_frame
from llx_magic.observe.frames.remembered import tpm_frame
from llx_magic.observe.palette import ANSWERED, COOLING, FAILED, PROBE
from llx_magic.observe.plots.marks import LOOKS, ROW
from llx_magic.observe.plots.plots import plot_circuit, plot_latency, plot_tpm
from llx_magic.observe.plots.scales import LogScale
from llx_magic.observe.plots.waterfall import plot_waterfall
from llx_magic.units import duration
from tests.engine.kit import balancer, block, circuit_changed, clock_of, simulated

PLOTS = ("plot_circuit", "plot_latency", "plot_tpm", "plot_waterfall")


def busy(backends: int = 3, scripts: tuple[str, ...] = ("ok,503,503,503,ok", "cut:2,ok", "ok"), **settings):
    members = [
        simulated(f"backend-{place}", scripts[place % len(scripts)], latency_ms=200, tokens_per_second=50, cycle=True)
        for place in range(backends)
    ]
    lb = balancer(*members, **settings)

    async def main() -> None:
        for _ in range(12):
            try:
                await lb.ask("why")
            except AllBackendsFailed:
                assert backends == 1
            clock_of(lb).advance(20)

    asyncio.run(main())
    return lb


def texts(ax: Axes) -> list[str]:
    """All that is written on the figure."""
    from matplotlib.text import Text

    ax.figure.canvas.draw()
    return [text.get_text() for text in ax.figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_shown_as_a_picture_where_it_is_the_value_of_a_cell(name):
    ax = getattr(busy(), name)()
    for shown in (ax, ax.figure):
        bundle, metadata = DisplayFormatter().format(shown)
        assert bundle["image/png"].startswith(b"\x89PNG") or bundle["image/png"].startswith("iVBOR")
        assert metadata["image/png"]["width"] == 768
        assert bundle["text/html"].startswith("<div><svg ")


def test_drawing_and_showing_leave_pyplot_alone():
    code = (
        "import sys\nfrom tests.observe.test_plots import busy, PLOTS\nlb = busy()\n"
        "[getattr(lb, name)()._repr_png_() for name in PLOTS]\nprint('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_goes_on_the_axes_that_are_given(name):
    mine = Figure().add_subplot()
    assert getattr(busy(), name)(ax=mine) is mine
    assert mine.has_data()
    assert not hasattr(mine, "_repr_png_")


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_of_nothing_says_so(name):
    ax = getattr(balancer(simulated("a"), simulated("b")), name)()
    assert NOTHING_ASKED in texts(ax)
    assert ax.get_title(loc="left")


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("backends", [1, 3, 9])
def test_no_text_leaves_the_figure_or_overlaps_a_neighbour_on_the_axis(name, backends):
    ax = getattr(busy(backends), name)()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ax.figure.savefig(io.BytesIO(), format="png")
    page = ax.figure.bbox
    begin, end = ax.get_xlim()
    ticks = [label for label in ax.get_xticklabels() if label.get_text() and begin <= label.get_position()[0] <= end]
    drawn = [ax._left_title, *ticks, *ax.get_yticklabels(), ax.xaxis.label]
    drawn += ax.get_legend().get_texts() if ax.get_legend() else []
    for box in (text.get_window_extent() for text in drawn if text.get_text()):
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1
    boxes = sorted((label.get_window_extent() for label in ticks), key=lambda box: box.x0)
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))


@pytest.mark.parametrize("name", PLOTS)
def test_axes_name_their_unit(name):
    ax = getattr(busy(), name)()
    assert ax.get_xlabel() in ("seconds since the simulation began", "time from the start of the request")
    titles = {"plot_circuit": "Circuits", "plot_latency": "Seconds of each visit", "plot_tpm": "Tokens per minute"}
    assert ax.get_title(loc="left") == titles.get(name, ax.get_title(loc="left"))


def test_states_differ_in_height_and_hatching_and_not_in_colour_alone():
    lb = busy()
    lb.open_circuit("backend-2")
    clock_of(lb).advance(60)
    lb.close_circuit("backend-2")
    ax = lb.plot_circuit()
    heights = {round(bar.get_paths()[0].get_extents().height, 2) for bar in ax.collections}
    hatches = {bar.get_hatch() for bar in ax.collections}
    assert len(heights) == len(hatches) == 3
    assert {"closed", "open", "half-open", "by hand"} <= set(texts(ax))


@pytest.mark.parametrize("name", ["plot_circuit", "plot_latency", "plot_tpm"])
def test_every_backend_has_a_row_by_priority_over_one_axis_of_time(name):
    lb = busy(9, ("ok",), order="roundrobin")
    labels = [text.splitlines()[0] for text in ticks(getattr(lb, name)().yaxis)]
    assert labels == [f"backend-{place}" for place in range(9)]


def test_what_pictures_say_by_colour_can_be_seen_on_light_and_on_dark_paper():
    for colour in (ANSWERED, FAILED, COOLING, PROBE):
        assert contrast(colour, "#ffffff") >= 3
        assert contrast(colour, "#111111") >= 3


def contrast(one: str, other: str) -> float:
    """The contrast of two colours: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", PLOTS)
def test_ink_and_paper_are_those_of_the_notebooks_theme(name):
    shown = getattr(busy(), name)()._repr_html_()
    assert "var(--jp-content-font-color1" in shown
    assert "var(--jp-layout-color0" in shown
    assert not re.search(r"(?:fill|stroke): (?:#000000|#ffffff|black|white)", shown)


def test_a_style_that_the_user_has_chosen_holds():
    with style.context("dark_background"):
        ax = busy().plot_circuit()
        assert ax.get_facecolor() == (0.0, 0.0, 0.0, 1.0)
        assert "--jp-" not in ax._repr_html_()


def test_a_picture_says_what_it_shows_and_nothing_in_it_is_markup():
    shown = busy().plot_waterfall()._repr_html_()
    assert 'role="img" aria-label="Request 12: ' in shown
    assert not re.search(r"<!--|<script|<metadata|<text|onload", shown)


def balancer_of_one():
    lb = balancer(simulated("a", latency_ms=500))
    asyncio.run(lb.ask("why"))
    return lb


def test_limits_in_force_are_drawn_and_a_distant_one_is_named():
    lb = busy(tpm_threshold=20, timeout_ms=500)
    assert any("floor 20" in text for text in texts(lb.plot_tpm()))
    assert "timeout 500 ms" in texts(lb.plot_latency())
    far = busy(timeout_ms=600_000).plot_latency()
    assert "timeout 10 min, above the scale" in texts(far)


def test_a_failed_visit_is_a_cross_with_its_reason_beside_the_first_of_each():
    lb = balancer(simulated("a", "ok,503,503,503,ok", latency_ms=200, cycle=True), simulated("b", latency_ms=900),
                  failover_retry_count=1, circuit_breaker_failure_threshold=9)  # fmt: skip

    async def main() -> None:
        for _ in range(6):
            await lb.ask("why")
            clock_of(lb).advance(20)

    asyncio.run(main())
    ax = lb.plot_latency()
    crosses = [line for line in ax.lines if line.get_marker() == "x" and line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in crosses] == [3]
    assert texts(ax).count("503") == 1
    assert {"answered", "failed"} <= set(texts(ax))
    assert "b\nhalf within 900 ms" in ticks(ax.yaxis)


def test_the_middle_of_the_times_is_that_of_the_statistics():
    lb = busy()
    median = lb.snapshot().backends[2].p50_latency
    assert f"backend-2\nhalf within {duration(median)}" in ticks(lb.plot_latency().yaxis)


@pytest.mark.parametrize("seconds", [(0.0002,), (540.0,), (0.0002, 540.0), (0.0,), (1.0, 1.1)])
def test_seconds_of_any_size_stay_within_their_row_and_have_a_scale(seconds):
    scale = LogScale(seconds)
    assert all(abs(scale.height(each, 3) - 3) <= ROW / 2 + 1e-9 for each in seconds)
    assert 1 < len(scale._lines) <= 3


def test_time_is_that_of_the_users_zone(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        events = [facts.VisitCancelled(at=1_767_225_600.5, request=1, backend="a", attempts=1, seconds=0.5)]
        circuit, cool_downs = circuit_frame([], {}, 0, 9, 0.0), cool_downs_frame([], 0.0)
        ax = plot_latency(visits_frame(events, 0.0), circuit, cool_downs, {"a": None})
        [at] = next(line for line in ax.lines if line.get_marker() == "o").get_xdata()
        written = [ax.get_xlabel(), *ticks(ax.xaxis), ax.xaxis.get_offset_text().get_text()]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert num2date(at).isoformat() == "2026-01-01T00:00:00.500000+00:00"
    assert "time (JST)" in written
    assert any(text.startswith("09:00") for text in written)


def test_simulated_time_is_seconds_from_its_beginning_and_no_date():
    for name in ("plot_circuit", "plot_latency", "plot_tpm"):
        ax = getattr(busy(), name)()
        shown = [float(text.replace(",", "")) for text in ticks(ax.xaxis)]
        assert 3 <= len(shown) <= 10
        assert shown[0] == 0
        assert 200 <= shown[-1] <= 300
        assert ax.xaxis.get_offset_text().get_text() == ""


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def minutes(lb) -> list[tuple[float, float]]:
    """The points of the only row's curve as minutes from its beginning and tokens per minute."""
    line = next(line for line in lb.plot_tpm().lines if line.get_marker() == "o")
    top = lb.tpm().tpm.max()
    begin = line.get_xdata()[0]
    heights = [(ROW / 2 - high) / ROW * top for high in line.get_ydata()]
    return [(round((at - begin) * 24 * 60, 2), rate) for at, rate in zip(line.get_xdata(), heights, strict=True)]


def replied_at(*moments: float, **settings):
    lb = balancer(simulated("a", latency_ms=1000, prompt_tokens=0, completion_tokens=60), **settings)
    for at in moments:
        clock_of(lb).advance(at - clock_of(lb).now())
        asyncio.run(lb.ask("why"))
    return lb


def test_the_rate_falls_while_nothing_comes_and_there_is_a_gap_after_five_minutes():
    lb = replied_at(0, 1200)
    clock_of(lb).advance(60)
    curve = minutes(lb)
    window = TokenWindow()
    window.add(0, 1, 60)
    told = [(at, rate) for at, rate in curve if at < 5]
    assert len(told) > 50
    assert all(rate == pytest.approx(window.rate(1 + 60 * at, "elapsed"), rel=0.02) for at, rate in told)
    assert all(math.isnan(rate) for at, rate in curve if 5 <= at < 20)
    assert curve[-1][1] == pytest.approx(60 / (61 / 60))


def test_nothing_is_drawn_between_replies_whose_rate_is_not_known_there():
    """After a reset the replies before it still count, and nobody remembers them."""
    lb = replied_at(*range(0, 60, 2))
    lb.reset_statistics()
    asyncio.run(lb.ask("why"))
    clock_of(lb).advance(30)
    curve = minutes(lb)
    assert curve[0][1] == pytest.approx(lb.tpm().tpm[0])
    assert all(math.isnan(rate) for _at, rate in curve[1:])


def test_a_cool_down_is_seen_and_explained():
    lb = balancer(simulated("a", "429:30"), simulated("b"))
    asyncio.run(lb.ask("why"))
    clock_of(lb).advance(60)
    ax = lb.plot_circuit()
    assert "cooling down" in texts(ax)
    [drawn] = [each for each in ax.collections if each.get_hatch() == LOOKS["cooling down"].hatch]
    [bar] = drawn.get_paths()
    assert bar.get_extents().width * 86_400 == pytest.approx(30)


def test_thousands_of_intervals_are_one_path_for_each_state_and_lane():
    events: list[facts.Event] = []
    for at in range(0, 9000, 3):
        events += [
            circuit_changed(at, Cause.FAILURES, failures=3),
            circuit_changed(at + 1, Cause.RECOVERY_TIME),
            circuit_changed(at + 2, Cause.RECOVERED),
        ]
    ax = plot_circuit(circuit_frame(events, {"a": "closed"}, 0, 9000, 0.0), cool_downs_frame([], 0.0), ["a"])
    assert [len(each.get_paths()) for each in ax.collections] == [1] * 5


@pytest.mark.parametrize(("most", "written"), [(0.0002, "1 ms"), (200.0, "1 min 40 s")])
def test_a_scale_of_durations_is_in_peoples_units(most, written):
    events = [
        facts.VisitCancelled(at=number + most, request=number, backend="a", attempts=1, seconds=most)
        for number in range(1, 12)
    ]
    ax = plot_latency(
        visits_frame(events, 0.0), circuit_frame([], {}, 0, 9, 0.0), cool_downs_frame([], 0.0), {"a": None}
    )
    assert written in texts(ax)


def test_an_axis_of_rates_is_in_short_numbers():
    lb = balancer(simulated("a", latency_ms=1000, prompt_tokens=0, completion_tokens=60_000))
    asyncio.run(lb.ask("why"))
    assert "3.6 M" in texts(lb.plot_tpm())


def test_an_attempt_is_an_outline_until_its_first_token():
    lb = balancer(simulated("a", latency_ms=1000, tokens_per_second=5))
    asyncio.run(lb.ask("why"))
    outline, full = lb.plot_waterfall().patches
    assert outline.get_x() == 0
    assert full.get_x() == pytest.approx(1)
    assert (outline.get_facecolor()[3], full.get_facecolor()[3]) == (0, 1)


@pytest.mark.parametrize(("seconds", "written"), [(0.0002, "0.1 ms"), (2.0, "1 s"), (540.0, "1 min 40 s")])
def test_the_axis_of_a_request_is_in_peoples_units(seconds, written):
    events = (
        facts.RequestStarted(at=0.0, request=1, policy="failover", order=("a",)),
        facts.AttemptStarted(at=0.0, request=1, backend="a", attempt=1, attempts=1),
        facts.RequestCancelled(at=seconds, request=1, seconds=seconds),
    )
    assert written in ticks(plot_waterfall(Trace(events)).xaxis)


def test_a_request_is_chosen_by_its_number():
    assert busy().plot_waterfall(2).get_title(loc="left").startswith("Request 2:")


HOSTILE = ("_hidden", "$\\frac{", "<b>\x1b[31m" + "x" * 200)


def test_hostile_names_and_messages_are_written_as_they_are():
    events = []
    for number, name in enumerate(HOSTILE, 1):
        events += [
            facts.RequestStarted(at=number, request=number, policy="failover", order=(name,)),
            facts.BackendSkipped(
                at=number, request=number, backend=name, reason=facts.SkipReason.NOT_READY, message="$\\sum_{ $"
            ),
            facts.AttemptStarted(at=number, request=number, backend=name, attempt=1, attempts=1),
            facts.VisitSucceeded(
                at=number + 1, request=number, backend=name, attempts=1, seconds=1, ttft=None, prompt_tokens=1,
                completion_tokens=1, finish_reason="stop", model="m", generating_seconds=0, tpm=60.0,
            ),
        ]  # fmt: skip
    states = dict.fromkeys(HOSTILE, "closed")
    limits = dict(zip(HOSTILE, (1000, 2000, 3000), strict=True))
    for ax in (
        plot_circuit(circuit_frame(events, states, 1, 9, 0.0), cool_downs_frame(events, 0.0), HOSTILE),
        plot_latency(
            visits_frame(events, 0.0), circuit_frame(events, states, 1, 9, 0.0), cool_downs_frame(events, 0.0), limits
        ),
        plot_tpm(tpm_frame([block(events)], 0.0), curves_frame(events, {}, 9, 0.0), limits),
    ):
        written = " ".join(texts(ax))
        assert "_hidden" in written
        assert "$\\frac{" in written
        assert "\x1b" not in written
        ax._repr_png_()
    waterfall = plot_waterfall(Trace(tuple(events[4:8])))
    assert "skipped: $\\sum_{ $" in texts(waterfall)
