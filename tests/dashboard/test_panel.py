"""The dashboard's picture: what it says, that it stays small, and that nothing in it can act."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import nh3
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from llx_magic.core.events import RequestFailed, RequestStarted
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard import export as files
from llx_magic.dashboard import panel
from llx_magic.dashboard.axis import LogScale, nice_ceiling, ticks
from llx_magic.dashboard.export import Make, export, plots, tables
from llx_magic.dashboard.markdown import markdown
from llx_magic.dashboard.panel import SHEET
from llx_magic.dashboard.parts.backends import SHAPES
from llx_magic.dashboard.rows import FEW, MOST_ROWS, figures
from llx_magic.dashboard.svg import CROSS, TO
from llx_magic.dashboard.timeline import Timeline
from llx_magic.dashboard.view import View
from llx_magic.observe.frames.frames import stats_frame
from llx_magic.observe.status.standing import State
from llx_magic.observe.status.status import status_of
from llx_magic.session.balancer import LoadBalancer
from llx_magic.units import unbroken
from tests.dashboard.situations import three
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


def text_of(*pieces: str) -> str:
    return re.sub(r"\s+", " ", " ".join(word for piece in pieces for word in Elements(piece).words))


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


def test_simulated_time_is_seconds_in_every_form_and_real_time_is_that_of_the_day():
    """A simulated clock has a date only so that tables of examples never change; nothing happened at that time."""
    snapshot, view = lived(prompts=20)
    simulated_view = replace(view, epoch=1_767_225_600.0)
    for form in (lambda seen: panel.standalone_svg(snapshot, seen), lambda seen: markdown(snapshot, seen, "now"),
                 lambda seen: text_of(*panel.draw(snapshot, seen).values())):  # fmt: skip
        assert re.search(r"\b\d\d:\d\d:\d\d\b", form(view))
        assert not re.search(r"\b\d\d:\d\d(:\d\d)?\b", form(simulated_view))
        assert "Latest prompts" in form(simulated_view)
        assert "seconds since the simulation began" in form(simulated_view)
    axis = simulated_view.axis
    assert [words for _, words in ticks(axis)] == [f"{round(at)} s" for at, _ in ticks(axis)]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "not asked yet, but first"),
        ({"requests": 1, "successes": 1}, "answering, asked first"),
        ({"state": "open", "seconds_until_probe": 11.2}, "out, next try in 12 s"),
        ({"state": "open"}, "out, the next prompt tries it"),
        ({"state": "half-open"}, "out, being tried again"),
        ({"cooling_down": 7.5}, "cooling down, 8 s"),
        (
            {"requests": 1, "successes": 1, "tpm": 99.0, "tpm_threshold": 100.0},
            "below its floor, asked when other fails",
        ),
    ],
)
def test_every_state_has_words_and_a_shape(facts: dict[str, Any], words: str) -> None:
    """A state is told by its words and a shape; colour only repeats them."""
    snapshot, view = drawn(backend(**facts), backend("other"))
    piece = panel.draw(snapshot, view)["backend 1"]
    assert f"{unbroken(words)}</div>" in piece
    assert "class='k k" in piece


def test_the_row_the_table_and_the_words_for_those_who_see_no_picture_say_the_same_of_each_backend() -> None:
    snapshot, view = drawn(backend("fast", state="open", seconds_until_probe=11.2), backend("deep"), backend("mine"))
    rows, table = text_of(*panel.draw(snapshot, view).values()), str(status_of(snapshot))
    for said in ("out, next try in 12 s", "not asked yet, but first", "spare, asked when deep fails"):
        assert all(said in words for words in (rows, table, panel.alt(snapshot), markdown(snapshot, view, "now")))


def test_no_two_looks_of_a_state_differ_by_colour_alone() -> None:
    """Whatever has the same outline has the same words too, or is filled or dashed."""
    assert set(SHAPES) == set(State)
    by_outline: dict[str, set[str]] = {}
    for kind, outline in SHAPES.values():
        by_outline.setdefault(outline, set()).add(kind)
    assert [kinds for kinds in by_outline.values() if len(kinds) > 1] == [{"ka", "ki", "kn"}]


def test_no_line_ends_within_a_duration() -> None:
    """A number stays with its unit, and both parts of a duration together; in words to copy the spaces are plain."""
    snapshot, view = drawn(backend("fast", state="open", seconds_until_probe=84.2), backend("deep"))
    assert "in 1\xa0min\xa025\xa0s" in panel.draw(snapshot, view)["headline"]
    assert "in 1 min 25 s" in status_of(snapshot).sentence
    assert "in 1 min 25 s" in markdown(snapshot, view, "now")


def test_what_is_not_told_of_the_prompts_in_between_is_said_above_them() -> None:
    titles = []
    for count in (2, 4):  # each time two prompts
        snapshot, view = lived(1, count)
        assert (len(view.prompts) > 4) == (count > 2)
        titles.append("older ones that stand out" in text_of(panel.draw(snapshot, view)["prompts"]))
    assert titles == [False, True]


def test_a_prompt_that_was_sent_to_nobody_says_so() -> None:
    life = three("503", "503", "503", circuit_breaker_failure_threshold=1).live(1.0, 1.0)
    shown = panel.draw(*life.seen()[:2])
    assert "failed, not sent" in text_of(shown["prompt 2"])
    assert "not sent" not in text_of(shown["prompt 1"])


def test_marks_stand_before_the_bands() -> None:
    row = panel.draw(*three("503,ok", circuit_breaker_failure_threshold=1).live(*[20.0] * 4).seen()[:2])["backend 1"]
    assert row.index("<svg class='o'") < row.index("<path class='v'") < row.index("<text class='x'")


def test_a_figure_that_stands_for_two_says_so_and_those_of_other_backends_are_two() -> None:
    seconds = [figures(backend(p50_latency=0.5, p95_latency=most)).seconds for most in (0.5, 2.0)]
    assert seconds == ["500 ms, both", f"500 ms {TO} 2 s"]


def test_the_sentence_stands_on_top_and_the_prompts_below_it() -> None:
    snapshot, view = lived()
    said = text_of(panel.draw(snapshot, view)["headline"])
    assert status_of(snapshot).sentence in said
    assert f"{snapshot.prompts.answered} of {snapshot.prompts.asked} prompts answered" in said
    assert "half within" in said


def test_a_row_reads_by_itself() -> None:
    """Its name and state are its label, its picture has a title, and every figure has its unit beside it."""
    piece = panel.draw(*lived())["backend 1"]
    elements = Elements(piece)
    (group,) = [each for tag, each in elements.found if each.get("role") == "group"]
    assert (group["aria-label"] or "").startswith("1. backend-0: ")
    assert "visits answered" in text_of(piece)
    assert "tokens/min" in text_of(piece)
    assert "floor 10" in text_of(piece)


def test_a_picture_has_a_title_or_is_hidden_from_a_screen_reader() -> None:
    for piece in panel.draw(*lived()).values():
        for picture in re.findall(r"<svg [^>]*>(?:<title>)?", piece):
            known = "viewBox" in picture or "class='key'" in picture or re.search(r"<svg class='[ohq]'|x=", picture)
            assert known or "aria-hidden" in picture or picture.endswith("<title>"), picture


@pytest.mark.parametrize("place", ["name", "error", "profile", "what if"])
def test_whatever_a_name_or_an_error_holds_stays_text(place: str) -> None:
    given = backend(HOSTILE if place == "name" else "a", state="open",
                    in_vain=((HOSTILE, 3),) if place == "error" else ())  # fmt: skip
    snapshot, view = drawn(given, profile=HOSTILE if place == "profile" else "lb")
    what_if = HOSTILE if place == "what if" else ""
    for piece in panel.draw(snapshot, view, None, what_if).values():
        elements = Elements(piece)
        assert not elements.named("img", "script")
        assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    whole = Elements(panel.whole(snapshot, view, None, what_if))
    assert not whole.named("script")
    assert len(whole.named("img")) == 1  # the picture itself
    ET.fromstring(panel.standalone_svg(snapshot, view, what_if))


def test_every_piece_is_well_formed() -> None:
    pieces = panel.draw(*lived())
    assert pieces
    for piece in pieces.values():
        ET.fromstring(f"<div>{piece.replace('&nbsp;', ' ')}</div>")


def test_nothing_of_a_reply_is_shown() -> None:
    said = text_of(*panel.draw(*lived()).values())
    assert "This is backend" not in said
    assert "answered" in said


def test_a_prompt_is_told_hop_by_hop_and_opens_to_its_trace() -> None:
    lb = balancer(simulated("first", "503"), simulated("second"), failover_retry_count=1)
    timeline = Timeline()
    lb.subscribe(timeline.fold)
    asyncio.run(lb.ask("why"))
    snapshot = lb.snapshot()
    piece = panel.draw(snapshot, timeline.view(snapshot, 300.0))["prompt 1"]
    assert piece.startswith("<details")
    assert "<span>first 503</span> · <span>second answered</span>" in piece
    assert "attempt 1/1 failed" in text_of(piece.partition("</summary>")[2])


def test_a_prompt_opens_only_when_it_has_ended() -> None:
    """What a reader opened would be closed when the line is drawn again."""
    begun = RequestStarted(at=100.0, request=1, policy="failover", order=("chutes",))
    timeline = Timeline()
    timeline.fold(begun)
    snapshot = Snapshot(profile="lb", at=100.0, backends=(backend(),))
    running = panel.draw(snapshot, timeline.view(snapshot, 300.0))["prompt 1"]
    timeline.fold(RequestFailed(at=101.0, request=1, message="nobody answered", seconds=1.0))
    ended = panel.draw(snapshot, timeline.view(snapshot, 300.0))["prompt 1"]
    assert ("<summary" in running, "<summary" in ended) == (False, True)


def test_an_update_of_three_backends_is_small() -> None:
    """A piece is so small that it is sent with others, and what changes with each prompt is about two updates."""
    sizes = {name: len(piece.encode()) for name, piece in panel.draw(*lived()).items()}
    assert max(sizes.values()) <= 3600
    assert sum(size for name, size in sizes.items() if "prompt " not in name) <= 12_000


def test_a_few_backends_have_a_row_each_and_of_many_the_quiet_ones_are_folded() -> None:
    few, many = ([backend(f"backend-{place}", requests=1, successes=1) for place in range(n)] for n in (FEW, 40))
    assert "others" not in panel.draw(*drawn(*few))
    parts = panel.draw(*drawn(*many))
    assert "39 more, all spare" in text_of(parts["others"])
    assert parts["others"].count("scope='row'") == 39
    assert [name for name in parts if name.startswith("backend ")] == ["backend 1"]


def test_of_many_that_fail_no_more_rows_are_drawn_than_fit() -> None:
    parts = panel.draw(*drawn(*(backend(f"backend-{place}", state="open") for place in range(40))))
    assert sum(name.startswith("backend ") for name in parts) == MOST_ROWS
    assert "24 more, all out" in text_of(parts["others"])


def test_it_is_drawn_before_anything_has_happened() -> None:
    parts = panel.draw(*drawn(backend()))
    assert "none yet" in parts["prompts"]
    assert "no prompt yet" in parts["headline"]
    assert "no visit yet" in parts["backend 1"]
    assert "N/A" not in text_of(*parts.values())


def test_a_failure_is_a_cross_with_its_reason_and_an_open_circuit_is_hatched() -> None:
    """Both are there without colour."""
    row = panel.draw(*lived())["backend 1"]
    assert re.search(f"<text class='x'[^>]*>{CROSS}+</text><text class='(e )?f'[^>]*>503", row)
    assert re.search(r"class='oo?'", row)
    assert re.search(r"\.o path\{[^}]*stroke-dasharray", SHEET)


def test_what_there_is_to_say_of_the_budget_and_of_other_settings_has_a_line_each() -> None:
    snapshot, view = drawn(backend())
    assert panel.draw(snapshot, view)["advice"] == ""
    said = text_of(panel.draw(replace(snapshot, budget=2.0), view, None, "with timeout_ms=5000: all better")["advice"])
    assert said == "What if with timeout_ms=5000: all better Budget 0 of 2 USD spent, 100.0% is left"


def test_the_style_sheet_touches_nothing_outside() -> None:
    """Every rule begins with the dashboard's own class."""
    plain = re.sub(r"@[a-z]+ [^{]*\{", "", SHEET)
    selectors = [one.strip() for rule in plain.split("}") if rule.strip() for one in rule.split("{")[0].split(",")]
    assert [one for one in selectors if not one.startswith(".llx")] == []


