"""One odd field never costs a reply: what is understood is taken, what is not is passed over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.reading.lenient import NoJson, read_json
from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.backends.wires.openai_chunk import chunk_of, read_chunk
from llx_magic.core.failure import FailureKind
from tests.backends.kit import delta, read, read_body, read_whole

ODD: list[object] = [None, False, True, 0, 7, -1.5, "", "x", [], {}, [1], {"x": [1]}, [None], [{}], [[]], 10**400]
HARMLESS = [
    "reasoning_content", "reasoning", "reasoning_details", "thinking", "role", "audio", "annotations", "refusal_x",
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", HARMLESS)
def test_a_field_of_a_delta_may_be_of_any_type(name, value):
    """The text is whole."""
    answer, _ = read(delta("Ye", **{name: value}), delta("s", "stop"), "[DONE]")
    assert answer.text == "Yes"


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    "name", ["index", "logprobs", "usage", "stop_reason", "matched_stop", "content_filter_results"]
)
def test_a_field_of_a_choice_may_be_of_any_type(name, value):
    """But for a number or a text that is another choice's index."""
    if name == "index" and value in (7, -1.5, 10**400):
        return
    chunk = delta("Yes", "stop")
    chunk["choices"][0][name] = value
    assert read(chunk)[0].text == "Yes"


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", ["id", "model", "created", "object", "usage", "x_groq", "usageMetadata", "timings"])
def test_a_field_of_a_chunk_may_be_of_any_type(name, value):
    """The model is then the one that was asked for."""
    answer, _ = read({**delta("Ye"), name: value}, {**delta("s", "stop"), name: value})
    assert answer.text == "Yes"
    assert answer.model == (value if name == "model" and value == "x" else "asked-for")


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, [None], "[]"])
def test_a_delta_or_a_list_of_choices_may_be_empty_in_any_type(value):
    """It then holds nothing."""
    chunks = [{"choices": [{"delta": value}]}, {"choices": value}, {"choices": [value]}]
    expected = "[]Yes" if value == "[]" else "Yes"
    assert read(*chunks, delta("Yes", "stop"))[0].text == expected


@pytest.mark.parametrize(
    "choices",
    [
        {"index": 0, "delta": {"content": "Yes"}, "finish_reason": "stop"},
        {"0": {"delta": {"content": "Yes"}, "finish_reason": "stop"}},
        [{"delta": [{"content": "Yes"}], "finish_reason": "stop"}],
        [{"delta": "Yes", "finish_reason": "stop"}],
        [{"text": "Yes", "finish_reason": "stop"}],
        [{"index": "0", "message": {"content": "Yes"}, "finish_reason": "stop"}],
        [{"index": None, "delta": {"content": {"type": "text", "text": "Yes"}}, "finish_reason": "stop"}],
        [{"delta": {"content": [{"text": {"value": "Y"}}, "es", None]}, "finish_reason": "stop"}],
        [{"delta": {"content": {"parts": [{"text": "Yes"}]}}, "finish_reason": "stop"}],
        [None, 7, {"delta": {"content": "Yes"}, "finish_reason": "stop"}],
    ],
)
def test_a_choice_in_another_layout_is_read(choices):
    """Alone, numbered, in a list too many, without its frame."""
    assert read({"choices": choices})[0].text == "Yes"


@pytest.mark.parametrize("content", [7, True, 1.5, {"a": 1}, [7], [["x"]]])
def test_a_text_that_cannot_be_read_fails(content):
    """It would else be a silent gap."""
    failure, _ = read(delta("Ye"), delta(content), delta("s", "stop"))
    assert failure.kind is FailureKind.BAD_REPLY
    assert failure.message == "an unusable reply: its content is no text"


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "-" + "9" * 5000, "0.1e-99999"]
)
def test_a_number_that_no_computer_holds_is_passed_over(number):
    """Wherever it stands."""
    data = json.dumps({**delta("Yes", "stop"), "x": "NUMBER", "usage": {"prompt_tokens": "NUMBER"}})
    assert read(data.replace('"NUMBER"', number))[0].text == "Yes"


@pytest.mark.parametrize("raw", ["a\tb", "a\x00b", "a\x1fb"])
def test_a_character_that_should_be_escaped_is_taken_as_it_is(raw):
    """JSON writers of our own making forget it."""
    data = json.dumps(delta("TEXT", "stop")).replace("TEXT", raw)
    assert read(data)[0].text == raw


