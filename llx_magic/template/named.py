"""What a notebook names on a magic's line, by an expression or a file: the images of ``-i``, the rows of a map."""

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
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

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
        pieces = _images(value_of(given, mode, namespace), given)
    except Exception as error:  # noqa: BLE001 - the notebook's own code may raise anything
        kind = mimetypes.guess_type(given)[0] or ""
        if not is_path(given, namespace, has_ending=kind.startswith(("image/", "application/pdf"))):
            raise InterpolationError(f"-i {problem_of(given, error, namespace, '-i')}{NOT_SENT}") from None
        pieces = [_file(given)]
    return named(pieces, given)


def _images(value: object, given: str) -> list[Image | File]:
    values = value if isinstance(value, list | tuple) and value else [value]
    variable = given.strip() if value is not values and given.strip().isidentifier() else ""
    return [
        Image(each) if isinstance(each, str) and _ADDRESS.match(each) else attached("image", each, variable)
        for each in values
    ]


def value_of(given: str, mode: Mode, namespace: Mapping[str, object]) -> object:
    """Return what an expression stands for; it raises whatever reading or evaluating it raises."""
    from llx_magic.template.environment import is_missing
    from llx_magic.template.expressions import Expression

    value = Expression(given, mode).value(namespace)
    for each in (value, *(value if isinstance(value, list | tuple) else ())):
        if is_missing(each):
            str(each)  # it raises what is missing
    return value


def is_path(given: str, namespace: Mapping[str, object], *, has_ending: bool) -> bool:
    """Return whether a file is meant; ``fig.axes`` is none where ``fig`` is a variable, but ``fig.png`` is.

    ``has_ending`` says that it ends as the files do that are looked for.
    """
    try:
        if Path(given).is_file():
            return True
    except (OSError, ValueError):  # no file can be called so
        return False
    if _PATH.fullmatch(given) is None:
        return False
    dotted = _DOTTED.fullmatch(given)
    return has_ending or not (dotted and dotted[1] in namespace)


def named_rows(given: str, mode: Mode, namespace: Mapping[str, object]) -> object:
    """Return the rows of ``%%llx_map``: what a variable or an expression holds, or else the path of a file.

    Raises:
        InterpolationError: for what is none of these; nothing was sent.
    """
    if given in namespace:
        return namespace[given]
    try:
        return value_of(given, mode, namespace)
    except Exception as error:  # noqa: BLE001 - the notebook's own code may raise anything
        if is_path(given, namespace, has_ending=given.lower().endswith(TABLE_ENDINGS)):
            return Path(given).expanduser()
        told = problem_of(given, error, namespace, "%%llx_map")
        raise InterpolationError(f"%%llx_map {told}{NOT_SENT}") from None


def _file(given: str) -> Image | File:
    try:
        return attached("image", given, "")
    except RefusedError as problem:
        raise InterpolationError(f"{problem}{NOT_SENT}") from None


def problem_of(given: str, error: Exception, namespace: Mapping[str, object], typed: str) -> str:
    """Say why an expression has no value that can be used; ``typed`` is what is typed in front of it."""
    from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError

    shown = one_line(given, 80)
    if isinstance(error, NotDataError):
        assigned = shown if "(" in given else "…"
        why = f"{error}; " if str(error) else ""
        return f"{shown}: {why}assign it first: x = {assigned}, then {typed} x"
    if isinstance(error, TemplateSyntaxError):
        return f"{shown}: this is neither an expression nor a file"
    if isinstance(error, UndefinedError):
        return f"{shown}: {undefined(given, error, namespace, ', and there is no such file')}"
    why = str(error) if isinstance(error, RefusedError) else said(error, without_class=isinstance(error, TemplateError))
    return f"{shown}: {one_line(why, 200).removesuffix('.')}"