def test_the_picture_of_a_saved_notebook_stands_by_itself() -> None:
    """It is an image that holds all it needs, with the sentence for those who do not see it."""
    snapshot, view = lived()
    (image,) = Elements(panel.whole(snapshot, view)).named("img")
    kind, _, data = (image["src"] or "").partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ET.fromstring(base64.b64decode(data))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "http" not in base64.b64decode(data).decode().replace("http://www.w3.org/2000/svg", "")
    assert "var(--" not in base64.b64decode(data).decode().replace("var(--v)", "")  # not every viewer knows variables
    assert status_of(snapshot).sentence in (image["alt"] or "")


def test_the_file_shows_what_the_page_shows() -> None:
    snapshot, view = lived()
    file = re.sub(r"<style>.*?</style>", "", panel.standalone_svg(snapshot, view))
    shown = text_of(file)
    for word in (status_of(snapshot).sentence.split(".")[0], "backend-0", "backend-2", "visits answered", "floor 10",
                 "Latest prompts", "answered"):  # fmt: skip
        assert word in shown


def test_where_styles_are_taken_out_the_picture_stands_on_top_and_the_words_still_read() -> None:
    """As a repository's page shows a saved notebook: no style, no inline drawing, one image, words apart.

    What such pages take out: https://github.com/jupyter/nbviewer/issues/450
    """
    bare = nh3.clean(
        panel.whole(*lived()),
        tags={"table", "thead", "tbody", "tr", "td", "th", "caption", "b", "small", "div", "img"},
        attributes={"img": {"src", "alt", "width"}},
        url_schemes={"data"},
        clean_content_tags={"style", "svg"},
    )
    assert re.search(r"<b>backend-0</b><div> [a-z]+", bare)
    [image] = Elements(bare).named("img")
    assert bare.index("<img") < bare.index("backend-0")
    assert "backend-0: " in str(image["alt"])
    assert ".llx" not in bare


