"""What a prompt may be asked with from Python, declared once for every function that asks one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypedDict, TypeVar

from llx_magic.core.reply import Effort
from llx_magic.text.values import JsonValue

F = TypeVar("F", bound=Callable[..., object])

_PIECES = frozenset(
    ("image", "images", "picture", "pictures", "photo", "photos", "file", "files", "pdf", "attachment", "attachments")
)
_IN_THE_PROMPT = "images and files go into the prompt: ['What is this?', llx_magic.Image('plot.png')]"
"""What other libraries take beside the prompt, and how it is given here."""


class AskOptions(TypedDict, total=False):
    """What may be given beside the prompt, for this request only; None is as if it were not given.

    ``system`` is the system prompt. ``settings`` and ``params`` are those of ``--set`` and ``--param``. ``backend``
    is the only one to be asked. ``schema`` says what the reply is to be, whose ``value`` then is that: a msgspec
    Struct, a dataclass, a pydantic model, another type, a JSON schema, or the short form
    ``{"label": ["bug", "billing"], "urgent": bool, "why": str}``. ``effort`` says how much the model should reason.
    """

    system: str | None
    settings: Mapping[str, JsonValue] | None
    params: Mapping[str, JsonValue] | None
    backend: str | None
    schema: object
    effort: Effort | None


def check_names(options: AskOptions) -> None:
    """Refuse an option that does not exist, as Python does a keyword argument.

    Raises:
        TypeError: naming it.
    """
    known = AskOptions.__annotations__
    for name in options.keys() - known.keys():
        meant = _IN_THE_PROMPT if name.lower() in _PIECES else f"there are {', '.join(known)}"
        raise TypeError(f"got an unexpected keyword argument {name!r}; {meant}")


def with_options(function: F) -> F:
    """Let help and completion show each option of a function that takes ``AskOptions``.

    They go by the signature: https://docs.python.org/3/library/inspect.html#inspect.signature
    """
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    declared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__)
        for name, kind in AskOptions.__annotations__.items()
    ]
    vars(function)["__signature__"] = signature.replace(parameters=[*own, *declared])
    return function
