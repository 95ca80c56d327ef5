"""What a run over rows will ask, and about what that takes: told before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import NamedTuple

from llx_magic.core.ledger import Ledger
from llx_magic.core.message import attachments
from llx_magic.core.money import TOKENS_A_PIECE, likely_completion
from llx_magic.core.reply import Usage
from llx_magic.core.window import bytes_of
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.plan import PRICES_SAID, Candidate, Plan
from llx_magic.pieces.preview import piece_facts
from llx_magic.replies.key import Key
from llx_magic.rows.typed import Typed
from llx_magic.session.feed import Feed, MapRow
from llx_magic.template.errors import NOT_SENT
from llx_magic.text.screen import one_line
from llx_magic.text.wording import listed
from llx_magic.units import CURRENCY, number, plural

SHOWN = 3
"""How many rows are shown as they will be sent."""

_AT_ONCE = 256
_LONGEST_PROMPT = 2_000
_SHOWN_PROBLEMS = 3

_GUESSED = (0.3, 2.0)
_MEASURED = (0.8, 1.25)
_OF_SCHEMA = (0.6, 2.0)
_COUNTED = (0.75, 1.35)
"""By what factors a figure may be off: a reply's length that nobody knows, one known from other replies, one of which
the schema says what it has but not how it is spaced, and a prompt's tokens, which are told from its bytes:
https://help.openai.com/en/articles/4936856
"""


class About(NamedTuple):
    """A figure that is not known yet: the likely one, the least and the most that it will probably be."""

    likely: float
    least: float
    most: float

    def in_words(self, unit: str = "") -> str:
        """Return it to two digits: ``1,200 (900 to 1,600)``."""
        likely, least, most = (_rounded(each) for each in self)
        spread = "" if least == most else f" ({least} to {most})"
        return f"{likely}{f' {unit}' if unit else ''}{spread}"

    def whole(self) -> About:
        """Return it without the parts of one that two digits would show."""
        return About(*(ceil(each) if each < 10 else each for each in self))


_NONE = About(0, 0, 0)


class Price(NamedTuple):
    """What one backend would take if it answered all; ``cost`` is None where nobody knows its price."""

    backend: str
    cost: About | None
    is_estimate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will ask; as text, several lines.

    Of the ``rows``, ``stored`` are answered already and ``failed`` have a fault that is stored, ``shared`` have the
    same prompt as another, ``problems`` cannot be asked, by their reason; ``to_ask`` are left. ``rows`` is None for an
    iterator: of it only what is shown was read. ``first`` are the first prompts as they will be sent, of the rows with
    the ``labels``. ``schema`` says what each reply is to be, where it is to be JSON. ``assumed`` is how many tokens a
    reply is assumed to have where nothing tells how many they are.
    """

    rows: int | None
    first: tuple[str, ...]
    labels: tuple[str, ...] = ()
    schema: str = ""
    assumed: float | None = None
    stored: int = 0
    failed: int = 0
    shared: int = 0
    to_ask: int = 0
    problems: tuple[tuple[str, int], ...] = ()
    tokens_in: About = _NONE
    tokens_out: About = _NONE
    prices: tuple[Price, ...] = ()

    @property
    def dearest(self) -> Price | None:
        """The backend at which it would probably cost the most if that answered all; None where no price is known."""
        known = [each for each in self.prices if each.cost is not None]
        return max(known, key=lambda each: each.cost.likely if each.cost else 0.0, default=None)

    def __str__(self) -> str:
        """Every line."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield the first prompts, how many there are, and what they will take."""
        for label, prompt in zip(self.labels, self.first, strict=True):
            yield f"[row {label}]"
            yield prompt if len(prompt) <= _LONGEST_PROMPT else f"{prompt[:_LONGEST_PROMPT]}…"
            yield ""
        if self.schema:
            yield f"each reply is to be JSON: {self.schema}"
        if self.rows is None:
            yield "an iterator: how many rows there are shows only when they are read, once; make it anew for the run"
            return
        counts = {
            "to ask": self.to_ask,
            "in the store": self.stored,
            "in the store as failed (--retry errors asks them)": self.failed,
            "with the same prompt as another": self.shared,
            "that cannot be asked": sum(count for _, count in self.problems),
        }
        told = [f"{number(count)} {what}" for what, count in counts.items() if count]
        yield f"{plural(self.rows, 'row')}: {', '.join(told) or 'nothing to ask'}"
        for problem, count in self.problems[:_SHOWN_PROBLEMS]:
            yield f"  {plural(count, 'row')}: {one_line(problem)}"
        if self.to_ask:
            yield f"about {self.tokens_in.whole().in_words()} tokens in, {self.tokens_out.whole().in_words()} out"
            if self.assumed is not None:
                yield f"nothing tells how long replies are: {number(self.assumed)} tokens a row are assumed"
            yield from self._costs()
        yield "nothing was sent"

    def _costs(self) -> Iterator[str]:
        for backend, cost, is_estimate in self.prices:
            if cost is not None and not cost.most:
                yield f"{backend} is free"
            elif cost is not None:
                unit = CURRENCY if is_estimate else ""
                yield f"about {cost.in_words(unit)} if {backend} answers all"
        if unknown := [each.backend for each in self.prices if each.cost is None]:
            yield f"no price is known for {listed(unknown)}: {PRICES_SAID}"


