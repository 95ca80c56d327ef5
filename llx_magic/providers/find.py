"""Which provider a name or an address means, and what to say where it means none."""

from __future__ import annotations

from llx_magic.errors import ProfileError
from llx_magic.providers.provider import Provider
from llx_magic.providers.table import PROVIDERS
from llx_magic.text.wording import closest


def _folded(name: str) -> str:
    """Return a name as it is compared: ``Chutes.ai``, ``chutes-ai`` and ``ChutesAI`` are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_BY_FOLDED_NAME = {_folded(name): each for each in PROVIDERS.values() for name in (each.name, *each.aliases)}


def find_provider(name: str) -> Provider | None:
    """Return the provider of that name or alias, or None; capitals, blanks and punctuation do not matter."""
    return _BY_FOLDED_NAME.get(_folded(name))


def provider(name: str) -> Provider:
    """Return the provider of that name or alias; capitals, blanks and punctuation do not matter.

    Raises:
        ProfileError: for an unknown name; the text says what it says in ``unknown_provider``.
    """
    found = find_provider(name)
    if found is None:
        raise ProfileError(unknown_provider(name))
    return found


def unknown_provider(name: str) -> str:
    """Say that no provider has that name: with the nearest one, or all where none is near, and what serves as well."""
    near = nearest_provider(name)
    hint = f"did you mean {near!r}? Any" if near else f"known: {', '.join(sorted(PROVIDERS))}; any"
    return f"unknown provider {name!r}, {hint} other serves with --base-url URL, if it speaks OpenAI's chat completions"


def nearest_provider(name: str) -> str | None:
    """Return the name of the provider that may have been meant, or None where none is near."""
    near = closest(_folded(name), _BY_FOLDED_NAME)
    return _BY_FOLDED_NAME[near].name if near else None


def provider_at(url: str) -> Provider | None:
    """Return the provider whose own host ``url`` is at, or None."""
    return next((each for each in PROVIDERS.values() if each.own_host(url)), None)