def test_where_images_are_taken_out_too_each_backend_is_on_lines_of_its_own() -> None:
    bare = nh3.clean(panel.whole(*lived()), tags={"div", "p", "br", "b"}, attributes={}, clean_content_tags={"style"})
    lines = [line for line in re.sub(r"<[^>]*>", "\n", bare).splitlines() if line.strip()]
    at = lines.index("backend-0")
    assert lines[at + 1].strip().startswith(("answering", "out", "failing", "below"))


def test_a_scale_is_round_and_seldom_another() -> None:
    lengths = [nice_ceiling(value) for value in (0, 0.0002, 1.1, 2, 7, 51, 130, 540)]
    assert lengths == [1, 0.0002, 2, 2, 10, 60, 300, 600]


@pytest.mark.parametrize(("values", "ends"), [([], (1, 10)), ([0.9, 1.2], (0.1, 10)), ([0.0002, 540], (1e-4, 1e3))])
def test_the_scale_of_seconds_goes_from_power_to_power(values: list[float], ends: tuple[float, float]) -> None:
    scale = LogScale(values)
    assert scale.ends == pytest.approx(ends)
    assert all(0 <= scale.share(value) <= 1 for value in (0, *values, 1e9))


def makes_of(lb: LoadBalancer | None = None) -> dict[str, Make]:
    frames = {"stats": lb.stats, "history": lb.history} if lb else {"stats": lambda: stats_frame(lived()[0])}
    return {".svg": lambda: b"<svg/>", ".png": lambda: b"\x89PNG", **tables(frames)}


