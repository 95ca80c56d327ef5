"""``weights``: where they stand in a file, who may give them, and what is said of wrong ones."""

from __future__ import annotations

import json

import pytest

from llx_magic.core.routing import ROUTINGS
from llx_magic.errors import LlxError, ProfileError
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile
from llx_magic.profiles.schema import profile_schema
from llx_magic.session.session import Session
from tests.typed import Typed


def balancer(policy: str = "weighted", **weights: object) -> LoadBalancerProfile:
    return LoadBalancerProfile("lb", policy, ("a", "b"), weights=weights)  # type: ignore[arg-type]


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path))
    made = Session()
    for name in "ab":
        made.store.save(ModelProfile(name, "simulated", "m"))
    return made


def test_weights_stand_at_the_top_of_the_file_and_are_read_back():
    text = write_document(balancer(a=3, b=0.5))
    assert json.loads(text)["weights"] == {"a": 3, "b": 0.5}
    assert read_document(text, "lb") == balancer(a=3, b=0.5)


@pytest.mark.parametrize("policy", ROUTINGS)
def test_without_weights_a_file_has_no_word_of_them(policy):
    assert "weights" not in json.loads(write_document(balancer(policy)))


@pytest.mark.parametrize("weight", [0, -1, "3", True, None, 1e7, float("inf")])
def test_a_weight_that_is_none_is_refused_in_one_line(weight):
    with pytest.raises(ProfileError, match="the weight of a must be a number above 0, at most 1,000,000; got"):
        balancer(a=weight)


def test_a_weight_of_nobody_is_refused_and_the_nearest_named():
    raw = {"type": "loadbalancer", "policy": "weighted", "profiles": ["alpha", "beta"], "weights": {"alhpa": 2}}
    with pytest.raises(ProfileError, match=r"lb\.json: weights: 'alhpa' is no member; did you mean alpha\?"):
        read_document(json.dumps(raw), "lb")


def test_weights_that_the_policy_does_not_look_at_are_kept_with_a_note():
    raw = {"type": "loadbalancer", "policy": "failover", "profiles": ["a", "b"], "weights": {"a": 2}}
    read = read_document(json.dumps(raw), "lb")
    assert "failover looks at no weights; weighted and leastbusy do" in read.notes
    assert json.loads(write_document(read))["weights"] == {"a": 2}


def test_they_are_saved_by_the_command_and_asked_by(session):
    typed = Typed("profile")
    typed.run_words(session, ["save", "loadbalancer", "lb", "weighted", "a", "b", "--weight", "a=3"])
    assert session.store.load("lb").weights == {"a": 3}
    assert session.balancer("lb").prepare("why").candidates[0].weight == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["failover", "a", "b", "--weight", "a=3"],
            "--weight: failover looks at no weights; weighted and leastbusy do",
        ),
        (["weighted", "a", "b", "--weight", "c=3"], "weights: 'c' is no member"),
        (["weighted", "a", "b", "--weight", "a=x"], "--weight a must be a number above 0, got 'x'"),
        (["weighted", "a", "b", "--weight", "a=nan"], "the weight of a must be a number above 0"),
        (["weighted", "a", "b", "--weight", "a"], "--weight takes key=value"),
    ],
)
def test_a_wrong_weight_is_refused_in_one_line_and_nothing_is_written(session, words, said):
    with pytest.raises(LlxError) as refused:
        Typed("profile").run_words(session, ["save", "loadbalancer", "lb", *words])
    assert said in str(refused.value)
    assert "lb" not in {row.name for row in session.store.list()}


def test_a_save_under_another_policy_leaves_no_weights_behind(session):
    typed = Typed("profile")
    typed.run_words(session, ["save", "loadbalancer", "lb", "weighted", "a", "b", "--weight", "a=3"])
    typed.run_words(session, ["save", "loadbalancer", "lb", "failover", "a", "b"])
    assert session.store.load("lb").weights == {}


def test_the_schema_takes_what_is_read():
    validator = pytest.importorskip("jsonschema").Draft202012Validator(profile_schema())
    right = json.loads(write_document(balancer(a=3)))
    assert validator.is_valid(right)
    for weight in (0, "3", None, 1e7):
        assert not validator.is_valid({**right, "weights": {"a": weight}})
