"""Results of maps that never ran: outcomes as tests write them down."""

from typing import Any

from llx_magic.rows.layout import Layout
from llx_magic.rows.outcome import Outcome, Outcomes
from llx_magic.rows.result import Ending, MapResult
from llx_magic.rows.source import source_of
from llx_magic.text.schemas import shape_of


def outcomes_of(*texts: str | Outcome | None) -> Outcomes:
    """Return outcomes: a text is a reply, None a row that failed."""
    outcomes = Outcomes()
    for place, text in enumerate(texts):
        if isinstance(text, Outcome):
            outcomes.put(text)
        elif text is None:
            outcomes.put(Outcome(place=place, status="failed", error="HTTP 400: too long", attempts=1))
        else:
            outcomes.put(Outcome(place=place, status="answered", text=text, backend="fast", model="m", attempts=1))
    return outcomes


def layout_of(schema: object = None, prefix: str = "") -> Layout:
    return Layout(None if schema is None else shape_of(schema), prefix)


def result_of(data: object, *texts: str | Outcome | None, schema: object = None, **ending: Any) -> MapResult:
    def again() -> MapResult:
        return result_of(data, *("again" for _ in texts))

    ended = Ending(seconds=1.5, again=again, **ending)
    return MapResult(source_of(data), outcomes_of(*texts), layout_of(schema), ended)
