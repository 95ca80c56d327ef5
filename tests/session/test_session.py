"""A session: which profile is active, whose value is in force, what a save writes, and what a request freezes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

import llx_magic
from llx_magic.backends.local.modelfile import MODEL
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.engine.clocks import ManualClock, VirtualClock
from llx_magic.errors import AllBackendsFailed, ProfileError, SettingError, UsageProblem
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile, Profile
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.members import facts_of
from llx_magic.session.session import Session
from llx_magic.settings.layers import Layer
from tests.engine.kit import balancer, settle, simulated
from tests.faults.server import FaultServer


@pytest.fixture
def store(tmp_path, monkeypatch) -> ProfileStore:
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "config"))
    store = ProfileStore()
    store.save(simulated("a", reply="I am a."))
    store.save(simulated("b", reply="I am b."))
    store.save(LoadBalancerProfile("lb", "failover", ("a", "b"), {"timeout_ms": 5000, "failover_retry_count": 1}))
    return store


@pytest.fixture
def session(store) -> Session:
    return Session(store, clock=VirtualClock())


def ask(lb, **how) -> Reply:
    return asyncio.run(lb.ask("why", **how))


# --- which profile ---------------------------------------------------------------------------------------------------


def test_the_profile_is_the_loaded_one_else_the_variables_else_the_default_else_the_embedded_model(
    session, store, monkeypatch
):
    assert session.balancer().profile.members[0].model == MODEL
    store.set_default("b")
    assert session.balancer().name == "b"
    monkeypatch.setenv("LLX_PROFILE", "a")
    assert session.balancer().name == "a"
    session.load("lb")
    assert session.balancer().name == "lb"
    assert session.balancer("b").name == "b"
    assert session.active.name == "lb"


def test_a_profile_that_cannot_be_loaded_leaves_the_active_one(session):
    session.load("lb")
    with pytest.raises(ProfileError, match="did you mean lb"):
        session.load("lbb")
    assert session.active.name == "lb"


def test_asking_a_profile_by_name_twice_asks_the_same_state(session):
    ask(session.balancer("lb"))
    assert session.balancer("lb").snapshot().total_requests == 1


# --- layers ----------------------------------------------------------------------------------------------------------


def test_loading_drops_the_sessions_overrides_of_what_the_profile_sets_and_says_which(session):
    session.set("timeout_ms", "9000")
    session.set("tpm_threshold", "500")
    assert session.load("lb").dropped == ("timeout_ms",)
    assert session.resolved()["timeout_ms"] == (5000, Layer.PROFILE)
    assert session.resolved()["tpm_threshold"] == (500, Layer.SESSION)


def test_unset_removes_the_sessions_value_and_the_profiles_is_in_force_again(session):
    session.load("lb")
    session.set("timeout_ms", "9000")
    assert session.resolved()["timeout_ms"] == (9000, Layer.SESSION)
    assert session.unset("timeout_ms")
    assert not session.unset("timeout_ms")
    assert session.resolved()["timeout_ms"] == (5000, Layer.PROFILE)


def test_a_refused_value_changes_nothing(session):
    session.set("timeout_ms", "9000")
    with pytest.raises(SettingError):
        session.set("timeout_ms", "abc")
    with pytest.raises(SettingError):
        session.unset("timeout")
    assert session.values == {"timeout_ms": 9000}


def test_all_five_layers_reach_the_request_in_their_order():
    def attempts(member=None, profile=None, session=None, cell=None) -> int:
        members = [
            ModelProfile(
                name,
                "simulated",
                "m",
                params={"script": "503"},
                settings={"failover_retry_count": member} if member else {},
            )
            for name in "ab"
        ]
        settings = {"failover_retry_count": profile} if profile else {}
        values = {"failover_retry_count": session} if session else {}
        lb = llx_magic.LoadBalancer(
            Profile.failover("lb", members, settings), clock=VirtualClock(), session=lambda: values
        )
        with pytest.raises(AllBackendsFailed):
            ask(lb, settings={"failover_retry_count": cell} if cell else None)
        return lb.snapshot().backends[0].attempts

    assert attempts() == 2
    assert attempts(member=3) == 3
    assert attempts(member=3, profile=4) == 4
    assert attempts(member=3, profile=4, session=5) == 5
    assert attempts(member=3, profile=4, session=5, cell=1) == 1


def test_settings_given_with_a_prompt_hold_as_they_are_then():
    lb, given = balancer(simulated("a")), {"failover_retry_count": 1}

    def attempts() -> int:
        return lb.prepare("why", settings=given).candidates[0].settings.failover_retry_count

    assert attempts() == 1
    given["failover_retry_count"] = True  # equal to 1, and not allowed
    with pytest.raises(SettingError):
        attempts()
    given["failover_retry_count"] = 3
    assert attempts() == 3


def test_what_a_member_says_of_the_circuit_is_ignored_with_a_note():
    loud = ModelProfile("a", "simulated", "m", settings={"circuit_breaker_failure_threshold": 1, "timeout_ms": 7})
    profile = Profile.failover("lb", [loud, simulated("b")])
    lb = llx_magic.LoadBalancer(profile, clock=VirtualClock())
    assert profile.notes == ("a: circuit_breaker_failure_threshold in a member is ignored",)
    assert lb.settings()["a"].circuit_breaker_failure_threshold == 3
    assert lb.settings()["a"].timeout_ms == 7


def test_parameters_of_the_request_go_over_those_of_the_profile():
    lb = balancer(simulated("a", reply="from the profile"))
    assert ask(lb, params={"reply": "from the request"}).text == "from the request"
    assert ask(lb).text == "from the profile"


async def test_a_change_of_settings_during_a_request_does_not_change_it():
    clock, values = ManualClock(), [{}]
    lb = balancer(simulated("a", "503"), simulated("b"), clock=clock, session=lambda: values[0], failover_retry_count=1)
    values[0] = {"failover_retry_count": 3}
    task = asyncio.create_task(lb.ask("why"))
    await settle()
    values[0] = {"failover_retry_count": 1}
    for _ in range(3):
        clock.advance(8.0)
        await settle()
    assert (await task).attempts == 4
    assert (await lb.ask("why")).attempts == 2


# --- one request -----------------------------------------------------------------------------------------------------


def test_an_empty_prompt_an_unknown_backend_and_a_wrong_setting_are_refused_and_nothing_is_sent():
    lb = balancer(simulated("alpha"), simulated("beta"))
    for prompt, how, said in [
        ("", {}, "the prompt is empty"),
        (" \n", {}, "the prompt is empty"),
        ("why", {"backend": "alpa"}, "profile lb has no backend 'alpa'; did you mean alpha"),
        ("why", {"settings": {"timeout": 5}}, "unknown setting 'timeout'; did you mean timeout_ms"),
        ("why", {"settings": {"timeout_ms": "abc"}}, "timeout_ms must be a number of milliseconds"),
        ("why", {"settings": {"circuit_breaker_failure_threshold": 5}}, "cannot be set for one request"),
    ]:
        with pytest.raises(UsageProblem, match=said):
            asyncio.run(lb.ask(prompt, **how))
        with pytest.raises(UsageProblem, match=said):
            lb.stream(prompt, **how)
    assert lb.snapshot().total_requests == 0


def test_a_pinned_backend_answers_alone_without_failover_or_turns():
    lb = balancer(simulated("a", "503"), simulated("b"), order="roundrobin")
    with pytest.raises(AllBackendsFailed, match="a: 503"):
        ask(lb, backend="a")
    assert ask(lb, backend="b").backend == "b"
    assert lb.snapshot().total_requests == 2
    assert ask(lb).backend == "b"  # the first turn is still that of a, which fails


async def test_a_stream_yields_pieces_restarts_and_the_reply_last():
    lb = balancer(simulated("a", "cut:1", reply="one two"), simulated("b", reply="three four"))
    *shown, reply = [part async for part in lb.stream("why")]
    assert shown == [
        Delta("one"),
        Restart("a", "connection closed before the reply was complete", "b"),
        Delta("three"),
        Delta(" four"),
    ]
    assert isinstance(reply, Reply)
    assert reply.text == "three four"


def test_the_synchronous_ask_needs_no_loop_and_works_inside_one():
    profile = Profile.single(simulated("a", reply="hello", virtual_time=True))
    assert llx_magic.ask("why", profile=profile).text == "hello"

    async def cell() -> str:
        return llx_magic.ask("why", profile=profile).text

    assert asyncio.run(cell()) == "hello"


def test_resetting_statistics_keeps_the_circuit():
    lb = balancer(simulated("a", "503"), simulated("b"), circuit_breaker_failure_threshold=1)
    ask(lb)
    lb.reset_statistics()
    a = lb.snapshot().backends[0]
    assert (a.state, a.requests) == ("open", 0)
    assert len(lb.history()) == 0


# --- one state for a file --------------------------------------------------------------------------------------------


def test_who_loads_the_same_file_shares_its_state_and_isolated_ones_have_their_own(store):
    one, two, own = llx_magic.load("lb"), llx_magic.load("lb"), llx_magic.load("lb", isolated=True)
    ask(one)
    assert two.snapshot().total_requests == 1
    assert own.snapshot().total_requests == 0


def test_loading_a_changed_file_keeps_the_state_of_unchanged_members(store):
    old = llx_magic.load("lb")
    ask(old)
    store.save(simulated("b", reply="I am another."))
    store.save(LoadBalancerProfile("lb", "failover", ("a", "b"), {"timeout_ms": 6000}))
    new = llx_magic.load("lb")
    assert [backend.requests for backend in new.snapshot().backends] == [1, 0]
    assert ask(new).backend == "a"
    assert old.snapshot().total_requests == 2


def test_a_balancer_whose_file_has_lost_a_member_goes_on_with_what_it_loaded(store):
    store.save(simulated("c"))
    old = llx_magic.load("lb")
    store.save(LoadBalancerProfile("lb", "failover", ("a", "c")))
    llx_magic.load("lb")
    assert ask(old, backend="b").text == "I am b."
    assert [backend.name for backend in old.snapshot().backends] == ["a", "b"]


# --- saving ----------------------------------------------------------------------------------------------------------


def test_a_saved_balancer_holds_every_setting_in_force_and_none_that_is_off(session, store):
    session.load("lb")
    session.set("tpm_threshold", "1000")
    store.save(session.balancer_document("copy", "failover", ("a", "b"), {}))
    raw = json.loads((store.folder / "copy.json").read_text())
    assert {key: raw[key] for key in ("version", "type", "policy", "profiles", "provider", "model", "modelParams")} == {
        "version": 1,
        "type": "loadbalancer",
        "policy": "failover",
        "profiles": ["a", "b"],
        "provider": "",
        "model": "",
        "modelParams": {},
    }
    saved = raw["ephemeralSettings"]
    assert (saved["tpm_threshold"], saved["timeout_ms"], saved["circuit_breaker_failure_threshold"]) == (1000, 5000, 3)
    assert None not in saved.values()
    session.set("tpm_threshold", "none")
    assert "tpm_threshold" not in session.settings_to_save()


def test_a_limit_switched_off_against_its_default_is_saved_as_off(session):
    session.set("stall_timeout_ms", "none")
    assert session.settings_to_save()["stall_timeout_ms"] is None


def test_closing_a_session_forgets_what_is_loaded_and_it_can_go_on(session):
    session.load("lb")
    session.close()
    assert session.active is None
    assert session.load("lb").balancer.name == "lb"


# --- members that cannot be asked, and members with several places ---------------------------------------------------


def foreign(name: str, provider: str, **connection) -> ModelProfile:
    return ModelProfile(name, provider, "m", connection=Connection(**connection))


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("nobody-knows", "unknown provider 'nobody-knows'"),
        ("codex", "provider codex signs in with a ChatGPT subscription"),
        ("azure", "provider azure needs a base-url"),
    ],
)
def test_a_member_that_cannot_be_asked_is_passed_over_with_the_reason_and_the_others_answer(session, provider, said):
    session.store.save(foreign("odd", provider))
    session.store.save(LoadBalancerProfile("mixed", "failover", ("odd", "b")))
    loaded = session.load("mixed")
    assert any(note.startswith(f"odd is passed over: {said}") for note in loaded.notes)
    reply = ask(loaded.balancer)
    assert reply.text == "I am b."
    assert any(note.startswith(f"odd skipped: {said}") for note in reply.notes)
    assert loaded.balancer.snapshot().total_requests == 1


def test_a_profile_of_which_no_member_can_be_asked_is_not_loaded(session):
    for name in ("one", "two"):
        session.store.save(foreign(name, f"nobody-{name}"))
    session.store.save(LoadBalancerProfile("none", "failover", ("one", "two")))
    with pytest.raises(ProfileError, match=r"one: unknown provider 'nobody-one'.*two: unknown provider 'nobody-two'"):
        session.load("none")


def test_an_unknown_provider_with_an_address_is_asked_as_an_openai_compatible_one(session):
    with FaultServer() as server:
        session.store.save(foreign("odd", "Some.Gateway", base_url=server.base_url))
        loaded = Session(session.store).load("odd")
        assert loaded.notes == ("odd: provider 'Some.Gateway' is not known; taken for OpenAI-compatible",)
        assert ask(loaded.balancer).backend == "odd"


THEIRS = {
    "chutes-ai": "llm.chutes.ai",
    "xAI": "api.x.ai",
    "kimi": "api.kimi.com",
    "Synthetic": "api.synthetic.new",
    "Chutes.ai": "llm.chutes.ai",
    "cerebras-code": "api.cerebras.ai",
    "qwen": "dashscope-intl.aliyuncs.com",
    "openaivercel": "api.openai.com",
    "lm-studio": "localhost:1234",
    "LM Studio": "localhost:1234",
    "llama-cpp": "localhost:8080",
    "zai": "api.z.ai",
    "openai-responses": "api.openai.com",
}
"""Providers as profiles of the llxprt command line tool name them, and where they are asked."""


def test_profiles_of_the_llxprt_command_line_tool_load_with_their_own_keys_kept(session):
    ephemeral = {
        "auth-key-name": "chutes-prod", "reasoning.enabled": True, "reasoning.effort": "medium",
        "context-limit": 200000, "tools.disabled": ["read_file"], "stream-options": {"include_usage": True},
        "streaming": "enabled", "socket-timeout": 60000, "tool-output-max-items": 50, "api-version": "2024-10-21",
        "user-agent": "Tool/1.0",
        "shell-replacement": "none", "auth.noBrowser": True, "retries": 3, "prompt-caching": "24h",
    }  # fmt: skip
    for number, provider in enumerate(THEIRS):
        document = {"version": 1, "provider": provider, "model": "m", "modelParams": {}, "ephemeralSettings": ephemeral}
        (session.store.folder / f"m{number}.json").write_text(json.dumps(document))
    names = [f"m{number}" for number in range(len(THEIRS))]
    both = {
        "version": 1,
        "type": "loadbalancer",
        "policy": "roundrobin",
        "profiles": names,
        "provider": "",
        "model": "",
    }
    (session.store.folder / "theirs.json").write_text(json.dumps(both))
    members = session.load("theirs").balancer.profile.members
    assert [facts.host for facts in facts_of(replace_key(each) for each in members).values()] == list(THEIRS.values())
    assert all(len(each.notes) == 1 and each.notes[0].startswith("not known, so without effect: ") for each in members)
    assert members[0].extra_settings["stream-options"] == {"include_usage": True}


def replace_key(member: ModelProfile) -> ModelProfile:
    """The member without a key in the keyring, which a test has none of."""
    return replace(member, connection=replace(member.connection, auth_key_name=None))


def test_a_member_with_two_places_is_visited_once_at_each(session):
    session.store.save(simulated("down", script="503"))
    session.store.save(LoadBalancerProfile("twice", "failover", ("down", "down", "b"), {"failover_retry_count": 1}))
    loaded = session.load("twice")
    assert any("down: listed more than once" in note for note in loaded.notes)
    assert ask(loaded.balancer).text == "I am b."
    visits = {backend.name: backend.requests for backend in loaded.balancer.snapshot().backends}
    assert visits == {"down": 2, "b": 1}
    assert loaded.balancer.members == ("down", "b")


def test_a_pinned_member_with_two_places_is_visited_once(session):
    session.store.save(simulated("down", script="503"))
    session.store.save(LoadBalancerProfile("twice", "failover", ("down", "b", "down"), {"failover_retry_count": 1}))
    lb = session.balancer("twice")
    with pytest.raises(AllBackendsFailed):
        ask(lb, backend="down")
    assert lb.snapshot().total_requests == 1
