"""How much an expression may make: what would take all memory or all time is refused before it begins."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from fractions import Fraction
from itertools import islice
from typing import cast

from llx_magic.template.cells import LONGEST_TEXT
from llx_magic.template.errors import RefusedError
from llx_magic.template.percent import percent

MOST_ITEMS = 1_000_000
"""Items of a list that an expression makes or walks through, and the largest width, count or precision it may name."""

MOST_BITS = 100_000
"""Size of a whole number that an expression makes."""

MOST_VALUES = 50_000_000
"""Values of an array that an expression makes by spreading two smaller ones over each other."""


def binary(sign: str, left: object, right: object) -> object:
    """Return what an arithmetic operator makes of two values."""
    if sign == "%" and isinstance(left, str):
        return percent(left, right)
    if sign == "*":
        _multiplied(left, right)
        _multiplied(right, left)
    elif sign == "**":
        _raised(left, right)
    elif sign == "+":
        _added(left, right)
    spread(left, right)
    return _OPERATORS[sign](left, right)


_OPERATORS: dict[str, Callable[[object, object], object]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


def spread(left: object, right: object) -> None:
    """Refuse an operation on two arrays that are spread over each other to far more values than they have."""
    mine, other = shape(left), shape(right)
    if not mine or not other or len(mine) > 32 or len(other) > 32:
        return
    count = 1
    for at in range(1, max(len(mine), len(other)) + 1):
        count *= max(each[-at] if at <= len(each) else 1 for each in (mine, other))
    if count > MOST_VALUES:
        raise RefusedError(f"{count:,} values are more than an expression may make ({MOST_VALUES:,})")


def contains(container: object, item: object) -> bool:
    """Return whether an item is in a container, without walking through what has no end."""
    if not isinstance(item, int):
        finite(container)
    return item in container  # type: ignore[operator]  # whatever it is, it says itself whether it can be asked


def finite(value: object) -> None:
    """Refuse to walk through what may have no end, or can be walked through only once."""
    if isinstance(value, Iterator):
        raise RefusedError(f"a {type(value).__name__} is read only once; assign list(…) of it first")
    if isinstance(value, range) and (value.stop - value.start) // value.step >= MOST_ITEMS:
        raise RefusedError(f"a range of more than {MOST_ITEMS:,} numbers")


def collected(value: object) -> object:
    """Return what a function made, an iterator as a list."""
    finite_list = list(islice(value, MOST_ITEMS + 1)) if isinstance(value, Iterator) else None
    if finite_list is not None and len(finite_list) > MOST_ITEMS:
        raise RefusedError(f"more than {MOST_ITEMS:,} items")
    return value if finite_list is None else finite_list


def counts(arguments: Iterable[object], most: int = MOST_ITEMS) -> None:
    """Refuse a width, count or precision that is too large, wherever it stands among the arguments."""
    for argument in arguments:
        number = _whole(argument)
        if number is not None and abs(number) > most:
            raise RefusedError(f"{number:,} is more than a width or a count may be ({most:,})")


def text(length: int) -> None:
    """Refuse a text that would be longer than a prompt takes."""
    if length > LONGEST_TEXT:
        raise RefusedError(f"a text of {length:,} characters is longer than a prompt takes ({LONGEST_TEXT:,})")


def counted(items: Iterator[object]) -> Iterator[object]:
    """Pass on what is made of each item, while all of it is no longer than a prompt takes."""
    size = 0
    for each in items:
        size += len(each) if isinstance(each, str | bytes | list | tuple) else 1
        text(size)
        yield each


def tabs(value: str | bytes, size: object = 8) -> None:
    """Refuse to fill in tabs that would make too long a text."""
    text(len(value) + value.count("\t" if isinstance(value, str) else b"\t") * (_whole(size) or 0))  # type: ignore[arg-type]


def words(value: str, width: object = 79) -> None:
    """Refuse to break a long word into pieces: for each piece the rest of the word is copied."""
    longest = max(map(len, value.split()), default=0)
    if longest**2 > MOST_VALUES * 20 * max(1, _whole(width) or 1):
        raise RefusedError(f"a word of {longest:,} characters is too long to be wrapped")


def grown(rows: int, columns: int) -> None:
    """Refuse a table of far more values than those it is made of."""
    if rows * columns > MOST_VALUES // 5:
        raise RefusedError(f"{rows:,} rows of {columns:,} columns are more than an expression may make")


def replaced(value: str, old: str, new: str, count: int = -1) -> str:
    """Return ``str.replace``, unless that would make too long a text."""
    found = value.count(old)
    text(len(value) + (found if count < 0 else min(found, count)) * max(0, len(new) - len(old)))
    return value.replace(old, new, count)


def joined(separator: str, items: Sequence[str]) -> str:
    """Return ``str.join``, unless that would make too long a text."""
    text(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def _multiplied(repeated: object, by: object) -> None:
    times = _whole(by)
    if times is None:
        return
    if isinstance(repeated, int):
        if repeated.bit_length() + times.bit_length() > MOST_BITS:
            raise RefusedError(f"a whole number of more than {MOST_BITS:,} bits")
    elif _holds_texts(repeated):
        text(times * math.prod(shape(repeated) or ()))
    elif isinstance(repeated, Sized) and shape(repeated) is None:
        _check_size(_size(repeated) * times, repeated)


def _added(left: object, right: object) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, str) and _holds_texts(other):
            text(len(one) * math.prod(shape(other) or ()))
    if isinstance(left, str | bytes | bytearray | list | tuple) and isinstance(right, Sized) and not shape(right):
        _check_size(_size(left) + _size(right), left)


def _check_size(size: int, like: object) -> None:
    if isinstance(like, str | bytes | bytearray):
        text(size)
    elif size > MOST_ITEMS:
        raise RefusedError(f"{size:,} items or characters are more than an expression may make ({MOST_ITEMS:,})")


def _size(value: Sized) -> int:
    """Return the characters of a text, or the items of a list and of the lists in it; no more than are too many."""
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    size, waiting = 0, [cast("object", value)]
    while waiting and size <= MOST_ITEMS:
        each = waiting.pop()
        if isinstance(each, list | tuple | set | frozenset | Mapping):
            waiting.extend(islice(each.values() if isinstance(each, Mapping) else each, MOST_ITEMS))
        size += len(each) if isinstance(each, str | bytes) else 1
    return size


def _holds_texts(value: object) -> bool:
    """Return whether a value is an array or a table that may hold texts, which grow where numbers do not."""
    if shape(value) is None:
        return False
    kinds = getattr(value, "dtypes", None) if hasattr(type(value), "dtypes") else None
    listed = list(kinds) if isinstance(kinds, Iterable) else [getattr(value, "dtype", None)]
    return any(getattr(kind, "kind", "O") not in "iufcbmM" for kind in listed)


def _raised(base: object, exponent: object) -> None:
    times = _whole(exponent)
    if times is None or not isinstance(base, int | Fraction):
        return
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(times) > MOST_BITS:
        raise RefusedError(f"a whole number of more than {MOST_BITS:,} bits")


def _whole(value: object) -> int | None:
    """Return a whole number of any library as Python's."""
    if not hasattr(type(value), "__index__") or hasattr(type(value), "__len__"):
        return None
    return operator.index(value)  # type: ignore[arg-type]


def shape(value: object) -> tuple[int, ...] | None:
    """Return how many values an array or a table has along each axis; None for anything else."""
    found = getattr(value, "shape", None) if hasattr(type(value), "shape") else None
    return found if isinstance(found, tuple) and all(isinstance(each, int) for each in found) else None
