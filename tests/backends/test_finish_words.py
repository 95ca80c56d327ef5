"""The words that end a reply: each server's own, in whatever case, and the few that they mean."""

from __future__ import annotations

import pytest

from llx_magic.backends.reading.finish import Finish, meaning_of, says_nothing
from llx_magic.backends.reading.reply import AFTER_END_SECONDS, AFTER_FINISH_SECONDS, WITHOUT_TEXT_SECONDS
from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.core.failure import FailureKind
from tests.backends.kit import delta, read, text_of
from tests.faults.asking import Pieces

MEANINGS = {
    Finish.STOP: "stop STOP Stop end_turn stop_sequence eos_token eos COMPLETE STOP_SEQUENCE FinishReason.STOP "
    "FINISH_REASON_STOP eosFound endTurn",
    Finish.LENGTH: "length Length MAX_TOKENS max_tokens maxTokens model_length model_context_window_exceeded "
    "context_length_exceeded token_limit FINISH_REASON_MAX_TOKENS contextLengthReached REASON_MAX_LEN",
    Finish.TOOL: "tool_calls function_call tool_use TOOL_CALL toolCalls",
    Finish.FILTER: "content_filter CONTENT_FILTER contentFilter SAFETY RECITATION PROHIBITED_CONTENT SPII BLOCKLIST "
    "LANGUAGE IMAGE_SAFETY MODEL_ARMOR sensitive guardrail_intervened content_filtered ERROR_TOXIC",
    Finish.REFUSED: "refusal REFUSAL",
    Finish.BROKEN: "error ERROR abort aborted cancelled canceled insufficient_system_resource network_error timeout "
    "MALFORMED_FUNCTION_CALL OTHER load unload pause_turn USER_CANCEL failed malformed_model_output",
}
WORDS = [(word, meaning) for meaning, words in MEANINGS.items() for word in words.split()]
UNDECIDED = ["", "null", "None", "unspecified", "FINISH_REASON_UNSPECIFIED", "not_finished", "in_progress"]


@pytest.mark.parametrize(("word", "meaning"), WORDS)
def test_each_servers_word_has_its_meaning_whatever_its_case(word, meaning):
    """One table for all."""
    assert meaning_of(word) is meaning
    assert not says_nothing(word)


@pytest.mark.parametrize("word", [each for each, meaning in WORDS if meaning is Finish.BROKEN])
def test_a_reply_that_was_broken_off_is_not_whole(word):
    """Half a sentence is never shown as an answer; the next backend is asked."""
    failure, _ = read(delta("Half a sen"), delta(None, word), "[DONE]")
    assert failure.kind is FailureKind.BAD_REPLY
    assert failure.message.startswith("the server broke off with ")


@pytest.mark.parametrize("word", [each for each, meaning in WORDS if meaning is Finish.FILTER])
def test_a_reply_that_was_filtered_is_withdrawn(word):
    """In the words of all who filter; a later word takes nothing back."""
    for events in ([delta("Ha", word)], [delta("Ha"), delta(None, word), delta(None, "stop"), "[DONE]"]):
        assert read(*events)[0].kind is FailureKind.CONTENT_FILTER


@pytest.mark.parametrize("word", [each for each, meaning in WORDS if meaning is Finish.LENGTH])
def test_a_reply_that_was_cut_says_so_in_our_word(word):
    """So that the note under it is the same for all."""
    assert read(delta("Hal"), delta(None, word))[0].finish_reason == "length"


@pytest.mark.parametrize("word", [*UNDECIDED, False, 0, None, {}, [], {"type": None}])
def test_a_word_that_says_that_nothing_has_ended_ends_nothing(word):
    """Some send one with every piece."""
    failure, _ = read(delta("Half", word))
    assert failure.message == "the stream ended before the reply was complete"
    assert read(delta("Yes", word), "[DONE]")[0].finish_reason is None


@pytest.mark.parametrize("word", ["escalation", "x" * 5000, "\u202e odd\nword"])
def test_an_unknown_word_is_a_success_and_is_shown_as_a_note(word):
    """On one line, and short."""
    answer, _ = read(delta("Yes", word))
    assert answer.text == "Yes"
    assert answer.finish_reason
    [note] = answer.notes
    assert note == f"the backend finished with {answer.finish_reason!r}"
    assert note.isprintable()
    assert len(note) < 80


