"""The dashboard's picture: what it says, that it stays small, and that nothing in it can act."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import nh3
import pandas as pd
import pytest

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard import panel
from llx_magic.dashboard.charts.circuits import chip
from llx_magic.dashboard.charts.rates import nice_ceiling
from llx_magic.dashboard.export import export, png
from llx_magic.dashboard.panel import SHEET
from llx_magic.dashboard.timeline import Timeline, View
from llx_magic.observe.frames.frames import stats_frame
from tests.engine.kit import backend_snapshot, balancer, simulated

HOSTILE = """<img src=x onerror="alert(1)">'"&</title></svg><script>alert(2)</script>"""


def backend(name: str = "chutes", **facts: object) -> BackendSnapshot:
    return backend_snapshot(name, **facts)


def drawn(*backends: BackendSnapshot, profile: str = "lb") -> tuple[Snapshot, View]:
    snapshot = Snapshot(profile=profile, at=100.0, backends=backends)
    return snapshot, Timeline().view(snapshot, 300.0)


def lived(count: int = 3, prompts: int = 40) -> tuple[Snapshot, View]:
    """A profile that has failed, opened, recovered and answered for some minutes."""
    flaky = simulated("backend-0", "503,503,ok,ok", latency_ms=900, completion_tokens=60, cycle=True)
    others = [simulated(f"backend-{place}", "ok,400,ok", latency_ms=1500, completion_tokens=60, cycle=True)
              for place in range(1, count)]  # fmt: skip
    lb = balancer(flaky, *others, order="roundrobin", tpm_threshold=10, circuit_breaker_failure_threshold=2,
                  circuit_breaker_recovery_timeout_ms=20_000)  # fmt: skip
    timeline = Timeline()
    lb.subscribe(timeline.fold)

    async def live() -> None:
        for _ in range(prompts):
            await asyncio.gather(*(lb.ask("why") for _ in range(2)), return_exceptions=True)

    asyncio.run(live())
    snapshot = lb.snapshot()
    return snapshot, timeline.view(snapshot, 300.0)


class Elements(HTMLParser):
    """Collects what a browser would make of the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "closed"),
        ({"state": "open", "seconds_until_probe": 11.2}, "open · 12 s"),
        ({"state": "open"}, "open · probe due"),
        ({"state": "half-open"}, "half-open · probe"),
        ({"cooling_down": 7.5}, "cooling down · 8 s"),
        ({"state": "disabled"}, "disabled"),
        ({"state": "disabled", "cooling_down": 3.0}, "cooling down · 3 s"),
        ({"tpm": 99.0, "tpm_threshold": 100.0}, "closed · below TPM"),
        ({"tpm": 100.0, "tpm_threshold": 100.0}, "closed"),
        ({"state": "open", "seconds_until_probe": 5.0, "cooling_down": 9.0}, "open · 5 s"),
    ],
)
def test_every_state_has_words_of_its_own(facts: dict[str, Any], words: str) -> None:
    """A state is told by its words; colour only repeats them."""
    assert chip(backend(**facts))[1] == words
    snapshot, view = drawn(backend(**facts))
    assert f">{words}</b>" in panel.draw(snapshot, view)["table"]


def test_the_table_is_one_to_a_screen_reader() -> None:
    """Columns and rows have headers with their scope, the table a caption; every picture has a role and a title."""
    parts = panel.draw(*lived())
    table = Elements(parts["table"])
    assert len(table.named("caption")) == 1
    assert [each["scope"] for each in table.named("th")] == ["col"] * 10 + ["row"] * 3
    for part in parts.values():
        pictures = [each for each in Elements(part).named("svg") if "viewbox" not in each]
        assert all(each["role"] == "img" for each in pictures)
        assert part.count("<title>") == len(pictures)


@pytest.mark.parametrize("place", ["name", "error", "profile"])
def test_whatever_a_name_or_an_error_holds_stays_text(place: str) -> None:
    given = backend(HOSTILE if place == "name" else "a", last_error=HOSTILE if place == "error" else None)
    snapshot, view = drawn(given, profile=HOSTILE if place == "profile" else "lb")
    for part in panel.draw(snapshot, view).values():
        elements = Elements(part)
        assert not elements.named("img", "script")
        assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert not Elements(panel.whole(snapshot, view)).named("script")
    assert len(Elements(panel.whole(snapshot, view)).named("img")) == 1  # the charts themselves
    ET.fromstring(panel.standalone_svg(snapshot, view))


def test_nothing_of_a_reply_is_shown() -> None:
    snapshot, view = lived()
    text = "".join(panel.draw(snapshot, view).values())
    assert "This is backend" not in text
    assert "✓ backend-" in text


def test_an_update_of_three_backends_is_small() -> None:
    """No part is larger than 2 KB, and all together stay below the size at which they are sent one after another."""
    sizes = [len(part.encode()) for part in panel.draw(*lived()).values()]
    assert max(sizes) <= 2048
    assert sum(sizes) <= 6144


def test_twenty_backends_are_drawn() -> None:
    snapshot, view = lived(20)
    parts = panel.draw(snapshot, view)
    assert parts["table"].count("scope='row'") == 20
    assert f"height='{20 * 24 + 18}'" in parts["circuits"]


def test_heights_depend_on_the_number_of_backends_alone() -> None:
    """Nothing jumps when something happens."""
    before = drawn(*(backend(f"backend-{place}") for place in range(3)))
    heights = [
        [re.findall(r"height='(\d+)'", part) for name, part in panel.draw(*state).items() if name != "table"]
        for state in (before, lived())
    ]
    assert heights[0] == heights[1]


def test_it_is_drawn_before_anything_has_happened() -> None:
    parts = panel.draw(*drawn(backend()))
    assert "none yet" in parts["requests"]
    assert "no failure" in parts["table"]


def test_a_failure_is_a_tick_and_an_open_circuit_is_hatched() -> None:
    """Both are there without colour: the tick by its place below the lane, the open state by its dashes."""
    circuits = panel.draw(*lived())["circuits"]
    assert re.search(r"class='lf' d='M\d+ 17v6", circuits)
    assert "class='lo'" in circuits
    assert re.search(r"\.lo\{[^}]*stroke-dasharray", SHEET)


def test_the_style_sheet_touches_nothing_outside() -> None:
    """Every rule begins with the dashboard's own class."""
    selectors = [one.strip() for rule in SHEET.split("}") if rule.strip() for one in rule.split("{")[0].split(",")]
    assert [one for one in selectors if not one.startswith(".llx")] == []


