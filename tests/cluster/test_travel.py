"""What goes to the workers: a whole profile, and no key."""

from __future__ import annotations

import pickle

import pytest

import llx_magic as llx
from llx_magic.errors import UsageProblem
from llx_magic.keys.secret import Secret
from llx_magic.profiles.headers import read_headers
from llx_magic.profiles.travel import pack, unpack
from llx_magic.session.hiring import job_of
from tests.secrets.test_foreign_profiles import write

KEY = "sk-travel-0123456789abcdefghijklmnop"


def member(name: str = "a", **connection) -> llx.ModelProfile:
    return llx.ModelProfile(
        name,
        "openai",
        "m",
        params={"temperature": 0.5},
        settings={"timeout_ms": 5000},
        connection=llx.Connection(**connection),
    )


@pytest.mark.parametrize(
    "profile",
    [
        llx.Profile.single(member(base_url="http://10.0.0.1/v1", auth_key_env="TEAM_KEY", price_input=1.0)),
        llx.Profile.failover("pair", [member("a"), member("b", auth_key_name="kept")], {"failover_retry_count": 2}),
        llx.Profile.balanced("shares", "weighted", [member("a"), member("b")], weights={"a": 3.0}),
    ],
    ids=lambda profile: profile.policy,
)
def test_a_profile_is_the_same_on_the_other_side(profile):
    assert unpack(pack(profile)) == profile


def test_a_key_in_clear_and_a_secret_header_stay_here():
    headers, _ = read_headers({"X-Api-Key": KEY, "X-Team": "blue"})
    profile = llx.Profile.single(member(auth_key=Secret(KEY), headers=headers))
    assert KEY not in pack(profile)
    assert "X-Team" in pack(profile)


def test_nothing_that_is_told_to_a_worker_holds_a_key(monkeypatch):
    monkeypatch.setenv("TEAM_KEY", KEY)
    lb = llx.load(llx.Profile.single(member(auth_key_env="TEAM_KEY")))
    plan = lb.prepare("x")
    sent = pickle.dumps((job_of(lb, plan, None), plan.messages, plan.held))
    assert KEY.encode() not in sent
    assert b"TEAM_KEY" in sent


def test_a_profile_from_elsewhere_goes_to_no_worker_before_its_keys_are_allowed(home, tmp_path, monkeypatch):
    folder = tmp_path / "cloned"
    folder.mkdir(mode=0o700)
    path = write(folder, "borrowed", "https://evil.example/v1")
    lb = llx.load(str(path))
    with pytest.raises(UsageProblem, match=r"may not send .*AWS_SECRET_ACCESS_KEY.* goes to no worker either"):
        job_of(lb, lb.prepare("x"), None)
    trusted = llx.load(str(path), trust=True)
    assert "AWS_SECRET_ACCESS_KEY" in job_of(trusted, trusted.prepare("x"), None).profile
