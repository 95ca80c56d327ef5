"""The dashboard in a real browser: it is live while a cell is busy, it agrees with itself, and nothing in it acts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import SECONDS, LabPage, Notebook
from tests.faults.server import FaultServer, status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = """%load_ext llx_magic
import time, llx_magic as llx
%llx_profile save model first --provider simulated --model m --param script=503,503,slow:1200 --param latency_ms=50
%llx_profile save model second --provider simulated --model m --param latency_ms=50 --param tokens_per_second=100
%llx_set circuit_breaker_failure_threshold 2
%llx_set circuit_breaker_recovery_timeout_ms 3000
%llx_set failover_retry_count 1
%llx_profile save loadbalancer duo failover first second
%llx_profile load duo"""

BUSY = """for number in range(4):
    llx.ask("why", profile="duo")
time.sleep(3)
for number in range(3):
    llx.ask("why", profile="duo")"""

BACK = "answering, asked first"

RECORD = """dashboard => {
    window.__states = [];
    const look = () => {
        const state = dashboard.querySelector('.st')?.textContent.trim();
        if (state && state !== window.__states.at(-1)) window.__states.push(state);
    };
    new MutationObserver(look).observe(dashboard, {childList: true, subtree: true, characterData: true});
    look();
}"""
"""Notes each state of the first backend as it is drawn."""


def dashboard(notebook: Notebook, index: int) -> Locator:
    found = notebook.output(index).locator(".llx-dashboard")
    found.locator(".st").first.wait_for(timeout=SECONDS)
    return found


def opened(lab: LabPage, name: str) -> Notebook:
    notebook = lab.open(name, [SETUP, "%llx_dashboard", BUSY, "%llx_dashboard"])
    notebook.run(0)
    notebook.run(1)
    return notebook


def test_it_shows_failing_opening_and_recovering_while_the_cell_is_busy(lab: LabPage) -> None:
    """Out with a countdown, tried again, answering: all seen before the cell ended."""
    notebook = opened(lab, "live.ipynb")
    dashboard(notebook, 1).evaluate(RECORD)
    notebook.start(2)
    lab.wait("back => window.__states.includes('out, being tried again') && window.__states.at(-1) === back", BACK)
    states = notebook.page.evaluate("() => window.__states")
    assert states[0] == "not asked yet, but first"
    assert any(state.startswith("out, next try in ") for state in states)
    assert states[-2:] == ["out, being tried again", BACK]
    notebook.finished()
    assert lab.errors == []
    notebook.settle()
    live, output = notebook.save().cells[1].outputs
    assert "".join(live["data"]["text/html"]) == ""
    assert "Total Requests: 9" in output["data"]["text/plain"]
    assert "7 of 7 prompts answered" in output["data"]["text/html"]
    assert notebook.output(1).locator(".llx-dashboard").count() == 1


def test_it_draws_before_the_busy_cell_has_ended(lab: LabPage) -> None:
    notebook = lab.open("busy.ipynb", [SETUP, "%llx_dashboard", "llx.ask('why', profile='duo')\ntime.sleep(120)"])
    notebook.run(0)
    notebook.run(1)
    shown = dashboard(notebook, 1)
    notebook.start(2)
    shown.get_by_text("1 of 1 prompt answered").wait_for(timeout=SECONDS)
    status = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    assert notebook.page.evaluate(status) == "busy"
    notebook.interrupt()
    notebook.settle()


def test_cells_that_follow_at_once_leave_one_live_view(lab: LabPage) -> None:
    """What a saved notebook shows is replaced while the view is still being made; the view comes all the same."""
    ask = "llx.ask('why', profile='duo')"
    notebook = lab.open("at-once.ipynb", [SETUP, "%llx_dashboard", ask, ask, ask])
    notebook.run_all()
    shown = dashboard(notebook, 1)
    shown.get_by_text("3 of 3 prompts answered").wait_for()
    assert notebook.output(1).locator(".llx-dashboard").count() == 1
    assert "Loading widget" not in notebook.output(1).inner_text()


def test_two_views_agree_and_a_control_of_one_moves_both(lab: LabPage) -> None:
    notebook = opened(lab, "views.ipynb")
    notebook.run(3)
    one, two = dashboard(notebook, 1), dashboard(notebook, 3)
    one.get_by_role("button", name="1 min", exact=True).click()
    two.get_by_role("button", name="Open circuit").click()
    one.get_by_text("was opened by hand").wait_for()
    one.get_by_text("out, next try in 2 s").first.wait_for()
    one.get_by_text("out, the next prompt tries it").first.wait_for()  # from here on nothing counts down
    notebook.page.wait_for_timeout(500)
    assert one.locator(".nm").all_inner_texts() == two.locator(".nm").all_inner_texts()


def test_it_survives_a_reload_of_the_page_and_goes_on(lab: LabPage) -> None:
    notebook = opened(lab, "reload.ipynb")
    notebook.save()
    lab.reload()
    notebook = lab.open("reload.ipynb")
    shown = dashboard(notebook, 1)
    shown.get_by_role("button", name="Open circuit").click()
    expect(shown.get_by_text("was opened by hand")).to_be_visible(timeout=SECONDS)
    expect(shown.get_by_text("out, ").first).to_be_visible(timeout=SECONDS)


def test_after_a_restart_and_in_a_notebook_opened_again_a_dated_picture_stands_there(lab: LabPage) -> None:
    """Nothing of a broken widget is seen; while the widget lives, nothing of the picture is."""
    notebook = opened(lab, "again.ipynb")
    shown = dashboard(notebook, 1)
    expect(notebook.output(1).get_by_text("as of 20")).to_be_hidden()
    notebook.save()
    notebook.page.evaluate(RESTART)
    notebook.settle()
    expect(shown).to_be_hidden(timeout=SECONDS)
    expect(notebook.output(1).get_by_text("as of 20")).to_be_visible()
    again = notebook.reopen().output(1)
    expect(again.get_by_text("as of 20")).to_be_visible(timeout=SECONDS)
    expect(again.locator(".st").first).to_be_visible()
    expect(again.get_by_text("Error displaying widget")).to_have_count(1, timeout=SECONDS)
    expect(again.get_by_text("Error displaying widget")).to_be_hidden()


def test_the_keyboard_reaches_every_control_and_each_has_a_name(lab: LabPage) -> None:
    notebook = opened(lab, "keyboard.ipynb")
    shown = dashboard(notebook, 1)
    controls = shown.locator("button, select")
    reached: list[str] = []
    controls.first.focus()
    for _ in range(controls.count()):
        reached.append(notebook.page.evaluate(NAME))
        notebook.page.keyboard.press("Tab")
    assert all(reached)
    wanted = ["Profile", "1 min", "5 min", "60 min", "Pause", "Export", "Close",
              "Backend", "Open circuit", "Close circuit", "Reset statistics"]  # fmt: skip
    assert [name for name in reached if name in wanted] == wanted


NAME = """() => {
    const each = document.activeElement;
    if (!each.closest('.llx-dashboard')) return '';
    return (each.getAttribute('aria-label') || each.labels?.[0]?.textContent || each.textContent).trim();
}"""


def test_two_notebooks_beside_each_other_have_a_live_view_each(lab: LabPage) -> None:
    opened(lab, "left.ipynb")
    opened(lab, "right.ipynb")
    lab.page.evaluate(BESIDE)
    views = lab.page.locator(".llx-dashboard").filter(visible=True)
    expect(views).to_have_count(2, timeout=SECONDS)
    one, two = (lab.page.locator(".llx-dashboard").nth(place) for place in range(2))
    one.get_by_role("button", name="Open circuit").click()
    expect(one.get_by_text("was opened by hand")).to_be_visible(timeout=SECONDS)
    expect(two.get_by_text("was opened by hand")).to_have_count(0)
    two.get_by_role("button", name="Pause").click()
    expect(two.get_by_text("paused at ")).to_be_visible(timeout=SECONDS)
    expect(one.get_by_text("paused at ")).to_have_count(0)


BESIDE = """() => {
    const shell = window.jupyterapp.shell;
    const [left, right] = [...shell.widgets('main')].filter(each => each.context);
    shell.add(left, 'main', {mode: 'split-left', ref: right.id});
}"""

RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"


def test_closing_leaves_the_last_state(lab: LabPage) -> None:
    notebook = opened(lab, "closed.ipynb")
    dashboard(notebook, 1).get_by_title("end the dashboard").click()
    notebook.rendered(1).locator(".st").first.wait_for()
    expect(notebook.output(1).locator(".llx-dashboard")).to_have_count(0)
    assert notebook.rendered(1).locator("img").count() == 1


def test_unloading_the_extension_ends_it(lab: LabPage) -> None:
    notebook = lab.open("unload.ipynb", [SETUP, "%llx_dashboard", "%unload_ext llx_magic"])
    notebook.run_all()
    notebook.rendered(1).locator(".st").first.wait_for()
    expect(notebook.output(1).locator(".llx-dashboard")).to_have_count(0)


def test_a_hostile_error_stays_text(lab: LabPage) -> None:
    """What a server says in its error is shown as what it said, wherever it is shown."""
    evil = "<img src=x onerror='window.__pwned=1'><script>window.__pwned=2</script>"
    with FaultServer(status(400, body={"error": {"message": evil}})) as server:
        setup = (
            "%load_ext llx_magic\n"
            f"%llx_profile save model liar --provider vllm --base-url {server.base_url} --model m\n"
            "%llx_profile load liar\n%llx_dashboard"
        )
        notebook = lab.open("hostile.ipynb", [setup, "%llx why"])
        notebook.run(0)
        notebook.run(1)
        shown = dashboard(notebook, 0)
        shown.locator("summary").first.click()  # the trace has what the server said
        shown.get_by_text("<img src=x").first.wait_for(timeout=SECONDS)
        assert shown.locator("img, script").count() == 0
        assert notebook.page.evaluate("() => window.__pwned") is None


def test_it_fits_into_a_narrow_page(lab: LabPage) -> None:
    """At 600 pixels controls wrap and columns fold; the page does not become wider."""
    notebook = opened(lab, "narrow.ipynb")
    shown = dashboard(notebook, 1)
    wide = notebook.page.viewport_size
    assert wide is not None
    notebook.execute("application:toggle-left-area")
    try:
        notebook.page.set_viewport_size({"width": 720, "height": wide["height"]})
        notebook.page.wait_for_timeout(500)
        assert shown.evaluate("node => node.getBoundingClientRect().width") <= 620
        assert shown.evaluate(OVERFLOWING) == 0
        assert shown.evaluate("node => node.closest('.jp-OutputArea-output').scrollWidth") <= 620
    finally:
        notebook.page.set_viewport_size(wide)
        notebook.execute("application:toggle-left-area")


def test_it_is_readable_in_both_themes(lab: LabPage) -> None:
    """Every word of the picture differs from its background by at least 4.5 to 1."""
    notebook = opened(lab, "themes.ipynb")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.execute("apputils:change-theme", {"theme": theme})
        notebook.finished()
        notebook.page.wait_for_timeout(1500)  # the theme's style sheet is fetched
        assert dashboard(notebook, 1).evaluate(CONTRAST) >= 4.5


OVERFLOWING = """node => [...node.querySelectorAll('.llx, .widget-hbox')].filter(each =>
    each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX === 'visible').length"""

CONTRAST = """node => {
    const found = colour => (colour.match(/[\\d.]+/g) ?? []).map(Number);
    const unit = (value, place) => place < 3 ? value * 255 : value;  // of colours that are mixed
    const numbers = colour => colour.startsWith('color(srgb') ? found(colour).map(unit) : found(colour);
    const channel = value => value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => .2126 * channel(r / 255) + .7152 * channel(g / 255) + .0722 * channel(b / 255);
    const dark = document.body.dataset.jpThemeLight === 'false';
    const paper = dark ? [17, 17, 17] : [255, 255, 255];
    const words = [...node.querySelectorAll('.llx div, .llx b, small, th, td, caption, p, text, span')];
    return Math.min(...words.map(each => {
        const style = getComputedStyle(each);
        const [r, g, b, a = 1] = numbers(each.tagName === 'text' ? style.fill : style.color);
        if (a === 0) return 21;  // what is not painted
        const mixed = [r, g, b].map((value, place) => value * a + paper[place] * (1 - a));
        const [one, two] = [light(mixed), light(paper)].sort((x, y) => y - x);
        return (one + .05) / (two + .05);
    }));
}"""
