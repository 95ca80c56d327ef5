"""``%llx_stats`` and ``%llx_log``: what the active profile has done, in numbers and in lines."""

from __future__ import annotations

import re

from llx_magic.commands.grammar import Grammar, shell_words
from llx_magic.commands.localtime import time_of_day
from llx_magic.commands.output import Output
from llx_magic.core.describe import lines
from llx_magic.core.trace import Trace
from llx_magic.errors import UsageProblem
from llx_magic.observe import report
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from llx_magic.text.screen import one_line


def stats_grammar(prog: str = "%llx_stats") -> Grammar:
    """Return the grammar of ``%llx_stats``."""
    parser = Grammar(prog, "Show the statistics of the active profile: every backend, its metrics and its circuit.")
    parser.add_argument("what", nargs="?", default="lb", choices=["lb"], help="lb, the load balancer; may be left out")
    parser.add_argument("-p", "--profile", help="another profile than the active one")
    parser.add_argument(
        "--reset", action="store_true", help="forget counts and history; circuits and tokens per minute stay"
    )
    return parser


def log_grammar(prog: str = "%llx_log") -> Grammar:
    """Return the grammar of ``%llx_log``."""
    parser = Grammar(prog, "Show the latest debug lines of the active profile, with the local time of day.")
    parser.add_argument("-n", metavar="N", default="40", help="how many lines (default 40)")
    parser.add_argument("-p", "--profile", help="another profile than the active one")
    return parser


def stats(session: Session, line: str) -> tuple[Output, LoadBalancer]:
    """Show, or reset, the statistics; returns the load balancer too, for who wants the DataFrame."""
    asked = stats_grammar().read(shell_words(line))
    balancer = session.balancer(asked.profile)
    if asked.reset:
        balancer.reset_statistics()
        return Output(f"statistics of {balancer.name} are reset; circuits and tokens per minute stay"), balancer
    return report_of(balancer), balancer


def report_of(balancer: LoadBalancer) -> Output:
    """Return the statistics of a profile."""
    snapshot = balancer.snapshot()
    return Output(report.plain(snapshot), report.as_html(snapshot))


def log(session: Session, line: str) -> Output:
    """Show the latest debug lines."""
    asked = log_grammar().read(shell_words(line))
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", asked.n, re.ASCII):
        raise UsageProblem(f"-n must be a number of lines, at least 1, got {one_line(asked.n, 20)!r}")
    balancer = session.balancer(asked.profile)
    shown = [
        f"{time_of_day(balancer.epoch + event.at)} {text}"
        for event in balancer.decisions()
        for _channel, text in lines(event)
    ]
    return Output("\n".join(shown[-int(asked.n) :]) or f"nothing has been asked of {balancer.name} yet")


def trace_grammar(prog: str = "%llx_trace") -> Grammar:
    """Return the grammar of ``%llx_trace``."""
    parser = Grammar(prog, "Show how a request was decided: skips, attempts, waits, the first token, the answer.")
    parser.add_argument("number", nargs="?", metavar="N", help="the request's number; the last one where left out")
    parser.add_argument("-p", "--profile", help="another profile than the active one")
    return parser


def trace(session: Session, line: str) -> Trace:
    """Return the trace of the last request of a profile, or of the one that is named.

    Raises:
        UsageProblem: for a request that is not remembered.
    """
    asked = trace_grammar().read(shell_words(line))
    balancer = session.balancer(asked.profile)
    if asked.number is None:
        return balancer.trace()
    if not asked.number.isdecimal() or len(asked.number) > LONGEST_NUMBER:
        raise UsageProblem(f"no request {asked.number} is remembered: a request is named by its number")
    return balancer.trace(int(asked.number))


LONGEST_NUMBER = 18
"""Digits of the longest number that can be one of a request."""
