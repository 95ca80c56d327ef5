"""One value as text: every digit that it has, dates without a midnight that says nothing, lists item by item."""

from __future__ import annotations

import math
import re
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, SupportsFloat, cast

from llx_magic.template.errors import RefusedError

LONGEST_TEXT = 10_000_000
"""Characters that one value may put into a prompt."""

Precision = Literal["d", "f", "e"]
"""How many digits a float has: double, single or half precision (the letters of the module ``struct``)."""

PRECISIONS: dict[int, Precision] = {2: "e", 4: "f", 8: "d"}
"""The precision of a float of so many bytes."""

_WHOLE = 1e15
_MIDNIGHT = " 00:00:00"
_IN_BRACKETS = re.compile(r"<.*>")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,16}(?=[>;,])")
"""As Python writes it behind the kind of a thing, within brackets; elsewhere it is data, such as that of a crash."""

_ONLY_ADDRESS = re.compile(rf"<[^<>]{{1,300}}{_ADDRESS.pattern}>")
_CONTAINERS = (list, tuple, set, frozenset, dict, deque)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


def number(value: float, precision: Precision = "d") -> str:
    """Return the shortest text from which the same float is read again."""
    if math.isnan(value):
        return "NaN"
    if precision == "d" or math.isinf(value) or (value.is_integer() and abs(value) < _WHOLE):
        return repr(float(value))
    packed = struct.pack(precision, value)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.pack(precision, short) == packed:
                return repr(short)
        except OverflowError:  # rounded up, the largest of them has no place in so few bits
            continue
    return repr(float(value))


def plain(value: object) -> str:
    """Return a value as a cell of a table shows it: texts as they are, all else as in ``literal``."""
    return value if isinstance(value, str) else literal(value)


def literal(value: object, precision: Precision = "d") -> str:
    """Return a value as it stands in a list: texts in quotes, numbers with all digits, dates and times in ISO form.

    Raises RefusedError for one that is longer than a prompt takes, holds a table, or is one that would show no more
    than its address.
    """
    pieces: list[str] = []
    length = 0
    for piece in _pieces(value, (), precision):
        pieces.append(piece)
        length += len(piece)
        if length > LONGEST_TEXT:
            raise RefusedError(f"longer than a prompt takes ({LONGEST_TEXT:,} characters); cut it first")
    return "".join(pieces)


def column(values: Iterable[object], precision: Precision = "d") -> list[str]:
    """Return the texts of a column: days alone where no time of day in it is another than midnight."""
    values = list(values)
    timed = [at for at, value in enumerate(values) if isinstance(value, datetime | timedelta)]
    texts = [value if isinstance(value, str) else literal(value, precision) for value in values]
    for at in timed:
        texts[at] = str(values[at])
    if all(texts[at].endswith(_MIDNIGHT) or texts[at] == "NaT" for at in timed):
        for at in timed:
            texts[at] = texts[at].removesuffix(_MIDNIGHT)
    return texts


def in_order(values: Iterable[object]) -> Iterable[object]:
    """Return the values; those of a set in an order that is the same in each process, which Python's own is not."""
    if not isinstance(values, set | frozenset):
        return values
    kinds = {type(each) for each in values}
    if kinds == {str} or (kinds <= {int, float} and not any(map(_is_nan, values))):
        return sorted(cast("set[float]", values))
    return sorted(values, key=literal)


def _is_nan(value: object) -> bool:
    """Return whether a value is a float that sorting leaves wherever it was."""
    return isinstance(value, float) and math.isnan(value)


def joined(parts: Sequence[object]) -> str:
    """Return the levels of a name, as of a column under two headings, on one line."""
    return " / ".join(column(parts))


def _pieces(value: object, inside: tuple[int, ...], precision: Precision) -> Iterator[str]:
    if isinstance(value, str):
        yield str.__repr__(value)
    elif isinstance(value, float) and not _package(value):
        yield number(value, precision)
    elif not _is_container(value):
        yield _scalar(value)
    elif id(value) in inside:
        yield "..."
    else:
        yield from _container(value, (*inside, id(value)), precision)


def _is_container(value: object) -> bool:
    if isinstance(value, _CONTAINERS):
        return type(value).__repr__ in _OWN_REPR
    if isinstance(value, bytes) or not _package(value):
        return type(value) in _VIEWS
    return hasattr(value, "tolist") and hasattr(value, "__len__") and getattr(value, "shape", None) != ()


_OWN_REPR = {each.__repr__ for each in (*_CONTAINERS, OrderedDict, defaultdict, Counter)}


def _container(value: object, inside: tuple[int, ...], precision: Precision) -> Iterator[str]:
    if isinstance(value, Mapping):
        pairs = (
            [*_pieces(key, inside, precision), ": ", *_pieces(item, inside, precision)] for key, item in value.items()
        )
        yield from _joined("{", pairs, "}")
        return
    assert isinstance(value, Iterable)
    items = (_pieces(item, inside, precision) for item in in_order(value))
    if isinstance(value, tuple):
        yield from _joined("(", items, ",)" if len(value) == 1 else ")")
    elif isinstance(value, set | frozenset) and value:
        yield from _joined("{", items, "}")
    elif isinstance(value, set | frozenset):
        yield "set()"
    else:
        yield from _joined("[", items, "]")


def _joined(opening: str, items: Iterable[Iterable[str]], closing: str) -> Iterator[str]:
    yield opening
    for at, item in enumerate(items):
        if at:
            yield ", "
        yield from item
    yield closing


def _scalar(value: object) -> str:
    package = _package(value)
    if package and type(value).__name__ == "DataFrame":
        raise RefusedError("a table inside another value is not shown whole; give it braces of its own")
    if type(value).__name__ == "MaskedConstant":  # which is a float of numpy, and reads as 0.0
        return "None"
    if package == "numpy" and isinstance(value, SupportsFloat) and (precision := _numpy_precision(value)):
        return number(float(value), precision)
    text = str(value)
    if isinstance(value, bytes | bytearray):
        return text
    if package == "pandas" and type(value).__name__ == "Timestamp":
        return text.removesuffix(_MIDNIGHT)
    if _ONLY_ADDRESS.fullmatch(text):
        kind = type(value).__name__
        article = "an" if kind[:1].lower() in "aeiou" else "a"
        raise RefusedError(f"{article} {kind} has no text of its own; name an attribute of it")
    return _IN_BRACKETS.sub(lambda found: _ADDRESS.sub("", found[0]), text)  # it is another in each process


def _numpy_precision(value: object) -> Precision | None:
    """Return the precision of a float of numpy; None for other numbers, and for those of more than eight bytes."""
    kind = getattr(value, "dtype", None)
    return PRECISIONS.get(getattr(kind, "itemsize", 0)) if getattr(kind, "kind", "") == "f" else None


def _package(value: object) -> str:
    """Return the library of frames and arrays that a value is of, or the empty string."""
    package = str(type(value).__module__).partition(".")[0]
    return package if package in {"numpy", "pandas", "polars"} else ""
