"""``%llx_stats``: what a profile has done, in numbers, and which processes share its backends."""

from __future__ import annotations

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.earlier import KEEPING, count_earlier, how_to_keep
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE
from llx_magic.commands.where import Where
from llx_magic.engine.background import BACKGROUND
from llx_magic.engine.peers import AWAY
from llx_magic.errors import UsageProblem
from llx_magic.observe import peers, report
from llx_magic.observe.status.status import status_of
from llx_magic.session.balancer import LoadBalancer

COMMAND = Command(
    run="llx_magic.commands.stats:run",
    run_in_notebook="llx_magic.commands.stats:run_in_notebook",
    arguments=(
        Argument(
            "what",
            "WHAT",
            "lb, the load balancer; may be left out",
            choices=("lb",),
            optional=True,
            where=Where.NOTEBOOK,
        ),
    ),
    options=(
        ANOTHER_PROFILE,
        Option("--all", "", "every process that shares the backends, and what of the limits is used", group="what"),
        Option(
            "--reset",
            "",
            "forget counts and history; circuits and tokens per minute stay",
            group="what",
            where=Where.NOTEBOOK,
        ),
    ),
    notes={
        Where.NOTEBOOK: "As an expression, .frame is the same as a DataFrame.",
        Where.SHELL: f"Counts are those of a history: {KEEPING}; llx --stats shows those of one prompt.",
    },
)


def run(here: Here, asked: Asked) -> Shown:
    """Show which processes share the backends, or what the history of earlier prompts comes to.

    Raises:
        UsageProblem: without ``--all``, where there is no history.
    """
    balancer = here.session.balancer(asked.get("profile"))
    if "all" in asked:
        return report_of_all(balancer)
    told = count_earlier(balancer)
    if told is None:
        raise UsageProblem(
            f"{asked.prog} needs --all, or a history, since each command begins anew: {how_to_keep(balancer)}; "
            "--stats shows what one prompt came to"
        )
    shown = report_of(balancer)
    shown.aside = told
    return shown


def run_in_notebook(here: Here, asked: Asked) -> Shown:
    """Show, or reset, the statistics."""
    balancer = here.session.balancer(asked.get("profile"))
    if "all" in asked:
        return report_of_all(balancer)
    if "reset" not in asked:
        return report_of(balancer)
    balancer.reset_statistics()
    said = f"statistics of {balancer.name} are reset; circuits and tokens per minute stay"
    return Shown(said, frame=balancer.stats)


def report_of(balancer: LoadBalancer) -> Shown:
    """Return the statistics of a profile."""
    snapshot = balancer.snapshot()
    html = status_of(snapshot).headline() + report.as_html(snapshot)
    return Shown(report.plain(snapshot), html, frame=balancer.stats)


def report_of_all(balancer: LoadBalancer) -> Shown:
    """Return which processes share the backends of a profile; it is no good where their server is away."""
    shared = BACKGROUND.run(balancer.shared())
    shown = Shown(peers.plain(shared), peers.as_html(shared), frame=lambda: BACKGROUND.run(balancer.peers()))
    shown.is_good = shared.why != AWAY
    return shown
