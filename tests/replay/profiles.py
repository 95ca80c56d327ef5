"""Profiles of simulated models on virtual time, and prompts that were asked of them."""

from __future__ import annotations

import contextlib

from llx_magic.errors import AllBackendsFailed
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.settings.layers import read_values


def member(name: str, script: str = "ok", **params) -> ModelProfile:
    steps = {"script": script, "cycle": True, "latency_ms": 1000, "virtual_time": True, **params}
    return ModelProfile(name, "simulated", f"{name}-1", params=steps)


def profile(*members: ModelProfile, policy: str = "failover", **settings) -> Profile:
    return Profile("pair", policy, tuple(members), settings=read_values(settings))


async def asked(profile: Profile, prompts: int = 20, pause: float = 10.0) -> LoadBalancer:
    """Ask the profile so many prompts, with a pause after each."""
    balancer = LoadBalancer(profile, isolated=True)
    for number in range(prompts):
        with contextlib.suppress(AllBackendsFailed):
            await balancer.ask(f"prompt {number}")
        await balancer.clock.sleep(pause)
    return balancer
