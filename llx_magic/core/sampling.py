"""The parameters of a request that may be shown to observers; the prompt is not among them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from llx_magic.text.values import JsonValue

_NUMBERS = frozenset({"temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty"})
_COUNTS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens", "seed", "n"})
_FORMATS = frozenset({"text", "json_object", "json_schema"})

_LARGEST = 2**53
"""The largest integer that is shown: every JSON parser reads it exactly
(https://www.rfc-editor.org/rfc/rfc8259#section-6).
"""

MOST_STOPS, LONGEST_STOP = 16, 64
"""The most stop sequences that are shown, and the most characters of each; others are left out."""

Sampling = dict[str, int | float | str | list[str]]


def sampling_of(params: Mapping[str, JsonValue], *, json: bool) -> str | None:
    """Return the parameters of a request that say how to write, as a JSON object; None where it has none.

    Names are those of OpenAI's chat completions. ``json`` is whether JSON was asked for besides. A value of the
    wrong type is left out, and so are all other parameters, since they may hold anything.
    """
    if not params and not json:
        return None
    told: Sampling = {"response_format": "json_object"} if json else {}
    for name, value in params.items():
        if (known := _told(name, value)) is not None:
            told[name] = known
    return msgspec.json.encode(told).decode() if told else None


def read_sampling(told: str | None) -> Sampling:
    """Return the values that ``sampling_of`` wrote."""
    return {} if told is None else msgspec.json.decode(told, type=Sampling)


def _told(name: str, value: JsonValue) -> int | float | str | list[str] | None:
    if isinstance(value, bool):
        return None
    if name in (*_COUNTS, *_NUMBERS) and isinstance(value, int):
        return value if abs(value) <= _LARGEST else None
    if name in _NUMBERS and isinstance(value, float) and math.isfinite(value):
        return value
    if name == "stop":
        stops = value if isinstance(value, list) else [value]
        texts = [each for each in stops if isinstance(each, str) and len(each) <= LONGEST_STOP][:MOST_STOPS]
        return [each.encode("utf-8", "replace").decode() for each in texts] or None
    if name == "response_format" and isinstance(value, Mapping):
        kind = value.get("type")
        return kind if isinstance(kind, str) and kind in _FORMATS else None
    return None
