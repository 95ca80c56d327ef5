"""What is wrong with our own variables of the environment; most would say nothing where they are not used."""

from __future__ import annotations

import functools
import os
from importlib import import_module
from typing import Final

from llx_magic.text.wording import closest

_CHECKS: Final = {
    "LLX_TRUST": "llx_magic.consent.trust:problem_of",
    "LLX_HTTP_TRANSPORT": "llx_magic.backends.http.connections:problem_of",
    "LLX_SHARED": "llx_magic.session.sharing:problem_of",
    "LLXPRT_DEBUG": "llx_magic.observe.debug:problem_of",
    "LLX_PROFILE": "",  # whoever uses it says what is wrong with it
    "LLX_CACHE_HOME": "",
    "LLX_SHARED_NAME": "",
    "LLXPRT_CONFIG_HOME": "",
}
"""Each variable, and what says of its value what is wrong with it; imported only where the variable is set."""

_LIKE: Final = 0.85
"""From which likeness on a name is one of ours that was misspelt: others may begin with the same letters."""


def problems() -> list[str]:
    """Return a line for each variable whose name or value is none of those that are allowed."""
    ours = ((name, value) for name, value in os.environ.items() if value and name.startswith(("LLX_", "LLXPRT_")))
    return [problem for name, value in ours if (problem := _problem_of(name, value))]


@functools.lru_cache(maxsize=32)
def _problem_of(name: str, value: str) -> str:
    if name not in _CHECKS:
        known = _CHECKS if name.startswith("LLX_") else [each for each in _CHECKS if each.startswith("LLXPRT_")]
        meant = closest(name, known, likeness=_LIKE)
        return f"there is no variable {name}; did you mean {meant}?" if meant else ""
    module, _, function = _CHECKS[name].partition(":")
    return str(getattr(import_module(module), function)(value)) if module else ""