def content(escapes: str) -> str:
    return json.dumps(delta("TEXT")).replace("TEXT", escapes)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\\ud83d", "\\ude00"], "\U0001f600"),
        (["a\\ud83d", "\\ude00b\\ud83d", "\\ude00"], "a\U0001f600b\U0001f600"),
        (["\\ud83d", "", "\\ude00"], "\U0001f600"),
        (["a\\ud83d", "b"], "a\ufffdb"),
        (["\\ude00b"], "\ufffdb"),
        (["a\\ud83d"], "a\ufffd"),
        (["\\ud83d\\ud83d", "\\ude00"], "\ufffd\U0001f600"),
        (["a", "\\ud83d"], "a\ufffd"),
        (["\\ud83d"], "\ufffd"),
        (["\\ude00", "\\ud83d"], "\ufffd\ufffd"),
    ],
)
def test_halves_of_a_character_are_joined_and_one_alone_is_replaced(pieces, text):
    """A tokenizer cuts where it likes, and a JSON writer escapes what it got."""
    answer, reported = read(*map(content, pieces), "[DONE]")
    assert answer.text == "".join(reported.text) == text
    assert not any("\ud800" <= each <= "\udfff" for each in answer.text)


def test_halves_in_reasoning_are_joined_and_those_in_names_do_no_harm():
    """They are replaced where nothing follows."""
    halves = [json.dumps(delta(None, reasoning="HALF")).replace("HALF", half) for half in ("\\ud83d", "\\ude00")]
    assert read(*halves, delta("Yes", "stop"))[0].reasoning == "\U0001f600"
    data = json.dumps({**delta("Yes", "stop", reasoning="HALF"), "model": "HALF", "id": "HALF"})
    answer, _ = read(data.replace("HALF", "\\ud83d"))
    assert (answer.text, answer.reasoning) == ("Yes", "\ufffd")
    assert answer.model.isprintable()


@pytest.mark.parametrize(
    "beat",
    ["ping", "keep-alive", ": OPENROUTER PROCESSING", "", " ", "1", "-0.5", '"ping"', "null", "true", "[]", "[1]"],
)
def test_a_heartbeat_passes(beat):
    """Whatever a gateway sends to keep a connection open."""
    answer, _ = read(beat, delta("Ye"), beat, delta("s", "stop"), beat, "[DONE]")
    assert answer.text == "Yes"


def test_heartbeats_without_end_are_bounded():
    """The limits on time end the others."""
    failure, _ = read(*["ping"] * 10_001)
    assert failure.message == "more than 10000 events that are no piece of a reply"


def test_a_stream_that_says_nothing_else_than_words_is_ended_with_the_last_of_them():
    """Some gateways write their error as plain text; known words have their kind."""
    failure, _ = read("ping", "the backend is gone")
    assert failure.message == "the stream ended without a reply: 'the backend is gone'"
    failure, _ = read("429 Too many requests")
    assert failure.kind is FailureKind.RATE_LIMIT


@pytest.mark.parametrize("broken", ['{"choices": [{"del', "{", '{"choices": [}', "{]", '{"a": 1} x'])
def test_a_piece_that_begins_like_one_and_is_broken_fails(broken):
    """A piece of the text may have stood there."""
    failure, _ = read(delta("Half"), broken, delta("text", "stop"))
    assert failure.kind is FailureKind.BAD_REPLY
    assert failure.message.startswith("an unusable piece of the stream: ")


def test_several_pieces_in_one_array_are_taken_in_order():
    """Some servers gather them."""
    assert read(json.dumps([delta("Ye"), None, delta("s", "stop")]))[0].text == "Yes"


WORDS = st.text(max_size=5) | st.none()
STRICT = st.fixed_dictionaries(
    {},
    optional={
        "id": WORDS,
        "model": WORDS,
        "error": st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        "usage": st.none() | st.dictionaries(st.sampled_from(["prompt_tokens", "x"]), st.integers(0, 9)),
        "x_groq": st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        "unknown": st.integers() | WORDS,
        "choices": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.integers(0, 3),
                    "delta": st.fixed_dictionaries(
                        {},
                        optional={"content": WORDS, "reasoning": WORDS, "tool_calls": st.lists(st.none(), max_size=2)},
                    ),
                    "message": st.none() | st.fixed_dictionaries({}, optional={"content": WORDS}),
                    "finish_reason": WORDS,
                    "text": WORDS,
                },
            ),
            max_size=3,
        ),
    },
)


@given(STRICT)
def test_the_quick_way_and_the_patient_way_read_the_same(document):
    """A chunk that is as the form says is decoded in one go; the other way must find the same in it."""
    assert read_chunk(json.dumps(document)) == chunk_of(document)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_whatsoever_escape_as_another_exception(raw):
    """As a body, in one piece or in two."""
    for pieces in ((raw,), (raw[: len(raw) // 2], raw[len(raw) // 2 :])):
        outcome = read_body(*pieces)
        assert getattr(outcome, "text", "") or outcome.message


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000, '{"choices": ' + "[" * 100_000])
def test_json_that_is_nested_too_deeply_is_no_json(deep):
    """It ends neither in a traceback nor in a crash."""
    with pytest.raises(NoJson):
        read_json(deep)
    assert read_whole(deep).kind is FailureKind.BAD_REPLY
    assert read(ServerEvent("error", deep))[0].kind is FailureKind.BAD_REPLY