def test_export_writes_every_file_and_replaces_none(tmp_path) -> None:
    """The same name twice gives a number to the second."""
    done, again = (export(tmp_path, "a/b c", makes_of()) for _ in range(2))
    assert done.written == ("a_b_c.svg", "a_b_c.png", "a_b_c-stats.csv", "a_b_c-stats.parquet")
    assert again.written == ("a_b_c_2.svg", "a_b_c_2.png", "a_b_c_2-stats.csv", "a_b_c_2-stats.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {*done.written, *again.written}
    assert str(done) == f"written into {tmp_path}: {', '.join(done.written)}"
    assert (tmp_path / "a_b_c.png").read_bytes().startswith(b"\x89PNG")


def test_a_parquet_file_holds_the_frame_as_it_was(tmp_path) -> None:
    """Types, order and missing values come back."""
    lb = balancer(simulated("first", "503"), simulated("second"), failover_retry_count=1)
    asyncio.run(lb.ask("why"))
    export(tmp_path, "kept", makes_of(lb))
    for name, frame in {"stats": lb.stats(), "history": lb.history()}.items():
        found = pd.read_parquet(tmp_path / f"kept-{name}.parquet")
        pd.testing.assert_frame_equal(
            found, pd.DataFrame(frame), check_dtype=False, check_index_type=False, check_categorical=False
        )
        assert [found[column].dtype.kind for column in found] == [frame[column].dtype.kind for column in frame]


def test_without_pyarrow_there_is_no_parquet_file_and_it_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    done = export(tmp_path, "plain", makes_of())
    assert done.written == ("plain.svg", "plain.png", "plain-stats.csv")
    assert "-stats.parquet not written: Parquet needs pyarrow; install it: " in str(done)


def test_the_picture_of_a_png_is_that_of_the_svg_in_twice_its_size() -> None:
    svg = panel.standalone_svg(*lived())
    found = Image.open(io.BytesIO(files.picture(svg))).convert("RGB")
    drawn = ET.fromstring(svg)
    assert found.size == (2 * int(drawn.attrib["width"]), 2 * int(drawn.attrib["height"]))
    for name, box in {"words": (0, 0, 400, 60), "visits": (600, 200, 1400, 500)}.items():
        assert len(found.crop(box).getcolors(1 << 16) or ()) > 2, name


def test_without_resvg_the_picture_is_no_png_and_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    done = export(tmp_path, "it", {".png": lambda: files.picture("<svg/>"), ".svg": lambda: b"<svg/>"})
    assert done.written == ("it.svg",)
    assert ".png not written: a PNG of the picture needs resvg-py; install it: " in str(done)


def test_what_one_file_lacks_hinders_no_other_and_is_said(tmp_path) -> None:
    def fail() -> bytes:
        raise ValueError("no font\nfor it")

    done = export(tmp_path, "it", {".png": fail, ".md": lambda: b"# words"})
    assert done.written == ("it.md",)
    assert str(done) == f"written into {tmp_path}: it.md; .png not written: ValueError: no font for it"


def test_a_folder_that_takes_no_file_is_named_once(tmp_path) -> None:
    folder = tmp_path / "missing"
    said = str(export(folder, "it", {".svg": lambda: b"", ".md": lambda: b""}))
    assert said == f".svg, .md not written: {folder}: No such file or directory"


def test_the_markdown_has_the_sentence_the_backends_and_the_prompts() -> None:
    snapshot, view = lived()
    said = markdown(snapshot, view, "2026-11-26 10:43:07 UTC")
    html = MarkdownIt("gfm-like", {"linkify": False}).render(said)
    words = text_of(html)
    assert "lb, 2026-11-26 10:43:07 UTC" in words
    assert status_of(snapshot).sentence in words
    assert len(Elements(html).named("tr")) == 4
    assert "backend-1 answered" in words


def test_nothing_in_the_markdown_acts() -> None:
    """What a server says is text, in a table cell of its own."""
    evil = HOSTILE + "| [x](javascript:alert(1)) ![y](http://z) $\\href{a}{b}$ `c` **d**"
    snapshot, view = drawn(backend("a", requests=1, failures=1, last_error=evil, in_vain=((evil, 1),)))
    html = MarkdownIt("gfm-like", {"linkify": False}).render(markdown(snapshot, view, "now"))
    assert Elements(html).named("img", "script", "a", "code", "svg") == []
    assert len(Elements(html).named("td")) == 7
    assert "**d" in text_of(html)


def test_the_png_takes_names_as_they_are() -> None:
    """A name that looks like mathematics or begins with an underscore is a name."""
    lb = balancer(simulated("_other", "503"), simulated("_hidden"), failover_retry_count=1)
    asyncio.run(lb.ask("why"))
    assert plots("$x^2$", [lb.plot_circuit, lb.plot_tpm]).startswith(b"\x89PNG")