class Counting:
    """Goes through the rows of a run and counts what they will take.

    ``by_schema`` is about how many tokens the schema lets a reply have, None where it sets no bound.
    """

    def __init__(self, by_schema: float | None) -> None:
        self._by_schema = by_schema
        self.rows = self.stored = self.failed = self.shared = self.to_ask = 0
        self.problems: Counter[str] = Counter()
        self.bytes = self.pieces = 0
        self.replied: list[int] = []
        self.first: list[MapRow] = []
        self.labels: list[str] = []
        self._known: set[Key] = set()

    def take(self, row: MapRow, label: Callable[[int], str]) -> None:
        """Count a row; the first ones are kept with their labels."""
        self.rows += 1
        if len(self.first) < SHOWN:
            self.first.append(row)
            self.labels.append(label(row.place))
        if row.prompt.problem:
            self.problems[row.prompt.problem.removesuffix(NOT_SENT)] += 1
        elif row.stored is not None:
            self.stored += row.stored.error is None
            self.failed += row.stored.error is not None
            if row.stored.usage is not None and row.stored.error is None:
                self.replied.append(row.stored.usage.completion_tokens)
        elif row.key in self._known:
            self.shared += 1
        else:
            self._known.add(row.key)
            self.to_ask += 1
            self.bytes += bytes_of(row.prompt.messages)
            self.pieces += sum(1 for _ in attachments(row.prompt.messages))

    def tokens_in(self, bytes_a_token: float) -> About:
        """Return about how many tokens the prompts have."""
        return _about(self.bytes / bytes_a_token + self.pieces * TOKENS_A_PIECE, _COUNTED)

    def tokens_out(self, candidate: Candidate, mean: float | None) -> About:
        """Return about how many tokens a backend's replies will have; ``mean`` is that of its replies until now."""
        known, factors = self._length(mean)
        most = likely_completion(candidate.params, float("inf"))
        likely = min(likely_completion(candidate.params, known), most)
        each = _about(likely, factors)
        return About(*(min(figure, most) * self.to_ask for figure in each))

    def assumed(self, candidate: Candidate, mean: float | None) -> float | None:
        """Return how many tokens a reply is assumed to have; None where that is known from anything."""
        return likely_completion(candidate.params, None) if self._length(mean)[0] is None else None

    def _length(self, mean: float | None) -> tuple[float | None, tuple[float, float]]:
        """Return about how many tokens a reply has, None where nobody knows, and by what factors that may be off."""
        if self.replied:
            return fmean(self.replied), _MEASURED
        if self._by_schema is not None:
            return self._by_schema, _OF_SCHEMA
        return mean, _GUESSED if mean is None else _MEASURED


def estimate(feed: Feed, plan: Plan, live: LiveProfile, label: Callable[[int], str]) -> Estimate:
    """Return what a run will ask: every row is made into a prompt and looked up, and nothing is sent.

    ``label`` says what the row at a place is called. Of an iterator, whose length nobody knows, only as many rows are
    read as are shown.

    Raises:
        StoreProblem: where the store cannot be read.
    """
    replied = None if plan.shape is None or plan.shape.schema is None else Typed.root(plan.shape.schema)
    counted = Counting(_tokens_of(replied, plan))
    schema = "" if plan.shape is None else "of any kind" if replied is None else one_line(replied.in_words)
    most = SHOWN if feed.total is None else _AT_ONCE
    while rows := feed.read(most):
        for row in rows:
            counted.take(row, label)
        if feed.total is None:
            break
    prices, replies, means = [], [], []
    tokens_in = counted.tokens_in(plan.bytes_a_token)
    for candidate in plan.candidates:
        means.append(live.with_ledger(Ledger.mean_completion, candidate.backend.name))
        tokens_out = counted.tokens_out(candidate, means[-1])
        replies.append(tokens_out)
        prices.append(_price(candidate, tokens_in, tokens_out))
    return Estimate(
        rows=None if feed.total is None else counted.rows,
        first=tuple(map(_shown, counted.first)),
        labels=tuple(counted.labels),
        schema=schema,
        assumed=counted.assumed(plan.candidates[0], means[0]),
        stored=counted.stored,
        failed=counted.failed,
        shared=counted.shared,
        to_ask=counted.to_ask,
        problems=tuple(counted.problems.most_common()),
        tokens_in=tokens_in,
        tokens_out=About(replies[0].likely, min(each.least for each in replies), max(each.most for each in replies)),
        prices=tuple(prices),
    )


def _tokens_of(replied: Typed | None, plan: Plan) -> float | None:
    """Return about how many tokens a reply has by its schema; None where that sets no bound, or the model reasons."""
    letters = None if replied is None or plan.effort is not None else replied.letters
    return None if letters is None else letters / plan.bytes_a_token


def _price(candidate: Candidate, tokens_in: About, tokens_out: About) -> Price:
    name = candidate.backend.name
    costs = [
        candidate.tariff.of(Usage(round(prompts), round(replies)))
        for prompts, replies in zip(tokens_in, tokens_out, strict=True)
    ]
    if None in costs:
        price = candidate.tariff.price
        is_free = price is not None and not any(price)
        return Price(name, About(0.0, 0.0, 0.0) if is_free else None, is_estimate=False)
    known = [cost for cost in costs if cost is not None]
    return Price(name, About(*(cost.amount for cost in known)), known[0].is_estimate)


def _about(likely: float, factors: tuple[float, float]) -> About:
    return About(likely, *(likely * factor for factor in factors))


def _shown(row: MapRow) -> str:
    if row.prompt.problem:
        return f"cannot be asked: {row.prompt.problem.removesuffix(NOT_SENT)}"
    asked = row.prompt.messages[-1].noted(piece_facts).rstrip()
    return asked if row.stored is None else f"{asked}\n(in the store)"


def _rounded(figure: float) -> str:
    """Return a figure to two digits."""
    return number(float(f"{figure:.2g}")) if figure < 10 else number(int(float(f"{figure:.2g}")))