def test_the_picture_of_a_saved_notebook_stands_by_itself() -> None:
    """It is an image that holds all it needs, with a text for those who do not see it."""
    (image,) = Elements(panel.whole(*lived())).named("img")
    kind, _, data = (image["src"] or "").partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ET.fromstring(base64.b64decode(data))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "http" not in base64.b64decode(data).decode().replace("http://www.w3.org/2000/svg", "")
    assert image["alt"]


def test_where_styles_are_taken_out_the_table_still_reads_and_the_picture_stays() -> None:
    """As a repository's page shows a saved notebook: no stylesheet, no struck-out text, words apart, one image."""
    bare = nh3.clean(
        panel.whole(*lived()),
        tags={"table", "thead", "tbody", "tr", "td", "th", "caption", "b", "s", "small", "div", "img"},
        attributes={"img": {"src", "alt", "width"}},
        url_schemes={"data"},
        clean_content_tags={"style"},
    )
    assert "<b>closed</b> <small>400 Bad Request" in bare
    assert "<s>" not in bare
    assert len(Elements(bare).named("img")) == 1
    assert ".llx" not in bare


def test_scales_are_round() -> None:
    assert [nice_ceiling(value) for value in (0, 11, 150, 700, 4001)] == [10, 15, 150, 800, 5000]


def test_export_writes_every_file_and_replaces_none(tmp_path) -> None:
    """The same name twice gives a number to the second."""
    tables = {"stats": stats_frame(lived()[0])}
    pictures = {".svg": b"<svg/>", ".png": b"\x89PNG"}
    names, _ = export(tmp_path, "a/b c", pictures, tables)
    again, _ = export(tmp_path, "a/b c", pictures, tables)
    assert names == ["a_b_c.svg", "a_b_c.png", "a_b_c-stats.csv", "a_b_c-stats.parquet"]
    assert again == ["a_b_c_2.svg", "a_b_c_2.png", "a_b_c_2-stats.csv", "a_b_c_2-stats.parquet"]
    assert {path.name for path in tmp_path.iterdir()} == {*names, *again}
    assert (tmp_path / "a_b_c.png").read_bytes().startswith(b"\x89PNG")


def test_a_parquet_file_holds_the_frame_as_it_was(tmp_path) -> None:
    """Types, order and missing values come back."""
    lb = balancer(simulated("first", "503"), simulated("second"), failover_retry_count=1)
    asyncio.run(lb.ask("why"))
    tables = {"stats": lb.stats(), "history": lb.history()}
    export(tmp_path, "kept", {}, tables)
    for name, frame in tables.items():
        found = pd.read_parquet(tmp_path / f"kept-{name}.parquet")
        pd.testing.assert_frame_equal(
            found, pd.DataFrame(frame), check_dtype=False, check_index_type=False, check_categorical=False
        )
        assert [found[column].dtype.kind for column in found] == [frame[column].dtype.kind for column in frame]


def test_without_pyarrow_there_is_no_parquet_file_and_it_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    names, parquet = export(tmp_path, "plain", {".svg": b"<svg/>"}, {"stats": stats_frame(lived()[0])})
    assert (names, parquet) == (["plain.svg", "plain-stats.csv"], False)


def test_the_png_takes_names_as_they_are() -> None:
    """A name that looks like mathematics or begins with an underscore is a name."""
    lb = balancer(simulated("_other", "503"), simulated("_hidden"), failover_retry_count=1)
    asyncio.run(lb.ask("why"))
    assert png("$x^2$", [lb.plot_circuit, lb.plot_tpm]).startswith(b"\x89PNG")
