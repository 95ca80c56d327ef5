"""From a run over rows and a client of Dask to the workers that ask them: what they are told of it, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.cluster.fleet import Fleet
from llx_magic.cluster.link import Link
from llx_magic.cluster.messages import Job
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import UsageProblem
from llx_magic.hosts import command
from llx_magic.profiles.travel import pack
from llx_magic.session.consent import pending, unallowable
from llx_magic.session.ordered_rows import limits_of
from llx_magic.session.row_engine import RowEngine
from llx_magic.text.wording import shown_path

if TYPE_CHECKING:
    from llx_magic.engine.dispatch import Stop
    from llx_magic.engine.plan import Plan
    from llx_magic.session.balancer import LoadBalancer
    from llx_magic.session.options import MapOptions


def fleet_of(balancer: LoadBalancer, plan: Plan, options: MapOptions, stop: Stop) -> Fleet:
    """Return the workers of the client's cluster as those who answer the rows of a run.

    Raises:
        UsageProblem: for what is no client, and as ``job_of``.
    """
    link, job = Link(options.get("client"), RowEngine), job_of(balancer, plan, options.get("backend"))
    return Fleet(link, job, LoopClock(), stop, limits_of(plan.candidates))


def job_of(balancer: LoadBalancer, plan: Plan, backend: str | None) -> Job:
    """Return what workers are told of a run: all but the keys, which they look up by their names.

    Raises:
        UsageProblem: for a profile from elsewhere whose keys have not been allowed.
    """
    if waiting := pending(balancer.profile):
        trust = command(f"profile trust {shown_path(waiting[0].path)}")
        raise UsageProblem(
            f"profile {balancer.name} may not send {waiting[0].pair.said} yet, so it goes to no worker either; "
            f"to allow it: {trust}"
        )
    if refused := unallowable(balancer.profile):  # a worker could not tell that its profile is from elsewhere
        raise UsageProblem(f"{refused[0]} is from elsewhere and its host cannot be allowed, so it goes to no worker")
    return Job(
        profile=pack(balancer.profile),
        backend=backend,
        settings={each.backend.name: each.settings for each in plan.candidates},
        params={each.backend.name: each.params for each in plan.candidates},
        is_json=plan.shape is not None,
        schema=None if plan.shape is None else plan.shape.schema,
        effort=plan.effort,
    )
