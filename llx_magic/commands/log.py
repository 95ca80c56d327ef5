"""``%llx_log``: what a profile has done, in lines."""

from __future__ import annotations

import re

from llx_magic.commands.command import Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.localtime import time_of_day
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import profiles
from llx_magic.core.describe import lines
from llx_magic.errors import UsageProblem
from llx_magic.text.screen import one_line

LINES = 40

COMMAND = Command(
    run="llx_magic.commands.log:run",
    options=(
        Option("-n", "N", f"how many lines (default {LINES})"),
        Option("-p --profile", "NAME_OR_PATH", "another profile than the active one", complete=profiles),
    ),
)


def run(here: Here, asked: Asked) -> Output:
    """Show the latest debug lines."""
    number = asked.get("n") or str(LINES)
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", number, re.ASCII):
        raise UsageProblem(f"-n must be a number of lines, at least 1, got {one_line(number, 20)!r}")
    balancer = here.session.balancer(asked.get("profile"))
    shown = [
        f"{time_of_day(balancer.epoch + event.at)} {text}"
        for event in balancer.decisions()
        for _channel, text in lines(event)
    ]
    return Output("\n".join(shown[-int(number) :]) or f"nothing has been asked of {balancer.name} yet")
