"""What a prompt may be asked with from Python, declared once for every function that asks one."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypedDict, TypeVar, cast, get_args

from llx_magic.core.reply import Effort
from llx_magic.errors import UsageProblem, brief
from llx_magic.key_shapes import typed_key
from llx_magic.keys.names import names_a_secret
from llx_magic.settings.declaration import SETTINGS
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import closest

F = TypeVar("F", bound=Callable[..., object])

_PIECES = frozenset(
    ("image", "images", "picture", "pictures", "photo", "photos", "file", "files", "pdf", "attachment", "attachments")
)
_IN_THE_PROMPT = "images and files go into the prompt: ['What is this?', llx_magic.Image('plot.png')]"
"""What other libraries take beside the prompt, and how it is given here."""


PARAMETERS = frozenset({
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict",
    "num_predict", "num_ctx", "seed", "stop", "n", "logprobs", "top_logprobs", "logit_bias", "frequency_penalty",
    "presence_penalty", "repeat_penalty", "response_format", "service_tier", "verbosity", "user",
})  # fmt: skip
"""What services call the parameters of a model, which other libraries take beside the prompt."""


class SharedOptions(TypedDict, total=False):
    """What may be given beside the prompt of a cell and of rows alike; None is as if it were not given.

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


class AskOptions(SharedOptions, total=False):
    """What may be given to one prompt beside it; the others are those of ``SharedOptions``.

    With ``cache`` a reply to the same prompt that is in the store is returned without asking, and a new one is kept.
    """

    cache: bool | None


class MapOptions(SharedOptions, total=False):
    """What may be given to a run over rows, beside what may be given to a prompt.

    ``samples`` is how often each row is asked, for so many replies. Equal prompts are asked once, and with
    ``dedupe=False`` each for itself. With ``fresh`` nothing that is stored counts; with ``retry="errors"`` the stored
    faults of rows do not. ``limit`` is how many of the rows are looked at; the others are not asked. ``budget`` is what
    the run may cost, in the currency of the profile's prices. The run ends after ``max_errors`` rows that failed, and
    where nobody has answered for ``give_up_after`` seconds. ``prefix`` stands before the names of the new columns.
    ``store`` is the file that keeps the replies, in the place of the user's own. With ``client``, a client of Dask
    (``distributed.Client``), the workers of its cluster ask the rows; all else stays in this process.
    """

    samples: int | None
    dedupe: bool | None
    fresh: bool | None
    retry: Literal["errors"] | None
    limit: int | None
    budget: float | None
    max_errors: int | None
    give_up_after: float | None
    prefix: str | None
    store: str | os.PathLike[str] | None
    client: object


_FLAG = (bool,), "True or False"
_TEXT = (str,), "a text"
_NAMED = (dict, Mapping), "a dictionary of names and values"  # dict first: it is found at once

_ALLOWED: Mapping[str, tuple[tuple[type, ...], str]] = {
    "system": _TEXT,
    "settings": _NAMED,
    "params": _NAMED,
    "backend": ((str,), "the name of a backend"),
    "effort": ((str,), f"one of {', '.join(get_args(Effort))}"),
    "cache": _FLAG,
    "dedupe": _FLAG,
    "fresh": _FLAG,
    "prefix": _TEXT,
    "store": ((str, os.PathLike), "the path of a file"),
}
"""What the value of an option may be, and how that is said; the others are checked where they are read."""


def check_types(options: SharedOptions) -> None:
    """Refuse a value that is of no use for its option, whoever reads it; None is as if it were not given.

    Raises:
        UsageProblem: naming the option and what was given.
    """
    for name, value in options.items():
        if value is None or name not in _ALLOWED:
            continue
        kinds, said = _ALLOWED[name]
        if not isinstance(value, kinds):
            raise UsageProblem(f"{name} must be {said}; got {brief(value)}; nothing was sent")
        if isinstance(value, Mapping) and (odd := [key for key in value if not isinstance(key, str)]):
            raise UsageProblem(f"{name} must be {said}; got the name {brief(odd[0])}; nothing was sent")


