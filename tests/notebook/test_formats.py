"""``-f json`` and ``-f code``: the model is told, asked once more where JSON is none, and the reply is never lost."""

from __future__ import annotations

import re

import pytest

from tests.faults.modes import answers
from tests.notebook.kit import User

JSON = '{"primes": [2, 3]}'


def messages(server, request: int = 0) -> list[tuple[str, str]]:
    return [(each["role"], each["content"]) for each in server.requests[request].json["messages"]]


def shown(ran) -> dict[str, str]:
    return ran.shown[-1]["data"]


def test_the_model_is_told_that_json_is_wanted(viewer, first):
    answers(first, JSON)
    viewer("%%llx -f json -s 'Be brief.'\nhello").fine()
    (role, told), (_user, prompt) = messages(first)
    assert role == "system"
    assert told.startswith("Be brief.\n\nAnswer with one JSON value")
    assert prompt.strip() == "hello"


def test_the_model_is_told_that_code_is_wanted(viewer, first):
    viewer("%%llx -f code\nhello").fine()
    assert "one fenced code block" in messages(first)[0][1]


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_of_other_forms_nothing_is_said(viewer, first, form):
    viewer(f"%%llx -f {form}\nhello").fine()
    assert [role for role, _text in messages(first)] == ["user"]


def test_what_the_model_is_told_is_not_kept_in_the_conversation(viewer, first):
    answers(first, JSON, "fine")
    viewer("%%llx --chat trip -f json\nhello").fine()
    viewer.shell.kernel.cell = "another"
    viewer("%%llx --chat trip\nand then").fine()
    assert "Answer with one JSON" not in str(messages(first, 1))


def test_a_reply_that_is_no_json_is_asked_for_once_more_with_what_is_wrong(viewer, first):
    answers(first, "Sure! Two and three.", JSON)
    ran = viewer("%%llx -f json -o answer\nhello").fine()
    assert [role for role, _text in messages(first, 1)] == ["system", "user", "assistant", "user"]
    assert messages(first, 1)[2][1] == "Sure! Two and three."
    assert "is no JSON: Expecting value" in messages(first, 1)[3][1]
    assert viewer["answer"].json() == {"primes": [2, 3]}
    assert viewer["answer"].attempts == 2
    assert "asked again: the first reply was not JSON; it took" in shown(ran)["text/plain"]
    assert "Sure!" not in shown(ran)["text/plain"]


def test_a_reply_that_is_json_is_asked_for_once(viewer, first):
    answers(first, f"```json\n{JSON}\n```")
    viewer("%%llx -f json\nhello").fine()
    assert len(first.requests) == 1


def test_after_the_last_reply_that_is_none_the_error_is_one_line_and_the_reply_is_kept(viewer, first):
    answers(first, "no", "no, I said", "never", JSON)
    ran = viewer("%%llx -f json -b first\nhello")
    assert ran.failure.startswith("ReplyFormatError: the reply is no JSON")
    assert len(first.requests) == 3
    assert viewer.last.text == "never"
    assert "never" in shown(ran)["text/plain"]


def test_a_backend_that_gives_none_is_passed_over_after_so_many_times(viewer, first, second):
    answers(first, "no", "no, I said", JSON)
    answers(second, JSON)
    ran = viewer("%%llx -f json --set schema_retries=1\nhello").fine()
    assert viewer.last.backend == "second"
    assert [role for role, _text in messages(second)] == ["system", "user"]
    assert "asked again: 2 replies were not JSON" in shown(ran)["text/plain"]


def test_where_nobody_answers_the_second_time_the_first_reply_is_kept(viewer, first, second):
    second.set_default("503")
    answers(first, "prose")
    first.set_default("503")
    ran = viewer("%%llx -f json\nhello")
    assert "is no JSON" in ran.failure
    assert viewer.last.text == "prose"
    assert "prose" in shown(ran)["text/plain"]
    assert "asked again: no reply was JSON" in shown(ran)["text/plain"]


def test_a_reply_that_nobody_was_asked_for_again_has_no_such_note(viewer, first):
    answers(first, "prose")
    ran = viewer("%%llx -f json -b first --set schema_retries=0\nhello")
    assert "is no JSON" in ran.failure
    assert len(first.requests) == 1
    assert "asked again" not in shown(ran)["text/plain"]


def test_a_reply_that_was_cut_is_not_asked_for_again(viewer, first):
    first.set_default("length")
    assert "JSON" in viewer("%%llx -f json\nhello").failure
    assert len(first.requests) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [("9" * 5000, "a number of too many digits to read"), ("[" * 20_000, "nested too deeply")],
    ids=["digits", "depth"],
)
def test_json_that_python_cannot_hold_is_one_line_and_the_reply_is_kept(viewer, first, text, says):
    first.text = text
    ran = viewer("%%llx -f json -b first\nhello")
    assert says in ran.failure
    assert viewer.last.text == text


def test_half_a_character_in_json_is_shown_and_ends_nothing(viewer, first):
    answers(first, r'{"a": "\ud83d"}')
    viewer("%%llx -f json\nhello").fine()
    assert viewer.last.json() == {"a": "\ud83d"}


def test_prose_that_came_instead_of_json_has_no_colours(viewer, first):
    first.text = "for i in range, True and 12"
    html = shown(viewer("%%llx -f json -b first\nhello"))["text/html"]
    assert "for i in range" in html
    assert not re.search(r"<span style=.color", html)


def test_json_has_colours(viewer, first):
    answers(first, JSON)
    assert re.search(r"<span style=.color", shown(viewer("%%llx -f json\nhello").fine())["text/html"])


def test_code_without_a_fence_is_shown_as_code_and_words_as_they_are(viewer, first):
    answers(first, "x = 1\nprint(x)", "I cannot do that.")
    assert shown(viewer("%%llx -f code\nhello").fine())["text/plain"].startswith("```python\nx = 1\nprint(x)\n```")
    assert shown(viewer("%%llx -f code\nhello").fine())["text/plain"].startswith("I cannot do that.")
    assert viewer.last.notes == ("the reply holds no code",)


def test_in_a_terminal_only_the_json_that_came_at_last_is_shown(user: User, first):
    answers(first, "Sure! Two and three.", JSON)
    ran = user("%%llx -f json\nhello").fine()
    assert "Sure" not in ran.printed
    assert "asked again: the first reply was not JSON" in ran.printed
    assert ran.printed.rstrip().splitlines()[-2].strip() == JSON


def test_a_dry_run_shows_what_the_model_is_told(viewer):
    assert "Answer with one JSON value" in viewer("%%llx -f json --dry-run\nhello").fine().printed
