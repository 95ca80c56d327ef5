"""Lists of models under the names of every service: how much each model takes, and where the next page is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from llx_magic.backends.reading.lenient import folded
from llx_magic.backends.reading.usage import LARGEST_COUNT
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llx_magic.text.values import JsonValue

LONGEST_NAME = 200

_NAMES = ("id", "name", "model", "modelId", "inferenceProfileId")
_WINDOWS = (
    "contextlength", "contextwindow", "maxcontextlength", "maxmodellen", "inputtokenlimit", "maxinputtokens",
    "maxcontextwindowtokens", "contextsize",
)  # fmt: skip
_OUTPUTS = ("outputtokenlimit", "maxoutputtokens", "maxcompletiontokens", "maxoutputlength", "maxtokens")
"""What OpenRouter, Groq, Mistral, vLLM, Gemini, Anthropic, Together, Cohere … call a window and the longest reply."""

_TOKENS = {"nextPageToken": "pageToken", "next_page_token": "page_token", "nextToken": "nextToken"}
"""How the answers of Gemini, Cohere and AWS name the next page, and the parameter that asks for it."""


class Listed(NamedTuple):
    """A model that a service lists: how many tokens it takes, and writes at most; None where the list does not say."""

    name: str
    window: int | None = None
    output: int | None = None


def with_limits(names: Iterable[str], page: JsonValue) -> Iterator[Listed]:
    """Yield the models of a page by their names, each with what the page says of its limits."""
    rows = {str(row.get(key)).rpartition("models/")[2]: row for row in _rows(page) for key in _NAMES if key in row}
    for name in names:
        if len(name) <= LONGEST_NAME and one_line(name, LONGEST_NAME) == name:
            row = rows.get(name, {})
            yield Listed(name, _limit(row, _WINDOWS), _limit(row, _OUTPUTS))


def next_page(path: str, page: JsonValue) -> str | None:
    """Return the path that asks for the page after this one, or None where it is the last."""
    if not isinstance(page, dict):
        return None
    asked = [(asks, page[names]) for names, asks in _TOKENS.items() if page.get(names)]
    if page.get("has_more") is True:  # https://platform.claude.com/docs/en/api/models-list
        asked.append(("after_id", page.get("last_id")))
    for parameter, token in asked:
        if isinstance(token, str) and token:
            return f"{path}{'&' if '?' in path else '?'}{parameter}={quote(token, safe='')}"
    return None


def _rows(page: JsonValue) -> Iterator[Mapping[str, JsonValue]]:
    for found in page.values() if isinstance(page, dict) else (page,):
        if isinstance(found, list):
            yield from (row for row in found if isinstance(row, dict))


def _limit(row: Mapping[str, JsonValue], names: tuple[str, ...]) -> int | None:
    """Return the first of these limits that the row has, in itself or in an object within it."""
    for place in (row, *(value for value in row.values() if isinstance(value, dict))):
        known = {folded(name): value for name, value in place.items()}
        for name in names:
            value = known.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_COUNT:
                return value
    return None
