"""``%llx_replay`` and ``llx replay``: what a history would have come to under other settings."""

from __future__ import annotations

from collections.abc import Callable

from llx_magic.commands.command import Command, Option
from llx_magic.commands.earlier import replayer_of
from llx_magic.commands.here import Here
from llx_magic.commands.output import Shown
from llx_magic.commands.profiles import pairs
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import ANOTHER_PROFILE, files, settings
from llx_magic.core.routing import ROUTINGS
from llx_magic.core.totals import CLAIMS, FEWEST_PROMPTS, WORDS, Expected, Figure, Totals, spread_in_words
from llx_magic.observe.report import html_lines, html_table, text_table
from llx_magic.session.replaying import Replayer, Trial, change_of
from llx_magic.text.wording import listed
from llx_magic.units import duration, number, percent, plural

HISTORY = Option(
    "--history",
    "FILE",
    "a history that was saved, in place of what this session remembers (a shell: of the setting history_file)",
    complete=files,
)

COMMAND = Command(
    run="llx_magic.commands.replay:run",
    options=(
        ANOTHER_PROFILE,
        Option("--set", "key=value", "a setting that is tried; may be repeated", complete=settings, repeats=True),
        Option("--policy", "POLICY", "another policy that is tried", complete=lambda _at: ROUTINGS),
        HISTORY,
    ),
)


SPREAD = "from to"

_FIGURES = (1, 2, 3)
"""The columns of numbers."""


def run(here: Here, asked: Asked) -> Shown:
    """Show what the prompts came to beside what they would have come to; nothing is sent and nothing is changed.

    Raises:
        LlxError: for a setting, a policy or a history that cannot be used, and where nothing is remembered.
    """
    change = change_of(pairs(asked.all("set"), "--set"), asked.get("policy"))
    replayer = replayer_of(here, asked)
    trial = replayer.try_out(change)
    title = f"{plural(trial.totals.prompts, 'prompt')} of {replayer.record.name}, replayed with {change}"
    columns = ("", "was", "would be", *([SPREAD] if trial.expected.is_drawn else []))
    rows = rows_of(replayer.was_totals, trial.expected)
    below = remarks(replayer, trial)
    text = "\n\n".join([title, text_table(columns, rows, numbers=_FIGURES), "\n".join(below)])
    html = html_table(columns, rows, caption=title, numbers=_FIGURES) + html_lines(below)
    return Shown(text, html, frame=lambda: replayer.frame(trial))


_ROWS: tuple[tuple[str, Figure, Callable[[float | None], str]], ...] = (
    ("answered", CLAIMS["answered"], percent),
    ("p50", CLAIMS["p50"], duration),
    ("p95", CLAIMS["p95"], duration),
    ("cost", CLAIMS["cost"], number),
    ("answered by another than the first", lambda each: each.switches, number),
    ("wasted tokens", lambda each: each.wasted_tokens, number),
)

_UNTOLD = "cannot be told"


def rows_of(was: Totals, would: Expected) -> list[tuple[str, ...]]:
    """Return a row for each figure: what it was, what it would be, and where that is drawn from where to where."""
    rows = []
    for name, figure, words in _ROWS:
        spread = [spread_in_words(would, figure, words)] if would.is_drawn else []
        told = _UNTOLD if name in would.untold else words(figure(would.middle))
        rows.append((WORDS.get(name, name), words(figure(was)), told, *spread))
    return rows


def remarks(replayer: Replayer, trial: Trial) -> list[str]:
    """Say how much of the answer is known, how far the rest may be off, and on how little it stands."""
    said, is_drawn = list[str](), trial.expected.is_drawn
    if (count := trial.totals.prompts) < FEWEST_PROMPTS:
        said.append(f"{plural(count, 'prompt')}: too few to conclude anything from; ask {FEWEST_PROMPTS} or more")
    if stopped := replayer.was_totals.cancelled:
        then = ", and how those would have ended is drawn" if is_drawn else ""
        said.append(f"{plural(stopped, 'prompt was', 'prompts were')} cancelled: answered is of the others{then}")
    if not is_drawn:
        return [*said, "every attempt is known from this history"]
    share, courses = trial.told.typical.drawn_share, len(trial.expected.courses)
    said += [
        f"{percent(share)} of the attempts are drawn from what each backend answered; the others are known",
        f"drawn {plural(courses, 'time')}: would be is the middle, and a real run mostly lies within the last column",
    ]
    if why := replayer.why_untold(trial):
        names = [WORDS.get(name, name) for name in sorted(trial.expected.untold)]
        said.append(f"{listed(names)}: {_UNTOLD}, since {why}")
    return said + [_little(name, count) for name, count in replayer.thin(trial).items()]


def _little(name: str, count: int) -> str:
    if count:
        return f"little is known of {name}: it was asked {plural(count, 'time')}"
    return f"nothing is known of {name}, which was never asked: it is taken to answer as another does, more or less"
