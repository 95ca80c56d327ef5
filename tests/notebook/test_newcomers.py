"""What a newcomer tries in the first hour, and what is then said."""

from __future__ import annotations

import pytest

from llx_magic.core.reply import Reply
from llx_magic.errors import ProfileError, UsageProblem
from tests.faults.server import status
from tests.notebook.kit import wait_until, write_balancer, write_model, write_simulated


def test_the_trace_is_that_of_the_last_prompt_whichever_profile_it_named(user, home):
    write_simulated(home, "other")
    user("%%llx\nhello").fine()
    user("%%llx -p other\nhello").fine()
    assert "answered by other" in repr(user("%llx_trace").fine().value)
    user("%llx_profile load pair").fine()
    assert "answered by first" in repr(user("%llx_trace").fine().value)


def test_a_pinned_backend_whose_circuit_is_open_is_asked_and_the_line_says_so(user):
    user("%llx_circuit open first").fine()
    assert "the circuit of first is open; -b asks it all the same" in user("%%llx -b first\nhello").fine().printed
    assert "is open" not in user("%%llx -b second\nhello").fine().printed


@pytest.mark.parametrize(("script", "says"), [("503", "503 Service Unavailable"), ("401", "401")])
def test_a_script_in_a_prompt_holds_for_a_simulated_model(user, home, script, says):
    write_simulated(home, "toy", reply="hi")
    assert says in user(f"%%llx -p toy --param script={script} --set failover_retry_count=1\nhello").failure
    assert user("%%llx -p toy\nhello").fine().printed.startswith("hi\n")


def test_every_member_of_a_loaded_profile_is_named_with_where_it_is(user, home):
    write_model(home, "far", base_url="http://127.0.0.1:9/v1")
    write_model(home, "near", provider="simulated")
    write_balancer(home, "mixed", ["far", "near"])
    lines = user("%llx_profile load mixed").fine().printed.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:3]] == ["far", "near"]
    assert lines[2].strip() == "near: on this machine, needs no key"


GEMINI_KEY = {
    "code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key.",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}  # fmt: skip
REFUSED_KEYS = [
    ("openai", "401"),
    ("openai", status(403, body={"error": {"message": "Your account may not use this model."}})),
    ("gemini", status(400, body={"error": GEMINI_KEY})),
    ("bedrock", status(403, body={"message": "The security token included in the request is invalid."})),
]


@pytest.mark.parametrize(("provider", "mode"), REFUSED_KEYS)
def test_a_key_that_is_refused_is_named_by_its_place(user, home, first, monkeypatch, provider, mode):
    monkeypatch.setenv("WORK_KEY", "sk-work-0123456789")
    write_model(home, "keyed", provider=provider, base_url=first.base_url, auth_key_env="WORK_KEY")
    first.set_default(mode)
    said = user("%%llx -p keyed\nhello").failure
    assert "(its key: the variable WORK_KEY)" in said
    assert "0123456789" not in said


def test_a_model_that_is_unknown_is_not_blamed_on_the_key(user, home, first, monkeypatch):
    monkeypatch.setenv("WORK_KEY", "sk-work-0123456789")
    write_model(home, "keyed", base_url=first.base_url, auth_key_env="WORK_KEY")
    first.set_default(status(404, body={"error": {"message": "The model m does not exist."}}))
    assert "its key" not in user("%%llx -p keyed\nhello").failure


def test_a_variable_that_names_no_profile_is_named(user, monkeypatch):
    user("%reload_ext llx_magic").fine()
    monkeypatch.setenv("LLX_PROFILE", "nosuch")
    ran = user("%%llx\nhello")
    assert isinstance(ran.error, ProfileError)
    assert "LLX_PROFILE names 'nosuch': unknown profile 'nosuch'" in ran.failure


def test_the_variable_of_a_background_prompt_says_that_it_is_not_there_yet(user, first):
    first.set_default("stall")
    user("%%llx --bg -o answer\nhello").fine()
    assert first.reached.wait(10)
    assert "answer is not there yet: job 1 is running" in repr(user["answer"])
    with pytest.raises(UsageProblem, match="answer is not there yet"):
        _ = user["answer"].text
    with pytest.raises(UsageProblem, match="answer is not there yet"):
        str(user["answer"])
    first.release()
    assert wait_until(lambda: isinstance(user["answer"], Reply))


def test_a_cool_down_without_time_left_is_over(user, first):
    assert "now" not in user("%llx_circuit").fine().printed
