"""``--schema`` and ``--effort`` of a cell: what is sent, shown and kept, and what cannot be asked."""

from __future__ import annotations

import re

import pytest

from llx_magic.text.blocks import ReplyFormatError
from tests.faults.server import status
from tests.notebook.kit import User
from tests.notebook.test_formats import answers, messages, shown

GOOD = '{"label": "bug", "urgent": true}'
BAD = '{"label": "praise", "urgent": true}'
SCHEMA = {"label": ["bug", "billing"], "urgent": bool}


@pytest.fixture
def desk(viewer: User, first) -> User:
    """A notebook with a schema in a variable, whose first backend gives what fits."""
    first.text = GOOD
    viewer.shell.user_ns["Ticket"] = SCHEMA
    return viewer


def test_a_cell_has_the_typed_value_and_shows_it_as_json_with_colours(desk, first):
    ran = desk("%%llx --schema Ticket -o ticket\nSort this.").fine()
    assert desk["ticket"].value == {"label": "bug", "urgent": True}
    assert first.requests[0].json["response_format"]["json_schema"]["schema"]["required"] == ["label", "urgent"]
    assert shown(ran)["text/plain"].startswith('{\n  "label": "bug",')
    assert re.search(r"<span style=.color", shown(ran)["text/html"])


def test_a_class_of_the_notebook_is_a_schema(desk, first):
    desk("import msgspec\nclass Ticket(msgspec.Struct):\n    label: str\n    urgent: bool").fine()
    desk("%%llx --schema Ticket\nSort this.").fine()
    assert (desk.last.value.label, desk.last.value.urgent) == ("bug", True)


def test_a_cell_is_asked_again_with_the_error_and_says_so(desk, first):
    answers(first, BAD, GOOD)
    ran = desk("%%llx --schema Ticket\nSort this.").fine()
    assert "Invalid enum value 'praise' - at `$.label`" in messages(first, 1)[-1][1]
    assert "asked again: the first reply was not of the schema; it took 20 tokens" in shown(ran)["text/plain"]
    assert "praise" not in shown(ran)["text/plain"]
    assert "asked again" in desk("%llx_trace").fine().printed


def test_a_reply_that_never_fits_is_shown_and_kept_and_the_error_is_one_line(desk, first):
    first.text = BAD
    ran = desk("%%llx --schema Ticket -b first\nSort this.")
    assert ran.failure == (
        "ReplyFormatError: the reply does not fit the schema: Invalid enum value 'praise' - at `$.label`"
    )
    assert "praise" in shown(ran)["text/plain"]
    assert desk.last.text == BAD


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--schema Tickte", "--schema Tickte: there is no such variable; did you mean Ticket?"),
        ("--schema xyz", "--schema xyz: there is no such variable; there are: Ticket, number"),
        ("--schema s.json", "there is no such variable; s = json.load(open('s.json')) would make one of the file"),
        (
            "--schema 'list[str]'",
            "--schema list[str]: there is no such variable; assign it first: Schema = list[str], then --schema Schema",
        ),
        ("--schema list[str]", "assign it first: Schema = list[str], then"),
        ("--schema int", "assign it first: Schema = int, then"),
        ("--schema \"Literal['a']\"", "assign it first: Schema = Literal['a'], then"),
        ("--schema {'a':int}", "assign it first: Schema = …, then"),
        (f"--schema {'-' * 50_000}1", "assign it first: Schema = …, then"),
        ("--schema number", "a schema must be a class"),
        ("--schema Ticket -f code", "-f code and --schema ask for two kinds of reply"),
        ("--effort lots", "--effort must be none, low, medium or high, got 'lots'"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_nothing_is_sent(desk, first, line, says):
    desk.shell.user_ns["number"] = 3
    assert says in desk(f"%%llx {line}\nSort this.").failure
    assert not first.requests


def test_a_schema_that_is_not_there_offers_the_users_own_names_alone(desk):
    desk("import json as module\nzebra = 3\n_own = 4")
    said = desk("%%llx --schema xyzzy\nSort this.").failure
    assert "--schema xyzzy: there is no such variable; there are: " in said
    assert "zebra" in said
    assert [each for each in ("__", "_own", "module", "In,", "exit") if each in said] == []


def test_a_dry_run_shows_the_schema_and_the_effort(desk, first):
    printed = desk("%%llx --schema Ticket --effort low --dry-run\nSort this.").fine().printed
    assert '[schema]\n{\n  "title": "reply"' in printed
    assert "effort: low" in printed
    assert not first.requests


def test_a_conversation_keeps_the_reply_and_neither_the_schema_nor_what_did_not_fit(desk, first):
    answers(first, BAD, GOOD)
    desk("%%llx --schema Ticket --chat trip\nSort this.").fine()
    desk.shell.kernel.cell = "another"
    desk("%%llx --chat trip\nWhy?").fine()
    assert [text.strip() for _role, text in messages(first, 2)] == ["Sort this.", GOOD, "Why?"]


def test_a_background_cell_has_the_value_too(desk, first):
    desk("%%llx --schema Ticket --bg -o ticket\nSort this.").fine()
    for job in desk.shell.magics_manager.registry["LlxMagics"].notebook.jobs.all():
        job.wait()
    assert desk["ticket"].value["label"] == "bug"


def test_effort_goes_to_the_server(desk, first):
    desk("%%llx --effort high\nWhy?").fine()
    desk("%%llx\nWhy?").fine()
    assert first.requests[0].json["reasoning_effort"] == "high"
    assert "reasoning_effort" not in first.requests[1].json


def test_a_server_that_refuses_an_effort_is_asked_without_it_with_a_note(desk, first):
    error = {"message": "Unrecognized request argument supplied: reasoning_effort", "type": "invalid_request_error"}
    first.script(status(400, body={"error": error}))
    ran = desk("%%llx --effort high\nWhy?").fine()
    assert "reasoning_effort" not in first.requests[1].json
    assert "the effort was left out: this model takes none" in shown(ran)["text/plain"]


def test_in_a_terminal_the_value_is_kept_and_the_json_shown(user: User, first):
    first.text = GOOD
    user.shell.user_ns["Ticket"] = SCHEMA
    assert GOOD in user("%%llx --schema Ticket\nSort this.").fine().printed
    assert user.last.value["urgent"] is True


def test_the_value_of_a_prompt_that_failed_says_that_there_is_none(desk, first, second):
    first.set_default("503")
    second.set_default("503")
    assert "503" in desk("%%llx --schema Ticket\nSort this.").failure
    with pytest.raises(ReplyFormatError, match=r"there is no whole reply: .*503"):
        _ = desk.last.value
