"""The images that the option ``-i`` of a notebook names: by an address, an expression, or a file."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.core.message import File, Image
from llx_magic.template.attached import attached, named
from llx_magic.template.errors import NOT_SENT, InterpolationError, NotDataError, RefusedError, said
from llx_magic.template.template import undefined
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from llx_magic.template.environment import Mode

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://")
_DOTTED = re.compile(r"(\w+)(?:\.\w+)*")
_PATH = re.compile(r"""[^()\[\]{}'"]*(?:[/\\][^()\[\]{}'"]*|\.[A-Za-z0-9]{0,5})""")
"""What is written as a path: with a separator, or with an ending."""


def named_images(given: str, mode: Mode, namespace: Mapping[str, object]) -> list[Image | File]:
    """Return the images of ``-i``: an address, an expression, or else the path of a file in the working folder.

    An expression may give a list of them.

    Raises:
        InterpolationError: for what is none of these; nothing was sent.
    """
    if _ADDRESS.match(given):
        return [Image(given)]
    try:
        pieces = _value(given, mode, namespace)
    except Exception as error:  # noqa: BLE001 - the notebook's own code may raise anything
        if not _is_path(given, namespace):
            raise InterpolationError(f"-i {_problem(given, error, namespace)}{NOT_SENT}") from None
        pieces = [_file(given)]
    return named(pieces, given)


def _value(given: str, mode: Mode, namespace: Mapping[str, object]) -> list[Image | File]:
    from llx_magic.template.environment import is_missing
    from llx_magic.template.expressions import Expression

    value = Expression(given, mode).value(namespace)
    if is_missing(value):
        str(value)  # it raises what is missing
    values = value if isinstance(value, list | tuple) and value else [value]
    variable = given.strip() if value is not values and given.strip().isidentifier() else ""
    return [
        Image(each) if isinstance(each, str) and _ADDRESS.match(each) else attached("image", each, variable)
        for each in values
    ]


def _is_path(given: str, namespace: Mapping[str, object]) -> bool:
    """Return whether a file is meant; ``fig.axes`` is none where ``fig`` is a variable, but ``fig.png`` is."""
    try:
        if Path(given).is_file():
            return True
    except (OSError, ValueError):  # no file can be called so
        return False
    if _PATH.fullmatch(given) is None:
        return False
    dotted, kind = _DOTTED.fullmatch(given), mimetypes.guess_type(given)[0] or ""
    return kind.startswith(("image/", "application/pdf")) or not (dotted and dotted[1] in namespace)


def _file(given: str) -> Image | File:
    try:
        return attached("image", given, "")
    except RefusedError as problem:
        raise InterpolationError(f"{problem}{NOT_SENT}") from None


def _problem(given: str, error: Exception, namespace: Mapping[str, object]) -> str:
    from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError

    shown = one_line(given, 80)
    if isinstance(error, NotDataError):
        assigned = shown if "(" in given else "…"
        why = f"{error}; " if str(error) else ""
        return f"{shown}: {why}assign it first: x = {assigned}, then -i x"
    if isinstance(error, TemplateSyntaxError):
        return f"{shown}: this is neither an expression nor a file"
    if isinstance(error, UndefinedError):
        return f"{shown}: {undefined(given, error, namespace, ', and there is no such file')}"
    why = str(error) if isinstance(error, RefusedError) else said(error, without_class=isinstance(error, TemplateError))
    return f"{shown}: {one_line(why, 200).removesuffix('.')}"
