"""What is said by whom, in every form: nothing is lost, and nothing is sent that a service refuses."""

from __future__ import annotations

import contextlib
import json

import pytest

from llx_magic.backends.wires.turns import turns_of
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import BackendFailed
from llx_magic.core.message import Image, Message
from llx_magic.core.reply import ChatRequest

PICTURE = Image(media_type="image/png", data=b"a picture")
ALTERNATING = ("anthropic", "gemini", "bedrock")
EVERY = (*ALTERNATING, "openai", "responses", "ollama", "cohere")


def system(*pieces):
    return Message("system", pieces)


def user(*pieces):
    return Message("user", pieces)


def assistant(*pieces):
    return Message("assistant", pieces)


def sent(form: str, *messages: Message) -> str:
    request = ChatRequest(messages=messages, params={}, streaming=True)
    return wire_named(form).encode(request, "m").body.decode()


def test_turns_of_one_role_become_one_and_blank_ones_are_left_out():
    given = (system(" "), user("a"), assistant(""), user("\n", "b"), system("s"), assistant("c "), system("t"))
    assert turns_of(given) == (["s", "t"], [("user", ["a", "b"]), ("assistant", ["c"])])


@pytest.mark.parametrize(
    ("given", "turns"),
    [
        ((user("a"), system("s")), [("user", ["s", "a"])]),
        ((system("s"),), [("user", ["s"])]),
        ((assistant("a"), system("s")), [("user", ["s"]), ("assistant", ["a"])]),
    ],
)
def test_a_system_s_words_that_may_not_stand_apart_stand_before_all_others(given, turns):
    assert turns_of(given, apart=False) == ([], turns)


@pytest.mark.parametrize("form", ALTERNATING)
def test_a_system_prompt_that_is_all_there_is_is_asked_as_the_user_s(form):
    body = json.loads(sent(form, system("Say hello.")))
    (turn,) = body.get("messages") or body["contents"]
    assert turn["role"] == "user"
    assert "Say hello." in json.dumps(turn)


@pytest.mark.parametrize("form", ALTERNATING)
@pytest.mark.parametrize("messages", [(), (user(" "),), (user(),)], ids=["none", "blank", "empty"])
def test_a_prompt_that_says_nothing_is_not_sent(form, messages):
    with pytest.raises(BackendFailed, match="nothing was sent"):
        sent(form, *messages)


@pytest.mark.parametrize("form", EVERY)
def test_a_picture_in_a_system_prompt_is_sent_or_refused_and_never_lost(form):
    with contextlib.suppress(BackendFailed):
        assert "YSBwaWN0dXJl" in sent(form, system("Look:", PICTURE), user("What is it?"))
