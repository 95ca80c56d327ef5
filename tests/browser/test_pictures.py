"""Every situation at every width and in every theme: nothing overlaps, nothing is cut, every word can be read.

The pictures stand in a page of a real browser that has the variables of JupyterLab's own themes. To look at them:
``LLX_PICTURES=FOLDER pytest tests/browser/test_pictures.py``.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page

from llx_magic.dashboard import panel
from llx_magic.notebook.pieces import Pieces
from tests.browser.geometry import MISPLACED, PALE
from tests.dashboard.situations import SITUATIONS, Picture, three

pytestmark = pytest.mark.browser

WIDTHS = {"480": (480, 1.0), "780": (780, 1.0), "1200": (1200, 1.0), "2000": (2000, 1.0), "1200 at 200 %": (1200, 2.0)}
"""How many pixels a page is wide, and how far it is zoomed."""

THEMES = {"light": "light", "dark": "dark", "high contrast": "dark-high-contrast"}
"""By the names of JupyterLab's packages."""

GREY = "html{filter:grayscale(1)}"

PAGE = """<!doctype html><meta charset=utf-8><style>{theme}
body{{margin:0;padding:8px;background:var(--jp-layout-color0);font:13px/1.5 var(--jp-ui-font-family,sans-serif)}}
#it{{zoom:{zoom}}}{more}</style><div id=it>{picture}</div>"""


@functools.cache
def theme(name: str) -> str:
    """Return the variables of a theme of JupyterLab."""
    folder = Path(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab", f"theme-{THEMES[name]}-extension")
    css = (folder / "index.css").read_text(encoding="utf-8")
    return "".join(re.findall(r":root\s*\{[^}]*\}", css))


@functools.cache
def lived(name: str) -> Picture:
    with ThreadPoolExecutor(1) as elsewhere:  # what drives the browser runs an event loop in this thread
        return elsewhere.submit(SITUATIONS[name]).result()


def show(page: Page, name: str, *, width: str = "1200", look: str = "light", more: str = "") -> None:
    pixels, zoom = WIDTHS[width]
    found = lived(name)
    page.set_viewport_size({"width": pixels, "height": 4000})
    picture = panel.whole(found.snapshot, found.view)
    page.set_content(PAGE.format(theme=theme(look), zoom=zoom, more=more, picture=picture))


def take(page: Page, name: str) -> None:
    if folder := os.environ.get("LLX_PICTURES"):
        page.locator("#it").screenshot(path=Path(folder, f"{name}.png"))


@pytest.mark.parametrize("name", SITUATIONS)
def test_at_every_width_nothing_overlaps_and_nothing_is_cut(page: Page, name: str) -> None:
    found: dict[str, list[str]] = {}
    for width in WIDTHS:
        show(page, name, width=width)
        take(page, f"{name}, {width}")
        found[width] = page.evaluate(MISPLACED, "#it")
    assert found == {width: [] for width in WIDTHS}


@pytest.mark.parametrize("look", [*THEMES, "forced colours"])
def test_in_every_theme_every_word_can_be_read(page: Page, look: str) -> None:
    forced = look == "forced colours"
    page.emulate_media(forced_colors="active" if forced else "none")
    found: dict[str, list[str]] = {}
    try:
        for name in (
            "flapping",
            "all out",
            "all cooling",
            "many hops",
            "below its floor",
            "long names and other scripts",
        ):
            show(page, name, look="light" if forced else look)
            take(page, f"{name}, {look}")
            found[name] = page.evaluate(PALE, "#it")
        assert found == {name: [] for name in found}
    finally:
        page.emulate_media(forced_colors="none")


@pytest.mark.parametrize("name", ["nothing asked", "all out", "forty backends"])
def test_every_picture_has_a_name_or_is_passed_over_by_a_screen_reader(page: Page, name: str) -> None:
    show(page, name)
    assert page.evaluate(NAMELESS, "#it") == []


def test_in_grey_no_two_marks_of_the_legends_look_alike(page: Page) -> None:
    """Laid over each other, at least a twentieth of the places differ by a fifth of the way from black to white."""
    show(page, "many hops", more=GREY)
    keys = page.locator("#it .key")
    seen = []
    for number in range(keys.count()):
        drawn = Image.open(io.BytesIO(keys.nth(number).screenshot())).convert("L")
        seen.append(drawn.resize((18, 14)))
    assert len(seen) > 5
    for one, two in itertools.combinations(seen, 2):
        differing = sum(ImageChops.difference(one, two).histogram()[51:])
        assert differing >= 18 * 14 / 20


def test_the_keyboard_reaches_everything_that_opens(page: Page) -> None:
    show(page, "many hops")
    reached = page.evaluate("() => document.querySelectorAll('#it summary, #it a, #it button').length")
    assert reached > 0
    for _ in range(reached):
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.matches('#it summary, #it a, #it button')")
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.parentElement.open") is True
    assert page.evaluate(MISPLACED, "#it") == []


def test_the_keyboard_goes_through_the_prompts_as_they_are_seen(page: Page) -> None:
    """New prompts take the places of those that are gone, so in the page they stand in another order."""
    life, pieces = three(), Pieces()
    for _ in range(7):
        with ThreadPoolExecutor(1) as elsewhere:
            found = elsewhere.submit(lambda: life.live(1.0).seen()).result()
        pieces.take(panel.pieces(found.snapshot, found.view))
        while pieces.send():
            pass
    written = (f"<div class=llx style='order:{it.layout.order}'>{it.value}</div>" for it in pieces.box.children)
    box = f"<div class=llx-pieces style='display:flex;flex-direction:column'>{''.join(written)}</div>"
    page.set_content(f"<style>{panel.SHEET}</style>{box}")
    seen = page.locator("summary").evaluate_all(
        "all => all.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map(NUMBER)".replace(
            "NUMBER", NUMBER
        )
    )
    reached = []
    for _ in seen:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(f"() => ({NUMBER})(document.activeElement)"))
    assert reached == seen == ["#7", "#6", "#5", "#4"]


NUMBER = "each => each.querySelector('.no1').textContent"

NAMELESS = """selector => [...document.querySelectorAll(`${selector} svg`)].filter(each =>
    !each.parentElement.closest('svg') && each.getAttribute('aria-hidden') !== 'true'
    && !each.matches('.key')
    && !(each.getAttribute('role') === 'img' && (each.querySelector('title') || each.getAttribute('aria-label'))))
    .map(each => each.outerHTML.slice(0, 200))"""
