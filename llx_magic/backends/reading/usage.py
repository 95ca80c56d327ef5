"""Token counts under the names of every server."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from llx_magic.backends.reading.lenient import folded
from llx_magic.core.reply import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.text.values import JsonValue

LARGEST_COUNT = 2**53
"""A count beyond this is a mistake: not every reader of JSON holds it exactly (https://www.rfc-editor.org/rfc/rfc8259#section-6)."""

_NAMES = {
    "prompt": "prompttokens prompttokencount prompttokenscount promptevalcount numprompttokens",
    "input": "inputtokens inputtokencount inputtokenscount",
    "completion": "completiontokens completiontokencount outputtokens outputtokencount outputtokenscount evalcount "
    "generatedtokens generatedtokencount numgeneratedtokens numcompletiontokens",
    "candidates": "candidatestokencount",
    "total": "totaltokens totaltokencount totaltokenscount",
    "cached": "cachedtokens cachedcontenttokencount promptcachehittokens numcachedtokens cachehittokens",
    "cache_read": "cachereadinputtokens cachereadtokens",
    "cache_written": "cachecreationinputtokens cachewriteinputtokens cachecreationtokens cachewritetokens",
    "reasoning": "reasoningtokens thinkingtokens reasoningtokencount thinkingtokencount",
    "thoughts": "thoughtstokencount",
    "tools": "tooluseprompttokencount",
}
"""Our names, and those of OpenAI, Anthropic, Gemini, Bedrock, Ollama, Cohere, DeepSeek, Mistral … for each.

``input`` is apart from ``prompt`` since beside ``cache_read`` it leaves the cached tokens out (Anthropic, Bedrock), and
``candidates`` from ``completion`` since it leaves the ``thoughts`` out, and its prompt what its ``tools`` found
(Gemini: https://ai.google.dev/api/generate-content#UsageMetadata).
"""

_LONGEST_NUMBER = 30
_LONGEST_NAME = 80
_OURS = {theirs: ours for ours, names in _NAMES.items() for theirs in names.split()}
_DETAILS = ("details", "tokens", "billedunits")
"""What the names of objects with further counts end in, and which of them count where several do."""


def counts_of(reported: JsonValue) -> dict[str, int]:
    """Return the counts that a server reported, under our names; empty where it counted nothing or none can be read."""
    if isinstance(reported, list):
        reported = next((each for each in reported if isinstance(each, dict)), None)
    if not isinstance(reported, dict):
        return {}
    found = _flat(reported)
    inner = {folded(name): value for name, value in reported.items() if isinstance(value, dict)}
    for ending in _DETAILS if inner else ():
        for name, value in inner.items():
            if name.endswith(ending) and isinstance(value, dict):
                found = _flat(value) | found
    return found if any(found.values()) else {}


def _flat(reported: Mapping[str, JsonValue]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in reported.items():
        ours = _ours(name) if len(name) <= _LONGEST_NAME else None
        if ours is not None and (count := _count(value)) is not None:
            found[ours] = max(count, found.get(ours, 0))
    return found


@functools.lru_cache(maxsize=512)
def _ours(name: str) -> str | None:
    """Return our name for a server's; None for what counts no tokens."""
    return _OURS.get(folded(name))


def _count(value: JsonValue) -> int | None:
    """Return a count that came as a number or as text; None for what is none."""
    if type(value) is int and 0 <= value <= LARGEST_COUNT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _LONGEST_NUMBER:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and 0 <= number <= LARGEST_COUNT else None


def usage_of(counts: Mapping[str, int]) -> Usage | None:
    """Return the usage that counts add up to; None where nothing was counted.

    Tokens that only the total knows are the completion's: some servers count reasoning nowhere else.
    """
    cached = max(counts.get("cached", 0), counts.get("cache_read", 0))
    written = counts.get("cache_written", 0)
    prompt = counts.get("prompt")
    if prompt is None:
        prompt = counts.get("input", 0) + counts.get("cache_read", 0) + (written if "cache_read" in counts else 0)
    prompt += counts.get("tools", 0)
    thoughts = counts.get("thoughts", 0)
    completion = max(counts.get("completion", 0), counts.get("candidates", 0) + thoughts)
    unnamed = max(0, counts.get("total", 0) - prompt - completion)
    if not prompt + completion + unnamed:
        return None
    reasoning = max(counts.get("reasoning", 0), thoughts)
    if "completion" in counts:
        reasoning = max(reasoning, unnamed)
    return Usage(prompt, completion + unnamed, cached=cached, cache_written=written, reasoning=reasoning)