def check_names(
    options: SharedOptions,
    known: type[SharedOptions] = AskOptions,
    function: Callable[..., object] | None = None,
) -> None:
    """Refuse an option that does not exist, as Python does a keyword argument.

    ``function`` is the one that was called, where it takes keywords of its own beside the options.

    Raises:
        TypeError: naming it.
    """
    for name in options.keys() - known.__annotations__.keys():
        names = list(known.__annotations__) if function is None else _keywords(function)
        told = _meant(name.lower()) or f"there are {', '.join(names)}{_near(name, names)}"
        raise TypeError(f"got an unexpected keyword argument {name!r}; {told}")


def _near(name: str, names: list[str]) -> str:
    meant = closest(name, names)
    return "" if meant is None else f"; did you mean {meant}?"


def _keywords(function: Callable[..., object]) -> list[str]:
    """Return all that a function takes by its name alone."""
    shown = inspect.signature(function).parameters.values()
    return [each.name for each in shown if each.kind is inspect.Parameter.KEYWORD_ONLY]


def _meant(name: str) -> str:
    """Return how that is said here which other libraries take by such a name, or the empty string."""
    if names_a_secret(name):
        return typed_key()
    if name in _PIECES:
        return _IN_THE_PROMPT
    if name in PARAMETERS:
        return f"a parameter of the model goes into params: params={{{name!r}: ...}}"
    if name in SETTINGS:
        return f"a setting goes into settings: settings={{{name!r}: ...}}"
    return "a model that no profile is saved for is profile='PROVIDER:MODEL'" if name in ("model", "provider") else ""


def ask_options(options: MapOptions) -> AskOptions:
    """Return those of the options that a prompt takes too."""
    return cast("AskOptions", {name: value for name, value in options.items() if name in AskOptions.__annotations__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked of a run over rows, checked; the meanings are those of ``MapOptions``."""

    samples: int = 1
    dedupe: bool = True
    fresh: bool = False
    retries_errors: bool = False
    limit: int | None = None
    budget: float | None = None
    max_errors: int | None = None
    give_up_after: float | None = None

    @classmethod
    def of(cls, options: MapOptions) -> Self:
        """Return the wishes.

        Raises:
            UsageProblem: for a value that is not allowed.
        """
        if (retry := options.get("retry")) not in (None, "errors"):
            raise UsageProblem(f"retry must be 'errors' or None; got {brief(retry)}")
        return cls(
            samples=_count("samples", options.get("samples")) or 1,
            dedupe=options.get("dedupe") is not False,
            fresh=bool(options.get("fresh")),
            retries_errors=retry == "errors",
            limit=_count("limit", options.get("limit")),
            budget=_amount("budget", options.get("budget")),
            max_errors=_count("max_errors", options.get("max_errors")),
            give_up_after=_amount("give_up_after", options.get("give_up_after")),
        )


def _count(name: str, given: object) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 1):
        return given
    raise UsageProblem(f"{name} must be a whole number, 1 or more; got {brief(given)}")


def _amount(name: str, given: object) -> float | None:
    if given is None or (isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < math.inf):
        return given
    raise UsageProblem(f"{name} must be a positive number; got {brief(given)}")


def with_options(function: F) -> F:
    """Let help and completion show each option of a function that takes ``AskOptions``, or ``MapOptions``.

    They go by the signature: https://docs.python.org/3/library/inspect.html#inspect.signature
    """
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    given = next(each for each in signature.parameters.values() if each.kind is inspect.Parameter.VAR_KEYWORD)
    options = MapOptions if "MapOptions" in str(given.annotation) else AskOptions
    declared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__)
        for name, kind in options.__annotations__.items()
    ]
    vars(function)["__signature__"] = signature.replace(parameters=[*own, *declared])
    return function
