"""``%llx_stats``: what a profile has done, in numbers."""

from __future__ import annotations

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE
from llx_magic.observe import report
from llx_magic.session.balancer import LoadBalancer

COMMAND = Command(
    run="llx_magic.commands.stats:run",
    arguments=(Argument("what", "WHAT", "lb, the load balancer; may be left out", choices=("lb",), optional=True),),
    options=(
        ANOTHER_PROFILE,
        Option("--reset", "", "forget counts and history; circuits and tokens per minute stay"),
    ),
)


def run(here: Here, asked: Asked) -> Shown:
    """Show, or reset, the statistics."""
    balancer = here.session.balancer(asked.get("profile"))
    if "reset" not in asked:
        return report_of(balancer)
    balancer.reset_statistics()
    said = f"statistics of {balancer.name} are reset; circuits and tokens per minute stay"
    return Shown(said, frame=balancer.stats)


def report_of(balancer: LoadBalancer) -> Shown:
    """Return the statistics of a profile."""
    snapshot = balancer.snapshot()
    return Shown(report.plain(snapshot), report.as_html(snapshot), frame=balancer.stats)
