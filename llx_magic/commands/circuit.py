"""``%llx_circuit``: what keeps requests from each backend, and how to change that by hand."""

from __future__ import annotations

from dataclasses import replace

from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE, backends
from llx_magic.commands.where import Where
from llx_magic.core.breaker import CircuitState
from llx_magic.core.circuits import DISABLED
from llx_magic.core.snapshot import BackendSnapshot
from llx_magic.errors import UsageProblem
from llx_magic.observe.report import html_table, text_table
from llx_magic.session.balancer import LoadBalancer
from llx_magic.units import countdown, in_time

COLUMNS = ("backend", "circuit", "failures in the window", "cool-down left", "next request")


_BACKEND = Argument("backend", "BACKEND", complete=backends)

COMMAND = Command(
    run="llx_magic.commands.circuit:show",
    options=(ANOTHER_PROFILE,),
    actions=(
        Command(
            "open",
            "Pass a backend over until its recovery time has passed.",
            run="llx_magic.commands.circuit:open_",
            arguments=(_BACKEND,),
        ),
        Command(
            "close",
            "Close a backend's circuit and forget its failures.",
            run="llx_magic.commands.circuit:close",
            arguments=(_BACKEND,),
        ),
        Command(
            "reset",
            "Close the circuit and end the cool-down after a rate limit or a spent quota.",
            run="llx_magic.commands.circuit:reset",
            arguments=(replace(_BACKEND, optional=True, group="which"),),
            options=(Option("--all", "", "of every backend", group="which"),),
        ),
    ),
    notes={Where.NOTEBOOK: "What is changed by hand is changed for this process."},
)


def show(here: Here, asked: Asked) -> Output:
    """Return a row for each backend of the profile, in priority order."""
    balancer = here.session.balancer(asked.get("profile"))
    rows = [_row(backend) for backend in balancer.snapshot().backends]
    title = f"circuits of {balancer.name}"
    return Output(f"{title}\n\n{text_table(COLUMNS, rows)}", html_table(COLUMNS, rows, caption=title))


def open_(here: Here, asked: Asked) -> Output:
    """Open a circuit. An error for a backend that the profile does not have is the load balancer's."""
    balancer = here.session.balancer(asked.get("profile"))
    balancer.open_circuit(asked["backend"])
    backend = _state(balancer, asked["backend"])
    if backend.state == DISABLED:
        return Output(
            f"{backend.name}: circuit open, but circuit_breaker_enabled is false, so it is asked all the same; "
            "%llx_set circuit_breaker_enabled true changes that"
        )
    return Output(f"{backend.name}: circuit open; a probe {in_time(backend.seconds_until_probe)}")


def close(here: Here, asked: Asked) -> Output:
    """Close a circuit."""
    balancer = here.session.balancer(asked.get("profile"))
    balancer.close_circuit(asked["backend"])
    backend = _state(balancer, asked["backend"])
    said = f"{backend.name}: circuit closed, failures forgotten"
    if backend.cooling_down is not None:
        left = countdown(backend.cooling_down)
        said += f"; it still cools down ({left} left): %llx_circuit reset {backend.name} ends that"
    return Output(said)


def reset(here: Here, asked: Asked) -> Output:
    """Close the circuit of one backend or of all, and end their cool-downs.

    Raises:
        UsageProblem: where neither or both are named.
    """
    balancer, backend = here.session.balancer(asked.get("profile")), asked.get("backend")
    if ("all" in asked) is (backend is not None):
        raise UsageProblem(f"%llx_circuit reset takes one backend or --all; there are {', '.join(balancer.members)}")
    balancer.reset(backend)
    whose = backend or f"every backend of {balancer.name}"
    return Output(f"{whose}: circuit closed, failures forgotten, no cool-down")


def _row(backend: BackendSnapshot) -> tuple[str, ...]:
    left = "" if backend.cooling_down is None else countdown(backend.cooling_down) if backend.cooling_down else "over"
    return (backend.name, backend.state, str(backend.failures_in_window), left, _next_request(backend))


def _next_request(backend: BackendSnapshot) -> str:
    """Say what a request that comes now would meet."""
    if backend.state == CircuitState.HALF_OPEN:
        return "passes it over until the probe that is under way has ended"
    cooling = backend.cooling_down or 0.0
    if backend.is_open and backend.seconds_until_probe >= cooling:
        if backend.seconds_until_probe:
            return f"passes it over; a probe {in_time(backend.seconds_until_probe)}"
        return "asks it, as the probe"
    if cooling:
        return f"passes it over, or waits; it is asked again {in_time(cooling)}"
    if backend.cooling_down is not None:
        return "goes first after the cool-down; the others wait until it has ended"
    return "asks it"


def _state(balancer: LoadBalancer, name: str) -> BackendSnapshot:
    return next(backend for backend in balancer.snapshot().backends if backend.name == name)
