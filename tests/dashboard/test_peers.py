"""The dashboard's tables of the processes that share the backends: what they say, their size, and that nothing acts."""

from __future__ import annotations

import re

import msgspec
import pytest

from llx_magic.core.peers import Card, Peer, Shared, SharedBackend, Used, peers_of
from llx_magic.dashboard import panel
from llx_magic.dashboard.parts.processes import draw
from llx_magic.observe import peers as words
from llx_magic.observe.frames.frames import peers_frame
from tests.dashboard.test_panel import Elements, backend, drawn

HOSTILE = """<img src=x onerror="alert(1)">'"&</title></svg><script>alert(2)</script>"""[:60]


def shared(*cards: Card | None, holder: int = -1, why: str = "", requests: float = 180.0) -> Shared:
    """Two backends, both shared by all of these; the first process is this one."""
    each = [Peer(card, 1.0, place == 0, place == holder) for place, card in enumerate(cards)]
    backends = (
        SharedBackend("large", peers_of(each, len(each), Used(requests))),
        SharedBackend("small", why="not asked yet"),
    )
    return Shared("team", () if why else backends, why)


def crowd(count: int) -> Shared:
    return shared(*(Card("node-1.example.org", number, "analysis.ipynb", rpm_limit=240) for number in range(count)))


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Elements(html).words))


def picture(found: Shared | None) -> str:
    return draw(found)


VIEWS = [words.plain, lambda found: text_of(words.as_html(found)), lambda found: text_of(picture(found))]
IDS = ["plain", "html", "dashboard"]


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
def test_every_view_says_who_where_how_much_and_what_of_the_circuit(view):
    here = Card("node-1", 7, "mine.ipynb", 30.0, 5, 1, rpm_limit=240)
    other = Card("node-2", 8, "theirs.py", 7_320.0, 60, 2, "open", 12.0, rpm_limit=240)
    said = view(shared(here, other, holder=1))
    for part in ("mine.ipynb (7), this one", "theirs.py (8)", "node-2", "31 s", "2 h 2 min", "180 of 240", "65",
                 "open, has the probe", "closed", "not asked yet"):  # fmt: skip
        assert part in said.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (shared(why="nothing is shared: LLX_SHARED names no server"), "nothing is shared"),
        (shared(Card("h", 1)), words.ALONE),
        (shared(Card("h", 1), None), words.UNKNOWN),
        (shared(), "shared by 0 processes"),
        (Shared("team", (SharedBackend("large", why="not asked yet"),)), "who shares its backends is not known"),
        (crowd(47), "and 7 further processes"),
        (Shared("team", (SharedBackend("large", peers_of([], 5_000, Used())),)), "and 5,000 further processes"),
    ],
    ids=["not shared", "alone", "unknown", "nobody", "not known", "many", "very many"],
)
def test_each_state_is_said_in_words(view, found, said):
    assert said in view(found)


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        (Peer(Card("h", 1, circuit="open", probe_in=12.0), 4.0), "open, probe in 8 s"),
        (Peer(Card("h", 1, circuit="open", probe_in=2.0), 4.0), "open, probe due"),
        (Peer(Card("h", 1, cooling_down=9.0), 4.0), "closed, cooling down 5 s"),
        (Peer(Card("h", 1, cooling_down=3.0), 4.0), "closed"),
        (Peer(Card("h", 1, circuit="half-open"), 0.0, has_probe=True), "half-open, has the probe"),
        (Peer(None, 0.0, has_probe=True), "N/A, has the probe"),
    ],
)
def test_times_have_gone_on_since_they_were_said(peer, said):
    assert words.circuit_of(peer) == said


@pytest.mark.parametrize(
    ("used", "limits", "said"),
    [(179.6, [240], "180 of 240"), (5.0, [300, 240], "5 of 240 to 300"), (5.0, [None], "no limit")],
)
def test_what_is_used_stands_beside_the_limit(used, limits, said):
    each = [Peer(Card("h", place, concurrency_limit=limit), 0.0) for place, limit in enumerate(limits)]
    backend = SharedBackend("large", peers_of(each, 1, Used(concurrency_limit=used)))
    assert words.used_of(backend, "concurrency_limit") == said


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
def test_limits_that_nobody_has_are_no_columns(view):
    said = view(shared(Card("h", 1, concurrency_limit=8)))
    assert "concurrency_limit" in said
    assert "rpm_limit" not in said


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
def test_the_levels_of_all_who_ask_rows_add_up_beside_their_limit(view):
    cards = (Card("h", 1, level=12), Card("h", 2), Card("h", 3, level=20))
    said = view(shared(*cards))
    assert all(part in said for part in ("evel of all", "32", "closed, level 12", "closed, level 20"))
    assert "32 of 64" in view(shared(*(msgspec.structs.replace(card, concurrency_limit=64) for card in cards)))


@pytest.mark.parametrize("view", VIEWS, ids=IDS)
def test_where_nobody_asks_rows_there_is_no_level(view):
    assert "evel" not in view(shared(Card("h", 1, concurrency_limit=64)))


def test_two_profiles_of_one_process_have_their_levels_together():
    found = peers_of([Peer(Card("h", 1, level=level), 0.0) for level in (3, None, 4)], 3, Used())
    assert [card.level for card in found.cards] == [7]


def test_nothing_is_drawn_where_nothing_is_shared():
    snapshot, view = drawn(backend("large"), backend("small"))
    assert panel.draw(snapshot, view)["processes"] == ""


def test_a_saved_notebook_has_the_processes_too():
    snapshot, view = drawn(backend("large"), backend("small"))
    assert "node-9" in panel.whole(snapshot, view, shared(Card("node-9", 1)))


@pytest.mark.parametrize("render", [words.as_html, picture], ids=["html", "dashboard"])
def test_what_others_say_of_themselves_stays_text(render):
    html = render(shared(Card("h", 1), Card(HOSTILE, 2, HOSTILE)))
    assert Elements(html).named("img", "script", "svg") == []
    assert not re.search(r"<[^>]*\son\w+\s*=", html)


def test_forty_processes_are_terse():
    assert len(picture(crowd(40))) < 12_000
    assert len(picture(crowd(200))) < 12_000


def test_the_frame_has_a_row_for_each_backend_and_process():
    frame = peers_frame(shared(Card("node-1", 7, "mine", 30.0, 5, rpm_limit=240), None, holder=1), 1_000.0, 0.0)
    assert list(frame["backend"]) == ["large", "large"]
    assert list(frame["has_probe"]) == [False, True]
    assert list(frame["rpm_used"]) == [180.0, 180.0]
    assert frame["host"].isna().tolist() == [False, True]
    assert frame["since"].dt.tz is not None


def test_the_frame_has_its_columns_and_types_without_rows():
    full, empty = (peers_frame(found, 0.0, 0.0) for found in (shared(Card("h", 1)), Shared("team", why="away")))
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)
