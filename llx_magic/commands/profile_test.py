"""``%llx_profile test``: whether each member of a profile answers, asked beside the profile's own state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from llx_magic.commands.here import Here
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.core.events import AttemptFailed, Event
from llx_magic.core.failure import Failure, FailureKind, Limit
from llx_magic.core.reply import Reply
from llx_magic.engine.background import BACKGROUND, together
from llx_magic.errors import AllBackendsFailed, clauses
from llx_magic.hosts import command
from llx_magic.observe.narrow import screen_width
from llx_magic.observe.report import html_table, text_table
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.profiles.key_source import NONE_NEEDED
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.members import MemberFacts, endpoint_of, facts_of, member_problem, wire_of
from llx_magic.session.wiring import clocks_problem
from llx_magic.settings.layers import Values
from llx_magic.text.screen import one_line, printable
from llx_magic.units import duration

_PROMPT: Final = "Answer with the word ready."
_PARAMS: Final = {"max_tokens": 16}
"""The fewest that every service takes: https://platform.openai.com/docs/api-reference/responses/create"""

_SETTINGS: Final = {"failover_retry_count": 1, "timeout_ms": 60_000, "cooldown_wait_ms": 0}
_COLUMNS: Final = ("member", "up", "key", "model", "first token", "what is wrong, and what mends it")
_KEPT_OUT: Final = frozenset({"history_file"})
"""What the settings in force say and a test does not heed, since it leaves no trace."""

_LONGEST: Final = 200


class _Found(NamedTuple):
    """What one member said: its reply, or why there is none."""

    facts: MemberFacts
    reply: Reply | None = None
    problem: str = ""
    mend: str = ""


def test(here: Here, asked: Asked) -> Output:
    """Ask each member for one word, all at the same time; the profile's statistics and circuits do not know of it.

    The output is good where every member is up.

    Raises:
        ProfileError: for a profile that cannot be loaded.
    """
    session, named = here.session, asked.get("profile")
    profile = session.store.load(named) if named else session.in_force()[0].profile
    session.consent.seek(profile)
    values = {key: value for key, value in {**profile.settings, **session.values}.items() if key not in _KEPT_OUT}
    facts = facts_of(profile.members)
    members = {member.name: member for member in profile.members}.values()
    found = BACKGROUND.run(together(_asked(member, facts[member.name], values) for member in members))
    rows = [tuple(map(printable, _row(each))) for each in found]
    problem = clocks_problem(profile.members)
    are_up = not problem and all(each.reply is not None for each in found)
    aside = f"{profile.name} cannot be asked: {problem}" if problem else ""
    return Output(text_table(_COLUMNS, rows, width=screen_width()), html_table(_COLUMNS, rows), aside, is_good=are_up)


async def _asked(member: ModelProfile, facts: MemberFacts, values: Values) -> _Found:
    """Ask one member, with the settings that it has within the profile in ``values``."""
    if problem := member_problem(member):
        return _Found(facts, problem=problem)
    script = member.params if member.provider == "simulated" else {}
    alone = replace(Profile.single(replace(member, params=script)), settings=values)
    async with LoadBalancer(alone, isolated=True) as balancer:
        try:
            reply = await balancer.ask(_PROMPT, settings=_SETTINGS, params=_PARAMS)
        except AllBackendsFailed as failed:
            trace = [event for event in failed.trace if isinstance(event, Event)]
            failures = [event.failure for event in trace if isinstance(event, AttemptFailed)]
            mend = _mending(failures[0], facts, has_list=_has_list(member)) if failures else ""
            return _Found(facts, problem=failed.reasons[0].message, mend=mend)
    return _Found(facts, reply)


def _row(found: _Found) -> tuple[str, ...]:
    facts, reply = found.facts, found.reply
    key, _, where = (facts.key or NONE_NEEDED).partition(": ")
    shown = where or key if facts.is_ready else key
    if reply is not None:
        first = reply.seconds if reply.ttft is None else reply.ttft
        return facts.name, "yes", shown, reply.model, duration(first), ""
    wrong = one_line(clauses(found.problem, found.mend), _LONGEST)
    return facts.name, "no", shown, facts.model, "", wrong


def _has_list(member: ModelProfile) -> bool:
    """Return whether the member's service lists the models that can be asked there."""
    endpoint = endpoint_of(member)
    return endpoint is not None and bool(wire_of(member, endpoint).models_path)


def _mending(failure: Failure, facts: MemberFacts, *, has_list: bool) -> str:
    """Return what to do about a failure that does not say it itself."""
    if failure.status == 404:
        return f"{command(f'models {facts.name}')} lists what is there" if has_list else ""
    if failure.quota_exhausted:
        return "look at the account's limits and balance"
    if failure.unconnected or failure.limit is Limit.CONNECT:
        name = facts.host.rpartition(":")[0] or facts.host
        here = name in ("localhost", "127.0.0.1", "[::1]")
        return "start the server there" if here else "look at its base-url, and at the network"
    if failure.words is not None and failure.kind in (FailureKind.NETWORK, FailureKind.TIMEOUT):
        return "it is up, but did not end its reply: try again, and look at its own log"
    return _MENDING.get(failure.kind, "")


_MENDING: Final[Mapping[FailureKind, str]] = {
    FailureKind.ACCESS: "set another key where this one comes from, or allow it this model",
    FailureKind.NETWORK: "something is there and hung up: look at its own log, and whether its base-url is right",
    FailureKind.RATE_LIMIT: "wait, it is up",
    FailureKind.TIMEOUT: "try again: the model may have to be loaded first",
    FailureKind.SERVER: "try again later: the fault is the server's",
    FailureKind.BAD_REPLY: "its base-url may be no model's, or its form another",
}
