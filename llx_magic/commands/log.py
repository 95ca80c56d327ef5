"""``%llx_log``: what a profile has done, in lines."""

from __future__ import annotations

from llx_magic.commands.command import Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.localtime import time_of_day
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE
from llx_magic.core.describe import lines
from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.session.wiring import is_virtual

LINES = 40

COMMAND = Command(
    run="llx_magic.commands.log:run",
    options=(
        Option("-n", "N", f"how many lines (default {LINES})"),
        ANOTHER_PROFILE,
    ),
)


def run(here: Here, asked: Asked) -> Output:
    """Show the latest debug lines."""
    most = asked.number("n", LINES, "lines")
    balancer = here.session.balancer(asked.get("profile"))
    simulated = is_virtual(balancer.profile.members[0])
    shown = [
        f"{f'{event.at:9.3f} s' if simulated else time_of_day(balancer.epoch + event.at)} {text}"
        for event in balancer.decisions()
        for _channel, text in lines(event)
    ][-most:]
    if shown and simulated:
        shown.insert(0, f"time is simulated: seconds since {balancer.name} was loaded")
    return Output("\n".join(shown) or f"{balancer.name}: {NOTHING_ASKED}")
