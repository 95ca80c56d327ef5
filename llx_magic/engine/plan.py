"""What one request may ask, frozen when it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from llx_magic.core.gate import GateKey
from llx_magic.core.message import TEXT_ONLY, Message, Takes, attachments
from llx_magic.core.money import TOKENS_A_PIECE, UNPRICED, Tariff, likely_completion
from llx_magic.core.ports import Backend
from llx_magic.core.reply import ChatRequest, Effort
from llx_magic.core.routing import Routing, Standing, exploring
from llx_magic.core.window import BYTES_A_TOKEN, bytes_of, window_problem
from llx_magic.engine.budget import Budget
from llx_magic.engine.live import LiveProfile
from llx_magic.settings.declaration import Settings
from llx_magic.text.shape import Shape
from llx_magic.text.values import JsonValue

PRICES_SAID = "a profile says it with --price-input and --price-output (0 is free)"
"""What makes a price known."""

PRICE_UNKNOWN = f"its price is not known, which a budget needs; {PRICES_SAID}"
"""Why a candidate is passed over whose cost nobody could keep to a budget."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One backend with the settings that were frozen for this request and the parameters of its model.

    ``takes`` says what it can be sent beside text; what it cannot take passes it over. ``window`` is how many tokens it
    takes, where that is known. ``tariff`` is what it costs,
    ``weight`` its share under a routing that weighs.
    """

    backend: Backend
    gate: GateKey
    settings: Settings
    params: Mapping[str, JsonValue]
    takes: Takes = TEXT_ONLY
    window: int | None = None
    tariff: Tariff = UNPRICED
    weight: float = 1.0


class Plan(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """One request as it was asked: nothing that changes later changes it.

    ``messages`` end with the user's; ``held`` is what they hold beside text. ``shape`` is what the reply is to be, None
    for any text; ``effort`` how much the model should reason. ``conversation`` names the conversation that is
    continued, ``bytes_a_token`` is what its last prompt had, or an estimate. ``notes`` are remarks about the prompt
    itself, such as which rows of a table were sent; the reply carries them. ``is_row`` says that it is one of many
    rows: whoever runs those asks again later, so nothing is waited for here; then it has the ``number`` that it had
    before, and else 0, and ``began`` when it was first sent; ``run`` is the run that it is of, 0 for none that shares
    places with others. What it costs is spent from every one of the ``budgets``. ``is_kept`` says that the reply is
    looked for in the store of replies, and kept there.
    """

    routing: Routing
    candidates: tuple[Candidate, ...]
    messages: tuple[Message, ...]
    held: Takes = TEXT_ONLY
    shape: Shape | None = None
    effort: Effort | None = None
    conversation: str | None = None
    bytes_a_token: float = BYTES_A_TOKEN
    notes: tuple[str, ...] = ()
    is_row: bool = False
    number: int = 0
    began: float | None = None
    run: int = 0
    budgets: tuple[Budget, ...] = ()
    is_kept: bool = False

    @property
    def has_one_candidate(self) -> bool:
        """Whether there is only one candidate; it is never refused."""
        return len(self.candidates) == 1

    @property
    def prompt_tokens(self) -> float:
        """About how many tokens the texts of the prompt take."""
        return bytes_of(self.messages) / self.bytes_a_token

    def refusal(self, candidate: Candidate) -> str | None:
        """Return why a candidate is passed over without a visit, or None; a lone one judges the length by itself."""
        if self.held is not TEXT_ONLY and (why := candidate.takes.refusal(self.held)):
            return why
        if candidate.tariff.price is None and self.has_limit:
            return PRICE_UNKNOWN
        if candidate.window is None or self.has_one_candidate:
            return None
        return window_problem(self.prompt_tokens, candidate.window)

    @property
    def has_limit(self) -> bool:
        """Whether there is a limit of what may be spent."""
        return any(budget.limit is not None for budget in self.budgets)

    def likely_cost(self, candidate: Candidate, completion_tokens: float) -> float:
        """Return about what a candidate takes for this prompt and a reply of so many tokens; 0 where nobody knows."""
        if candidate.tariff.price is None:
            return 0.0
        pieces = sum(1 for _ in attachments(self.messages)) * TOKENS_A_PIECE
        return candidate.tariff.price.of(self.prompt_tokens + pieces, completion_tokens)

    def request(self, candidate: Candidate, correction: tuple[Message, ...] = ()) -> ChatRequest:
        """Return what a candidate is sent; ``correction`` is its last reply and what was wrong with it."""
        return ChatRequest(
            messages=(*self.messages, *correction),
            params=candidate.params,
            streaming=candidate.settings.streaming,
            json=self.shape is not None,
            schema=self.shape.schema if self.shape else None,
            effort=self.effort,
        )

    def for_row(
        self,
        messages: tuple[Message, ...],
        held: Takes,
        candidates: tuple[Candidate, ...],
        number: int = 0,
        began: float | None = None,
    ) -> Plan:
        """Return the plan of one row of those that this one stands for; the last two are of a row that was put back."""
        return Plan(
            routing=self.routing,
            candidates=candidates,
            messages=messages,
            held=held,
            shape=self.shape,
            effort=self.effort,
            budgets=self.budgets,
            is_row=True,
            number=number,
            began=began,
            run=self.run,
        )

    def order(self, live: LiveProfile, request: int, jitter: Callable[[], float]) -> tuple[Candidate, ...]:
        """Return the candidates as this request considers them; request 0 looks only, and counts as no turn."""
        routing, candidates = self.routing, self.candidates
        if routing.order is None:
            return candidates
        order = routing.order
        if routing.explores and request:
            order = exploring(order, routing.explores, jitter())
        costs = [self._known_cost(each) if routing.wants_costs else None for each in candidates]
        places = [
            Standing(each.backend.name, 0, weight=each.weight, cost=cost)
            for each, cost in zip(candidates, costs, strict=True)
        ]
        return tuple(candidates[place] for place in live.in_order(places, order, request))

    def _known_cost(self, candidate: Candidate) -> float | None:
        if candidate.tariff.price is None:
            return None
        return self.likely_cost(candidate, likely_completion(candidate.params, None))


def names_of(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Return the backends' names, in order."""
    return tuple(candidate.backend.name for candidate in candidates)
