"""Each form reads the exact bytes of its service, however they are cut, and believes no end that has not come."""

from __future__ import annotations

import itertools
import random

import pytest

from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import FailureKind
from llx_magic.core.reply import Answer
from llx_magic.providers.provider import FORMS
from tests.faults.asking import Pieces
from tests.wires.goldens import SCENARIOS, Golden, absent, forms, goldens, terminals

ALL = goldens()
STREAMS = [each for each in ALL if each.is_answer and each.status == 200]
KEYS = {
    "status", "content-type", "ends", "text", "reasoning", "finish", "model", "response-id", "usage", "notes",
    "failure", "message-has", "wait", "quota", "amounts-to", "retry", "partial",
}  # fmt: skip
MOST_CUTS = 1_500

over_all = pytest.mark.parametrize("golden", ALL, ids=lambda each: f"{each.form}-{each.scenario}")


@pytest.mark.parametrize("form", forms())
def test_a_form_has_a_golden_of_every_scenario_or_a_reason_why_not(form):
    there = {each.scenario for each in ALL if each.form == form}
    assert not set(SCENARIOS) - there - set(absent(form))
    assert not there & set(absent(form))
    assert all(absent(form).values())


def test_every_reader_has_goldens():
    """Forms that differ only in how they ask share a reader, and its goldens."""
    covered = {type(wire_named(form).reader("a", "m", Pieces())) for form in forms()}
    missing = [form for form in FORMS.values() if type(wire_named(form).reader("a", "m", Pieces())) not in covered]
    assert not missing


@over_all
def test_the_head_of_a_golden_holds_no_word_that_nobody_reads(golden: Golden):
    assert all(key in KEYS or key.startswith("header-") for key in golden.head)
    assert golden.head.get("failure", FailureKind.SERVER) in set(FailureKind)


@over_all
def test_a_golden_gives_what_its_head_says(golden: Golden):
    outcome, pieces = golden.read([golden.body])
    assert golden.seen(outcome, pieces) == golden.expected(), outcome
    if not isinstance(outcome, Answer):
        assert golden.head.get("message-has", "") in outcome.message


@over_all
@pytest.mark.parametrize("way", ["byte by byte", "at random"])
def test_how_the_bytes_were_cut_does_not_matter(golden: Golden, way):
    body = golden.body
    cuts = list(range(1, len(body)))
    if way == "at random":
        chance = random.Random(f"{golden.form}/{golden.scenario}")
        cuts = sorted(chance.sample(cuts, min(20, len(cuts))))
    ends = [0, *cuts, len(body)]
    outcome, pieces = golden.read([body[begin:end] for begin, end in itertools.pairwise(ends)])
    assert golden.seen(outcome, pieces) == golden.expected(), outcome


@pytest.mark.parametrize("golden", STREAMS, ids=lambda each: f"{each.form}-{each.scenario}")
def test_no_beginning_of_a_good_reply_is_whole_before_its_terminal_event(golden: Golden):
    """A connection that closes or breaks in the middle is a failure, and after the end the text is the same."""
    body = golden.body.rstrip()
    ends = [at + len(mark) for mark in terminals(golden.form) if (at := body.find(mark)) >= 0]
    earliest = len(body) if golden.is_document else min(ends)
    for size in range(0, len(body), 1 + len(body) // MOST_CUTS):
        outcome, _ = golden.read([body[:size]]) if golden.head.get("ends") != "silence" else _closed(golden, size)
        if size < earliest:
            assert not isinstance(outcome, Answer), f"whole after {size} of {len(body)} bytes"
            assert not _whole_if_broken(golden, size), f"whole where it breaks after {size} of {len(body)} bytes"
        elif isinstance(outcome, Answer):
            assert outcome.text == golden.head.get("text", "")


def _closed(golden: Golden, size: int):
    head = {key: value for key, value in golden.head.items() if key != "ends"}
    return Golden(golden.form, golden.scenario, head, golden.body).read([golden.body[:size]])


def _whole_if_broken(golden: Golden, size: int) -> bool:
    reader = golden.reader(Pieces())
    reader.feed(golden.body[:size])
    return reader.whole_if_cut
