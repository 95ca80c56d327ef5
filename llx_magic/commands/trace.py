"""``%llx_trace``: how a request was decided."""

from __future__ import annotations

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import profiles
from llx_magic.errors import UsageProblem
from llx_magic.observe import waterfall

LONGEST_NUMBER = 18
"""Digits of the longest number that can be one of a request."""

COMMAND = Command(
    run="llx_magic.commands.trace:run",
    arguments=(Argument("number", "N", "the request's number; the last one where left out", optional=True),),
    options=(Option("-p --profile", "NAME_OR_PATH", "another profile than the one asked last", complete=profiles),),
)


def run(here: Here, asked: Asked) -> Shown:
    """Show skips, attempts, waits, the first token and the answer of the last request, or of the one that is named.

    Raises:
        UsageProblem: for a request that is not remembered.
    """
    number = asked.get("number")
    if number is not None and (not number.isdecimal() or len(number) > LONGEST_NUMBER):
        raise UsageProblem(f"no request {number} is remembered: a request is named by its number")
    named = asked.get("profile")
    balancer = here.session.balancer(named) if named else here.session.last_asked()
    found = balancer.trace() if number is None else balancer.trace(int(number))
    return Shown(str(found), waterfall.as_html(found))
