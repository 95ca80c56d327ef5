"""A field of another type than a form says costs no more than itself, and ends no request with a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest

from llx_magic.backends.reading.body import Odd
from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.reply import Answer
from tests.faults.asking import Pieces
from tests.wires.goldens import Golden, goldens

SCENARIOS = ("plain", "whole", "thinking", "tool-with-text", "refusal", "cached-usage")
ODD: tuple[object, ...] = (None, True, 7, -1.5, "12", "", [], ["x"], [{}], {}, {"x": 1})
GOOD = [each for each in goldens() if each.scenario in SCENARIOS]
PLAIN = {each.form: each for each in GOOD if each.scenario == "plain"}
TEXT = "Two is a prime."


def events(golden: Golden) -> list[ServerEvent]:
    decoder = golden.reader(Pieces()).decoder()
    return [*decoder.feed(golden.body), *decoder.flush()]


def read(golden: Golden, given: list[ServerEvent]) -> Answer | BackendFailed:
    reader = golden.reader(Pieces())
    try:
        for event in given:
            reader.take(event)
        return reader.end()
    except BackendFailed as failed:
        return failed


def places(value: object, here: tuple = ()) -> Iterator[tuple]:
    """Yield the way to each field within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield (*here, name)
        yield from places(each, (*here, name))


def with_odd(document: object, place: tuple, odd: object) -> str:
    changed = copy.deepcopy(document)
    holder = changed
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = odd
    return json.dumps(changed)


@pytest.mark.parametrize("golden", GOOD, ids=lambda each: f"{each.form}-{each.scenario}")
def test_a_field_of_any_type_gives_an_answer_or_a_failure(golden: Golden):
    whole = events(golden)
    for number, event in enumerate(whole):
        if event.event in set(Odd) or not event.data.startswith("{"):
            continue
        document = json.loads(event.data)
        for place in places(document):
            for odd in ODD:
                changed = ServerEvent(event.event, with_odd(document, place, odd))
                read(golden, [*whole[:number], changed, *whole[number + 1 :]])  # whatever it is, it is no other error


@pytest.mark.parametrize(
    ("form", "ours", "odd"),
    [
        ("gemini", '"index":0', '"index":"0"'),
        ("gemini", '"parts":[{"text":"Two is"}]', '"parts":{"text":"Two is"}'),
        ("gemini", '"parts":[{"text":"Two is"}]', '"parts":["Two is"]'),
        ("anthropic", '"type":"text_delta",', ""),
        ("anthropic", '"type":"text_delta",', '"type":null,'),
        ("ollama", '"content":"Two is"', '"content":[{"type":"text","text":"Two is"}]'),
        ("ollama", '"done":true', '"done":"true"'),
        ("ollama", '"done":true', '"done":1'),
        ("cohere", '"content":{"text":"Two is"}', '"content":"Two is"'),
        ("cohere", '"content":{"text":"Two is"}', '"content":[{"text":"Two is"}]'),
        ("responses", '"status":"completed"', '"status":["completed"]'),
        ("openai", '"index":0', '"index":"0"'),
    ],
)
def test_text_is_read_wherever_it_can_be(form, ours, odd):
    golden = PLAIN[form]
    body = golden.body.decode()
    assert ours in body
    outcome = read(golden, events(Golden(form, "plain", golden.head, body.replace(ours, odd).encode())))
    assert isinstance(outcome, Answer)
    assert outcome.text == TEXT


@pytest.mark.parametrize("odd", ["true", 1])
def test_a_thought_is_told_apart_however_its_mark_is_written(odd):
    golden = next(each for each in GOOD if each.form == "gemini" and each.scenario == "thinking")
    body = golden.body.replace(b'"thought":true', f'"thought":{json.dumps(odd)}'.encode())
    assert body != golden.body
    outcome = read(golden, events(Golden("gemini", "thinking", golden.head, body)))
    assert isinstance(outcome, Answer)
    assert (outcome.text, outcome.reasoning) == (golden.head["text"], golden.head["reasoning"])


def test_responses_that_stream_their_reasoning_alone_give_the_text_of_the_whole_at_the_end():
    golden = PLAIN["responses"]
    lines = [line for line in golden.body.split(b"\n\n") if b"output_text.delta" not in line]
    thought = b'data: {"type":"response.reasoning_summary_text.delta","delta":"Hm."}'
    outcome = read(golden, events(Golden("responses", "plain", golden.head, b"\n\n".join((thought, *lines)))))
    assert isinstance(outcome, Answer)
    assert (outcome.text, outcome.reasoning) == (TEXT, "Hm.")


@pytest.mark.parametrize("form", sorted(PLAIN))
@pytest.mark.parametrize("odd", [None, 7, "m", [], [None, 7, "m", [], {}, {"id": 7, "name": [], "model": {}}], {}])
def test_a_list_of_models_of_any_shape_gives_names_or_none(form, odd):
    wire = wire_named(form)
    for page in (odd, {"data": odd}, {"models": odd}, {"modelSummaries": odd, "inferenceProfileSummaries": odd}):
        assert all(isinstance(name, str) and name for name in wire.models(page))


@pytest.mark.parametrize("form", sorted(set(PLAIN) - {"bedrock"}))
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"type": "error", "message": "Overloaded", "code": "overloaded_error"}, FailureKind.SERVER),
        ({"error": {"message": "Slow down", "type": "rate_limit_exceeded"}}, FailureKind.RATE_LIMIT),
        ({"error": "insufficient credits"}, FailureKind.RATE_LIMIT),
        ({"message": "Too many requests", "status": 429}, FailureKind.RATE_LIMIT),
        ({"detail": "Internal Server Error"}, FailureKind.SERVER),
    ],
)
def test_an_error_within_a_reply_has_its_kind_in_every_form_however_it_is_laid_out(form, said, kind):
    outcome = read(PLAIN[form], [ServerEvent("message", json.dumps(said))])
    assert isinstance(outcome, BackendFailed)
    assert outcome.failure.kind is kind