@pytest.mark.parametrize("word", [{"type": "stop", "matched": 7}, ["stop"], {"reason": "STOP"}])
def test_a_word_inside_an_object_or_a_list_is_found(word):
    """SGLang's own form has one."""
    assert read(delta("Yes", word))[0].finish_reason == "stop"


def test_a_refusal_is_an_answer_where_it_has_words_and_filtered_where_it_has_none():
    """The model's own words are what the user asked for."""
    answer, _ = read(delta("I would rather not."), delta(None, "refusal"))
    assert answer.notes == ("the model refused",)
    assert read(delta(None, "refusal"))[0].kind is FailureKind.CONTENT_FILTER


def test_text_after_a_finish_reason_is_taken_unless_it_is_of_another_reply():
    """By its id; one without an id is of this reply."""
    mine, other = {"id": "c1"}, {"id": "c2"}
    events = [{**delta("Yes", "stop"), **mine}, {**delta(", it"), **mine}, {**delta(" no"), **other}, delta(" is.")]
    assert read(*events, "[DONE]")[0].text == "Yes, it is."


def test_usage_and_errors_of_another_reply_are_not_taken_either():
    """They are not about this one."""
    usage = {"id": "c2", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}
    answer, _ = read({**delta("Yes", "stop"), "id": "c1"}, usage, {"id": "c2", "error": {"message": "boom"}})
    assert (answer.text, answer.usage) == ("Yes", None)


def test_an_error_between_pieces_that_all_have_a_finish_reason_is_heeded():
    """Where text came after a finish reason, such a word does not make a reply whole."""
    events = [delta("One ", "stop"), delta("two ", "stop"), {"error": {"message": "boom"}}]
    assert read(*events)[0].message == "the server reported an error: boom"


def patience_after(*chunks: object) -> float | None:
    reader = ReplyReader("alpha", "m", Pieces())
    for chunk in chunks:
        reader.take(ServerEvent("message", text_of(chunk)))
    return reader.patience


def test_silence_ends_a_reply_only_once_something_said_that_it_ends():
    """Long where no text came before the finish reason, short after the end mark; without either the limits govern."""
    thought = delta(None, reasoning="Hm")
    assert patience_after(delta("Yes")) is patience_after(thought) is None
    assert patience_after(delta("Yes", "stop")) == AFTER_FINISH_SECONDS
    assert patience_after(delta(None, "length")) == AFTER_FINISH_SECONDS
    assert patience_after(thought, delta(None, "stop")) == WITHOUT_TEXT_SECONDS
    assert patience_after(thought, delta(None, "stop"), delta("Yes")) == AFTER_FINISH_SECONDS
    assert patience_after(delta("Yes", "stop"), "[DONE]") == patience_after(delta("Yes"), "[done]") == AFTER_END_SECONDS


# --- tools ----------------------------------------------------------------------------------------------------------

CALLS = {
    "OpenAI": {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "look_up", "arguments": ""}}]},
    "the older form": {"function_call": {"name": "look_up", "arguments": "{}"}},
    "one that is no list": {"tool_calls": {"function": {"name": "look_up"}}},
    "a flat one": {"tool_calls": [{"name": "look_up"}]},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wish_for_a_tool_alone_is_refused_in_its_name(call):
    """It is the request that offered it: not tried again, not counted."""
    failure, _ = read(delta(None, **call), delta(None, "tool_calls"), "[DONE]")
    assert (failure.kind, failure.counts) == (FailureKind.BAD_REQUEST, False)
    assert failure.message == "the reply asks for the tool look_up; llx_magic runs none"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wish_for_a_tool_after_some_text_is_a_note(call):
    """The text is the answer."""
    answer, _ = read(delta("First I look."), delta(None, "tool_calls", **call))
    assert (answer.text, answer.finish_reason) == ("First I look.", "tool_calls")
    assert answer.notes == ("the reply asks for the tool look_up; llx_magic runs none",)


@pytest.mark.parametrize("calls", [None, [], {}, "", [None], [{}], 0])
def test_no_wish_is_read_from_an_empty_field(calls):
    """Many servers send it with every piece."""
    assert read(delta("Yes", "stop", tool_calls=calls))[0].notes == ()
