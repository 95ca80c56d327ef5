"""What becomes of every golden reply: the verdicts of the core on what the forms' readers make of it, as a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from llx_magic.core.failure import Failure, FailureKind, may_fail_over, retry_delay
from llx_magic.providers.provider import FORMS
from llx_magic.settings.declaration import Settings
from llx_magic.units import duration
from tests.wires.goldens import SCENARIOS, Golden, absent, forms, goldens

FAILING = {
    "status-400": "status 400: the request is wrong",
    "status-401": "status 401: the key is wrong",
    "status-403": "status 403: the key may not do this",
    "status-404": "status 404: no such model",
    "status-429": "status 429: too many requests",
    "status-429-quota": "status 429: the quota or the credit is spent",
    "status-500": "status 500",
    "status-503": "status 503",
    "status-context": "a status that says that the prompt does not fit",
    "status-filter": "a status that says that a filter blocks the prompt",
    "error-event-overloaded": "within a reply of status 200: overloaded",
    "error-event-rate-limit": "within a reply of status 200: too many requests",
    "error-after-text": "within a reply of status 200: an error after some text",
    "page-instead": "a page of HTML instead of a reply",
    "cut-before-text": "the connection ends before any text",
    "cut-after-text": "the connection ends after some text",
    "silence-after-finish": "silence after the last word, without the end",
    "bad-json-middle": "broken JSON after some text",
    "filter-before-text": "a filter steps in before any text",
    "filter-after-text": "a filter steps in after some text",
    "prompt-blocked": "within a reply of status 200: the prompt is blocked",
    "refusal": "the model refuses in its own words",
    "context-window-full": "the window is full in the middle of the reply",
    "tool-only": "nothing but a call of a tool",
    "tool-with-text": "some text and a call of a tool",
    "thinking-only-length": "nothing but reasoning, which took all tokens",
    "empty": "nothing at all",
    "usage-absent": "a whole reply without counts of tokens",
}
"""The scenarios in which something is amiss, in words."""


@dataclass(frozen=True)
class Verdict:
    """What the core makes of one reply: the kind of failure, or how the reply ended and what is noted with it.

    ``again`` says whether the same backend is asked again where the settings leave an attempt, ``counts`` whether the
    circuit breaker counts it, ``cools`` whether the backend is left alone for a time, ``next`` whether the next backend
    is asked. ``wait`` is in seconds, where the service names one.
    """

    kind: str
    notes: str = ""
    failed: bool = True
    again: bool = False
    counts: bool = False
    cools: bool = False
    next: bool = False
    wait: float | None = None


def verdict_of(golden: Golden) -> Verdict:
    """Return what becomes of a golden under the settings' defaults."""
    outcome, pieces = golden.read([golden.body])
    if not isinstance(outcome, Failure):
        return Verdict(f"a reply ({outcome.finish_reason})", "; ".join(outcome.notes), failed=False)
    settings, shown = Settings(), "".join(pieces.text)
    at_once = replace(outcome, retry_after=None, words=len(shown.split()) if shown else None)
    return Verdict(
        f"{outcome.kind} (quota)" if outcome.quota_exhausted else str(outcome.kind),
        again=retry_delay(at_once, 1, settings, jitter=0.0) is not None,
        counts=outcome.counts,
        cools=outcome.kind is FailureKind.RATE_LIMIT,
        next=may_fail_over(outcome, settings),
        wait=outcome.retry_after,
    )


def verdicts() -> dict[str, dict[str, Verdict]]:
    """Return the verdicts on all goldens by form and scenario."""
    found: dict[str, dict[str, Verdict]] = {form: {} for form in forms()}
    for golden in goldens():
        found[golden.form][golden.scenario] = verdict_of(golden)
    return found


def tables() -> str:
    """Return the counts of all forms, and then each form's table."""
    found = verdicts()
    words = {module: word for word, module in FORMS.items()}
    columns = "scenarios", "whole replies", "failures", "failures by kind", "of the scenarios above it cannot have"
    lines = [f"| form | {' | '.join(columns)} |", "|---|---|---|---|---|---|"]
    for form, each in found.items():
        kinds = Counter(verdict.kind for verdict in each.values() if verdict.failed)
        by_kind = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        missing = [name for name in FAILING if name not in each]
        counts = len(each), len(each) - kinds.total(), kinds.total(), by_kind, len(missing)
        lines.append(f"| [`{words[form]}`](#{words[form]}) | {' | '.join(map(str, counts))} |")
    for form, each in found.items():
        lines += ["", f"## {words[form]}", "", *_table(form, each)]
    return "\n".join(lines)


def _table(form: str, found: dict[str, Verdict]) -> list[str]:
    """Return one form's table: what all forms share first, then what only this service does."""
    head = ["| what comes | what it is | asked again | counts | next backend | wait named | |", "|---" * 7 + "|"]
    own = [name for name, verdict in found.items() if name not in SCENARIOS and verdict.failed]
    shared = [
        _row(title, found[name]) if name in found else f"| {title} | {'| ' * 4}| {absent(form)[name]} |"
        for name, title in FAILING.items()
    ]
    return [*head, *shared, *(_row(f"`{name}`", found[name]) for name in own)]


def _row(title: str, verdict: Verdict) -> str:
    if not verdict.failed:
        return f"| {title} | {verdict.kind} | {'| ' * 3}| {verdict.notes} |"
    counts = "cool-down" if verdict.cools else _yes(verdict.counts)
    wait = "" if verdict.wait is None else duration(verdict.wait)
    cells = title, verdict.kind, _yes(verdict.again), counts, _yes(verdict.next), wait
    return f"| {' | '.join(cells)} | |"


def _yes(told: bool) -> str:
    return "yes" if told else "no"
