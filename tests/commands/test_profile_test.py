"""``%llx_profile test``: each member asked for one word, beside the profile's own state."""

from __future__ import annotations

import json

import pytest

from llx_magic.cli import main
from llx_magic.errors import ProfileError
from llx_magic.session.session import Session
from tests.faults.modes import status
from tests.faults.server import FaultServer
from tests.home import own_home
from tests.typed import Typed

profile = Typed("profile")
KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.delenv("NO_KEY", raising=False)
    return own_home(tmp_path, monkeypatch)


def write(home, name: str, **raw: object) -> None:
    path = home / "profiles" / f"{name}.json"
    path.write_text(json.dumps({"version": 1, **raw}))
    path.chmod(0o600)


def write_at(home, name: str, server: FaultServer, variable: str = "MY_KEY") -> None:
    settings = {"base-url": server.base_url, "auth-key-env": variable}
    write(home, name, provider="openai", model="m", modelParams={"temperature": 0}, ephemeralSettings=settings)


def rows(session: Session, name: str) -> dict[str, str]:
    """Return the row of each member."""
    lines = profile.run(session, f"test {name}").text.splitlines()[2:]
    return {line.split()[0]: line for line in lines}


def test_each_member_is_asked_for_one_word_of_at_most_sixteen_tokens(home):
    with FaultServer("ok") as one, FaultServer("ok") as two:
        write_at(home, "one", one)
        write_at(home, "two", two)
        write(home, "lb", type="loadbalancer", policy="failover", profiles=["one", "two"])
        found = rows(Session(), "lb")
        for name, server in (("one", one), ("two", two)):
            assert found[name].split()[1] == "yes"
            assert "the variable MY_KEY" in found[name]
            (asked,) = server.requests
            assert asked.json.get("max_tokens", asked.json.get("max_completion_tokens")) == 16
            assert "temperature" not in asked.json
            assert len(asked.body) < 300


def test_what_is_asked_counts_in_no_statistics_and_opens_no_circuit(home):
    with FaultServer(*["503"] * 9) as server:
        write_at(home, "one", server)
        session = Session()
        live = session.balancer("one")
        for _ in range(4):
            assert rows(session, "one")["one"].split()[1] == "no"
        assert live.snapshot().total_requests == 0
        assert live.snapshot().backends[0].state == "closed"
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("401", "set another key"),
        ("404", "models one"),
        ("429", "wait, it is up"),
        ("503", "the server's"),
        ("reset", "something is there and hung up"),
        ("close", "something is there and hung up"),
        ("text-then-close", "it is up, but did not end its reply"),
        (status(429, body=b'{"error": {"code": "insufficient_quota", "message": "no money"}}'), "balance"),
    ],
)
def test_a_member_that_is_not_up_has_what_mends_it(home, mode, said):
    with FaultServer(*[mode] * 5) as server:
        write_at(home, "one", server)
        row = rows(Session(), "one")["one"]
    assert row.split()[1] == "no"
    assert said in row
    assert "start the server" not in row
    assert KEY not in row


def test_where_nobody_listens_the_server_is_to_be_started(home):
    with FaultServer("ok") as server:
        write_at(home, "one", server)
    assert "start the server there" in rows(Session(), "one")["one"]


def test_no_list_is_named_where_the_service_has_none(home):
    words = b'{"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}'
    with FaultServer(status(404, body=words)) as server:
        settings = {
            "base-url": server.base_url.removesuffix("/v1"),
            "auth-key-env": "MY_KEY",
            "api-version": "2024-10-21",
        }
        write(home, "one", provider="azure", model="m", ephemeralSettings=settings)
        row = rows(Session(), "one")["one"]
    assert "deployment must be the name of the deployment" in row
    assert "lists what is there" not in row


def test_a_missing_key_is_said_with_its_variable_and_nothing_is_sent(home):
    with FaultServer("ok") as server:
        write_at(home, "one", server, "NO_KEY")
        row = rows(Session(), "one")["one"]
        assert row.split()[1:3] == ["no", "missing"]
        assert "set the environment variable NO_KEY" in row
        assert not server.requests


def test_a_member_that_cannot_be_asked_does_not_keep_the_others_from_being_tested(home):
    write(home, "odd", provider="nobody-knows", model="m")
    write(home, "fine", provider="simulated", model="m", modelParams={"virtual_time": False})
    write(home, "lb", type="loadbalancer", policy="failover", profiles=["odd", "fine"])
    found = rows(Session(), "lb")
    assert "unknown provider" in found["odd"]
    assert found["fine"].split()[1] == "yes"


def test_a_model_without_a_profile_can_be_tested(home):
    assert rows(Session(), "simulated:m")["simulated"].split()[1] == "yes"


def test_a_profile_that_is_not_there_is_one_line(home):
    with pytest.raises(ProfileError, match="unknown profile 'nope'"):
        profile.run(Session(), "test nope")


@pytest.mark.parametrize(("name", "exit_status"), [("fine", 0), ("lb", 1), ("odd", 1)])
def test_in_a_shell_it_ends_with_1_unless_every_member_is_up(home, capsys, name, exit_status):
    write(home, "odd", provider="nobody-knows", model="m")
    write(home, "fine", provider="simulated", model="m", modelParams={"virtual_time": False})
    write(home, "lb", type="loadbalancer", policy="failover", profiles=["fine", "odd"])
    assert main(["profile", "test", name]) == exit_status
    assert "what mends it" in capsys.readouterr().out


def test_the_key_column_says_that_a_simulated_member_needs_none(home):
    assert rows(Session(), "simulated:m")["simulated"].split()[2:4] == ["none", "needed"]


def test_a_member_is_tested_with_the_settings_that_it_has_within_its_load_balancer(home):
    settings = {"first_token_timeout_ms": 50}
    params = {"latency_ms": 200}
    write(home, "slow", provider="simulated", model="m", modelParams=params, ephemeralSettings=settings)
    write(home, "other", provider="simulated", model="m")
    patient = {"first_token_timeout_ms": 60_000}
    members = ["slow", "other"]
    write(home, "lb", type="loadbalancer", policy="failover", profiles=members, ephemeralSettings=patient)
    assert rows(Session(), "lb")["slow"].split()[1] == "yes"
    assert rows(Session(), "slow")["slow"].split()[1] == "no"


def test_members_of_which_only_some_run_on_virtual_time_are_said_to_be_no_profile_that_can_be_asked(home):
    write(home, "real", provider="simulated", model="m")
    write(home, "virtual", provider="simulated", model="m", modelParams={"virtual_time": True})
    why = "cannot be asked yet: virtual runs on virtual time, so real must do so too"
    session = Session()
    assert why in profile.run(session, "save loadbalancer lb failover virtual real").text
    tested = profile.run(session, "test lb")
    assert "virtual runs on virtual time, so real must do so too" in tested.aside
    assert not tested.is_good
