"""``%llx_circuit``: what keeps requests from each backend, and how to change that by hand."""

from __future__ import annotations

import argparse

from llx_magic.commands.grammar import Grammar, shell_words
from llx_magic.commands.output import Output, text_table
from llx_magic.core.breaker import CircuitState
from llx_magic.core.circuits import DISABLED
from llx_magic.core.snapshot import BackendSnapshot
from llx_magic.errors import UsageProblem
from llx_magic.observe.report import html_table
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from llx_magic.units import countdown, in_time

COLUMNS = ("backend", "circuit", "failures in the window", "cool-down left", "next request")


def grammar(prog: str = "%llx_circuit") -> Grammar:
    """Return the grammar of the command."""
    parser = Grammar(
        prog,
        "Without an action: each backend's circuit and cool-down. With one: change them by hand, for this process.",
    )
    parser.add_argument("-p", "--profile", help="another profile than the active one")
    open_ = parser.add_action("open", "Pass a backend over until its recovery time has passed.")
    close = parser.add_action("close", "Close a backend's circuit and forget its failures.")
    reset = parser.add_action("reset", "Close the circuit and end the cool-down after a rate limit or a spent quota.")
    for action in (open_, close):
        action.add_argument("backend", metavar="BACKEND")
    reset.add_argument("backend", metavar="BACKEND", nargs="?")
    reset.add_argument("--all", action="store_true", help="of every backend")
    for action in (open_, close, reset):  # without a default, which would replace one that stands before the action
        action.add_argument("-p", "--profile", default=argparse.SUPPRESS, help="another profile than the active one")
    return parser


def run(session: Session, line: str) -> Output:
    """Carry out the command.

    Raises:
        UsageProblem: for a backend that the profile does not have, or a reset of none.
    """
    asked = grammar().read(shell_words(line))
    balancer = session.balancer(asked.profile)
    match asked.action:
        case "open":
            balancer.open_circuit(asked.backend)
            return Output(_opened(_state(balancer, asked.backend)))
        case "close":
            balancer.close_circuit(asked.backend)
            return Output(_closed(_state(balancer, asked.backend)))
        case "reset":
            return _reset(balancer, asked.backend, every=asked.all)
        case _:
            return table(balancer)


def table(balancer: LoadBalancer) -> Output:
    """Return a row for each backend of the profile, in priority order."""
    rows = [_row(backend) for backend in balancer.snapshot().backends]
    title = f"circuits of {balancer.name}"
    return Output(f"{title}\n\n{text_table(COLUMNS, rows)}", html_table(COLUMNS, rows, caption=title))


def _row(backend: BackendSnapshot) -> tuple[str, ...]:
    left = "" if backend.cooling_down is None else countdown(backend.cooling_down)
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


def _reset(balancer: LoadBalancer, backend: str | None, *, every: bool) -> Output:
    if every is (backend is not None):
        raise UsageProblem(f"%llx_circuit reset takes one backend or --all; there are {', '.join(balancer.members)}")
    balancer.reset(backend)
    whose = backend or f"every backend of {balancer.name}"
    return Output(f"{whose}: circuit closed, failures forgotten, no cool-down")


def _state(balancer: LoadBalancer, name: str) -> BackendSnapshot:
    return next(backend for backend in balancer.snapshot().backends if backend.name == name)


def _opened(backend: BackendSnapshot) -> str:
    if backend.state == DISABLED:
        return (
            f"{backend.name}: circuit open, but circuit_breaker_enabled is false, so it is asked all the same; "
            "%llx_set circuit_breaker_enabled true changes that"
        )
    return f"{backend.name}: circuit open; a probe {in_time(backend.seconds_until_probe)}"


def _closed(backend: BackendSnapshot) -> str:
    said = f"{backend.name}: circuit closed, failures forgotten"
    if backend.cooling_down is None:
        return said
    left = countdown(backend.cooling_down)
    return f"{said}; it still cools down ({left} left): %llx_circuit reset {backend.name} ends that"
