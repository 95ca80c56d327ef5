"""``%llx_status``: how a profile is, in a sentence and a line for each backend."""

from __future__ import annotations

from dataclasses import replace

from llx_magic.commands.command import Command
from llx_magic.commands.earlier import KEEPING, count_earlier, how_to_keep
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE
from llx_magic.commands.where import Where
from llx_magic.core.snapshot import Snapshot
from llx_magic.errors import UsageProblem
from llx_magic.observe.status.status import status_of
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.members import facts_of

COMMAND = Command(
    run="llx_magic.commands.status:run",
    options=(ANOTHER_PROFILE,),
    notes={Where.SHELL: f"Circuits are those of each process. Counts are those of a history: {KEEPING}."},
)


def run(here: Here, asked: Asked) -> Shown:
    """Show what is going on with the profile at this moment."""
    balancer = here.session.balancer(asked.get("profile"))
    told = "" if here.lasts else _earlier(balancer)
    status = status_of(_with_obstacles(balancer))
    shown = Shown(str(status), status._repr_html_(), frame=balancer.stats)
    shown.aside = told
    return shown


def _earlier(balancer: LoadBalancer) -> str:
    """Count earlier prompts, and say from where; where they cannot be counted, why, and how to see more."""
    try:
        if told := count_earlier(balancer):
            return told
        lack = f"counts are those of a history, and {how_to_keep(balancer)}"
    except UsageProblem as problem:
        lack = f"nothing is counted: {problem}"
    return f"only the profile and its keys were looked at: llx profile test asks each backend; {lack}"


def _with_obstacles(balancer: LoadBalancer) -> Snapshot:
    """Return the snapshot with what keeps backends from being asked that no prompt has met yet, such as a missing key.

    Nothing is sent.
    """
    snapshot = balancer.snapshot()
    new = {backend.name for backend in snapshot.backends if not backend.requests and not backend.passed_over}
    facts = facts_of(member for member in balancer.profile.members if member.name in new)
    lacks = {name: fact.problem or f"key {fact.key}" for name, fact in facts.items() if not fact.is_ready}
    backends = (replace(each, passed_over=lacks.get(each.name, each.passed_over)) for each in snapshot.backends)
    return replace(snapshot, backends=tuple(backends))
