"""The parameters of models that say how much to reason, whatever the service calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from llx_magic.text.values import JsonValue

CALLED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("maximum", "max", "xhigh", "highest", "ultra"), "high"),
    **dict.fromkeys(("minimal", "minimum", "min", "lowest"), "low"),
    **dict.fromkeys(("off", "no", "disabled"), "none"),
    "normal": "medium",
}
"""What services and people call an effort that has another name here."""

_NAMES: Final = frozenset((
    "reasoningeffort", "reasoningbudget", "reasoningtokens", "reasoningmaxtokens", "reasoningenabled",
    "reasoningconfig", "enablereasoning", "disablereasoning", "think", "thinking", "thinkingconfig", "thinkingbudget",
    "thinkinglevel", "thinkingmode", "thinkingeffort", "thinkingtokens", "thinkingtype", "enablethinking",
    "disablethinking", "clearthinking", "maxthinkingtokens", "budgettokens", "outputconfigeffort", "effort",
    "promptmode",
))  # fmt: skip
"""The names, without what stands between their words: ``reasoning_effort`` and ``reasoning.effort`` are one.

From the reference of each service that the forms and accents link; ``prompt_mode`` is Mistral's.
"""

_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "reasoning": frozenset(("effort", "maxtokens", "enabled")),
    "outputconfig": frozenset(("effort",)),
    **dict.fromkeys(
        ("generationconfig", "chattemplatekwargs", "additionalmodelrequestfields", "extrabody", "options"), _NAMES
    ),
}
"""Objects of which only these fields say it."""


def without_effort(params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the parameters without those that say how much to reason; an object keeps what else it says."""
    return _without(params, _NAMES)


def _without(params: Mapping[str, JsonValue], names: frozenset[str]) -> dict[str, JsonValue]:
    kept: dict[str, JsonValue] = {}
    for name, value in params.items():
        folded = _folded(name)
        if folded in names:
            continue
        if folded not in _PARTS:
            kept[name] = value
        elif not isinstance(value, dict):  # ``"reasoning": true``
            kept |= {} if folded == "reasoning" else {name: value}
        elif rest := _without(value, _PARTS[folded]):
            kept[name] = rest
    return kept


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
