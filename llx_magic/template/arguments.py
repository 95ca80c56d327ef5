"""What the methods of an expression may be given: nothing that they would write to, run, or take as code."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from llx_magic.template import bounds, kinds, methods, patterns
from llx_magic.template.errors import NotDataError, RefusedError
from llx_magic.template.percent import LARGEST_WIDTH

if TYPE_CHECKING:
    import pandas as pd

Given = Sequence[object]
Named = Mapping[str, object]


_TO_TEXT = frozenset({"to_csv", "to_json", "to_markdown", "to_string", "write_csv", "write_json"})
_WIDTHS = frozenset({"indent", "col_space", "line_width", "max_colwidth"})
_MOST_BINS = 10_000
_MOST_GROUPS = 1_000
_TYPE_KEYS = frozenset({"dtype", "dtypes"})
_ZONE_KEYS = frozenset({"tz", "tzinfo", "time_zone"})
_BY_PYTHON = ("pandas.core.strings.accessor.StringMethods", "pandas.DataFrame", "pandas.Series")
_PATTERN_KEYS = frozenset({"pat", "regex", "to_replace"})
_BY_PATTERN = frozenset(
    {"contains", "count", "extract", "extractall", "filter", "findall", "fullmatch", "match", "split"}
)
_TEXTUAL = (
    "builtins.str",
    "builtins.bytes",
    "builtins.int",
    "builtins.float",
    "pandas.core.strings.accessor.StringMethods",
)
_OF_MANY_TEXTS = (
    "pandas.core.strings.accessor.StringMethods",
    "pandas.DataFrame",
    "pandas.Series",
    "pandas.Index",
    "polars.DataFrame",
    "polars.Series",
    "polars.series.string.StringNameSpace",
)
_LONG = 10_000
_FUNCTIONS = """all any bfill count cummax cummin cumprod cumsum diff ffill first idxmax idxmin kurt last max
mean median min nunique prod quantile rank sem shift size skew std sum var"""
_TYPE = re.compile(r"[A-Za-z]+(?:8|16|32|64|128)?(?:\[[\w, /:+-]*\])?|[<>=|]?[a-z]\d?")
_ZONE = re.compile(r"(?:UTC|GMT|Z)?(?:[+-]\d\d?(?::?\d\d){0,2})?|[A-Za-z][\w+-]*(?:/[A-Za-z][\w+-]*){0,2}", re.ASCII)
_OPENS = re.compile(r"dateutil/|file:|zoneinfo/|\.\./", re.IGNORECASE)
_OF_A_TYPE = re.compile(r",\s*(?:tz=)?([^\],]*)\]")
"""Texts that name a time zone. pandas hands what follows ``dateutil/`` to dateutil, which opens an absolute path."""

_SEARCH = (
    ast.Expression, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div,
    ast.Mod, ast.BitAnd, ast.BitOr, ast.Compare, ast.cmpop, ast.Name, ast.expr_context, ast.Constant, ast.List,
    ast.Tuple,
)  # fmt: skip


def check(owner: object, name: str, given: Given, named: Named) -> None:
    """Refuse the call of an allowed method whose arguments make it do more than read.

    Raises NotDataError with what is refused of them.
    """
    if any(map(kinds.holds_a_function, (*given, *named.values()))):
        raise NotDataError(f"{name}() takes no function here")
    methods.check_keywords(owner, name, named)
    if name in _TO_TEXT and given:
        raise NotDataError(f"{name}() writes no file here")
    if not methods.is_of(owner, *_TEXTUAL):
        for each in _texts((*given, *named.values())):
            _opens_no_file(each)
    elif name not in {"format", "format_map"}:
        bounds.counts((*given, *named.values()))
    if methods.is_of(owner, *_OF_MANY_TEXTS) and any(
        isinstance(each, str) and len(each) > _LONG for each in (*given, *named.values())
    ):
        raise RefusedError(f"{name}() takes no text of more than {_LONG:,} characters here")
    bounds.counts(value for key, value in named.items() if key in {"window", "periods"})
    _only_a_small_layout(owner, name, given, named)
    if methods.is_of(owner, "numpy.ndarray") and any(methods.is_of(value, "numpy.ndarray") for value in given[1:]):
        raise NotDataError(f"{name}() takes no array to write to here")
    for checked, names in _CHECKS:
        if name in names:
            checked(owner, given, named)


def _nothing(_owner: object, given: Given, named: Named) -> None:
    """Of pyarrow, ``to_pandas`` may give away the memory of the table that it reads."""
    if given or named:
        raise NotDataError("to_pandas() takes nothing here")


def _texts(values: Iterable[object], depth: int = 3) -> Iterator[str]:
    """Yield the texts among some values and in the lists and mappings of them."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif depth and isinstance(value, Mapping):
            yield from _texts((*value.keys(), *value.values()), depth - 1)
        elif depth and isinstance(value, list | tuple | set | frozenset):
            yield from _texts(value, depth - 1)


def _only_a_small_layout(owner: object, name: str, given: Given, named: Named) -> None:
    """A width is taken for each value of a table."""
    bounds.counts([*([] if name != "value_counts" else given), named.get("bins")], _MOST_BINS)
    for key in _WIDTHS.intersection(named):
        value = named[key]
        inner = value.values() if isinstance(value, Mapping) else value
        widths = list(inner) if isinstance(inner, Iterable) and not isinstance(inner, str) else [inner]
        bounds.counts(widths, LARGEST_WIDTH)
        widest = max((each for each in widths if isinstance(each, int)), default=0)
        bounds.text(widest * math.prod(bounds.shape(owner) or ()))


def _only_known_functions(owner: object, given: Given, named: Named) -> None:
    """``agg`` takes the name of any method, and would call that one: each value given to it is a known name."""
    if len(given) > 1:
        raise NotDataError("agg() takes the names of functions only")
    of_columns = not methods.is_of(owner, "pandas.Series", "pandas.api.typing.SeriesGroupBy")
    names = [*_function_names(given)]
    for key, value in named.items():
        if key == "axis" and value in ("index", "columns"):
            continue
        # A column and what is made of it.
        made = value[1:] if of_columns and isinstance(value, tuple) and key != "func" else value
        names += _function_names([made])
    unknown = sorted(set(names) - set(_FUNCTIONS.split()))
    if unknown:
        raise NotDataError(f"agg() knows no function {unknown[0]!r} here (allowed: {', '.join(_FUNCTIONS.split())})")


def _function_names(functions: Given) -> Iterator[str]:
    for each in functions:
        if isinstance(each, Mapping):
            yield from _function_names(list(each.values()))
        elif isinstance(each, list | tuple):
            yield from _function_names(each)
        elif not isinstance(each, bool | int | None):
            yield str(each)


def _only_known_aggregate(owner: object, given: Given, named: Named) -> None:
    if len(given) > 3:
        raise NotDataError("pivot_table() takes aggfunc by its name, as in aggfunc='sum'")
    _only_known_functions(None, (), {"func": named.get("aggfunc", "mean")})
    names = dict(zip(("values", "index", "columns"), given, strict=False)) | dict(named)
    _only_a_fitting_pivot(owner, (), names)


def _only_a_type(_owner: object, given: Given, named: Named) -> None:
    """A type of a large width would make each value as wide; one with a zone may open a file."""
    for kind in (*given, *named.values()):
        if methods.is_of(kind, "pandas.Series", "pandas.DataFrame"):
            raise NotDataError("a type is given as a text, or as a dict of texts")
    for kind in [*given[:1], *(named[key] for key in _TYPE_KEYS.intersection(named))]:
        for each in _texts(kind.values() if isinstance(kind, Mapping) else (kind,)):
            if not _TYPE.fullmatch(each):
                raise NotDataError(f"{each!r} is no type")
            for zone in _OF_A_TYPE.findall(each):
                _check_zone(zone)


def _check_zone(text: str) -> None:
    """Refuse a zone that is not UTC, a fixed offset or a plain name such as ``Europe/Oslo``."""
    if not _ZONE.fullmatch(text.strip()) or _OPENS.search(text):
        raise NotDataError(f"{text[:60]!r} names no time zone that a prompt may ask for")


def _opens_no_file(text: str) -> None:
    """Refuse a text that would open a file if it were taken for a zone, wherever a library may take it so."""
    if _OPENS.match(text) or re.search(r"\[.*dateutil/", text, re.IGNORECASE | re.DOTALL):
        raise NotDataError(f"{text[:60]!r} reads no file here")


def _only_a_zone(_owner: object, given: Given, named: Named) -> None:
    for each in _texts((*given[:1], *(named[key] for key in _ZONE_KEYS.intersection(named)))):
        _check_zone(each)


def _only_a_quick_pattern(owner: object, given: Given, named: Named) -> None:
    """Only pandas searches by Python's engine; that of polars takes steps in proportion to the text."""
    if not methods.is_of(owner, *_BY_PYTHON) or named.get("regex") is False:
        return
    for each in _texts((*given[:1], *given[2:3], *(named[key] for key in _PATTERN_KEYS.intersection(named)))):
        patterns.check(each)


def _only_a_quick_replacement(owner: object, given: Given, named: Named) -> None:
    """``replace`` takes its texts as they are, unless it is told that they are patterns."""
    if not isinstance(named.get("regex", False), bool) or named.get("regex") or any(given[3:]):
        _only_a_quick_pattern(owner, given, named)


def _distinct(owner: object, names: list[object]) -> int:
    """Return how many different rows a table has in these columns."""
    part = cast("methods.Indexed", owner)[names]
    unique = methods.found(part, "drop_duplicates") or methods.found(part, "unique")
    return (bounds.shape(unique()) or (0,))[0] if unique else 0


def _only_a_fitting_pivot(owner: object, given: Given, named: Named) -> None:
    """A pivot has a row for each label and a column for each label, whether they meet or not."""
    known = list(getattr(owner, "columns"))  # noqa: B009 - of a table
    counts = []
    for key in ("index", "columns", "on"):
        wanted = named.get(key, given[0] if given and key == "on" else None)
        names = list(wanted) if isinstance(wanted, list | tuple) else [] if wanted is None else [wanted]
        if not all(isinstance(name, str | int) and name in known for name in names):
            raise NotDataError(f"{key} takes the names of columns")
        if names:
            counts.append(_distinct(owner, names))
    height = (bounds.shape(owner) or (0,))[0]
    rows, columns = counts if len(counts) == 2 else (height, *counts, 1)[:2]
    bounds.grown(rows, columns)


def _only_a_fitting_unstack(owner: object, given: Given, named: Named) -> None:
    from llx_magic.template.frames import unstacked

    labels = getattr(owner, "index")  # noqa: B009 - of pandas
    if methods.is_of(labels, "pandas.MultiIndex"):
        level = given[0] if given else named.get("level", -1)
        rows, columns = unstacked(cast("pd.MultiIndex", labels), level)
        bounds.grown(rows, columns * math.prod((bounds.shape(owner) or ())[1:]))


def _only_a_comparison(_owner: object, given: Given, named: Named) -> None:
    """``query`` evaluates a text, which may call functions and reach the variables of this program."""
    if len(given) != 1 or named or not isinstance(given[0], str):
        raise NotDataError("query() takes one text")
    try:
        parsed = ast.parse(given[0].strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        parsed = None
    nodes = [] if parsed is None else list(ast.walk(parsed))
    private = any(isinstance(node, ast.Name) and node.id.startswith("_") for node in nodes)
    if not nodes or private or not all(isinstance(node, _SEARCH) for node in nodes):
        raise NotDataError("query() takes comparisons of columns and values only")


def _only_a_fitting_frequency(owner: object, given: Given, named: Named) -> None:
    """A day by nanoseconds has 86 thousand billion rows."""
    rule = given[0] if given else named.get("rule", named.get("freq"))
    if not methods.is_of(owner, "pandas.DataFrame", "pandas.Series") or not isinstance(rule, str):
        return
    from llx_magic.template.frames import steps

    times = cast("methods.Indexed", owner)[named["on"]] if "on" in named else getattr(owner, "index")  # noqa: B009
    count = steps(cast("pd.DatetimeIndex", times), rule)
    if count > bounds.MOST_ITEMS:
        raise RefusedError(f"{count:,} rows are more than an expression may make ({bounds.MOST_ITEMS:,})")


def _only_a_few_groups(owner: object, _given: Given, _named: Named) -> None:
    """Pandas does these for each group by itself, which takes milliseconds."""
    groups = getattr(owner, "ngroups", None)
    if isinstance(groups, int) and groups > _MOST_GROUPS:
        raise RefusedError(f"{groups:,} groups are more than an expression may look at one by one ({_MOST_GROUPS:,})")


_CHECKS: tuple[tuple[Callable[[object, Given, Named], None], frozenset[str]], ...] = (
    (_nothing, frozenset({"to_pandas"})),
    (_only_known_functions, frozenset({"agg", "aggregate", "transform"})),
    (_only_known_aggregate, frozenset({"pivot_table"})),
    (_only_a_type, frozenset({"astype", "cast", "to_numpy"})),
    (_only_a_zone, frozenset({"astimezone", "tz_convert", "tz_localize", "convert_time_zone", "replace_time_zone"})),
    (_only_a_quick_pattern, _BY_PATTERN),
    (_only_a_quick_replacement, frozenset({"replace"})),
    (_only_a_fitting_pivot, frozenset({"pivot"})),
    (_only_a_fitting_unstack, frozenset({"unstack"})),
    (_only_a_comparison, frozenset({"query"})),
    (_only_a_few_groups, frozenset({"describe", "corr", "cov", "nlargest", "nsmallest"})),
    (_only_a_fitting_frequency, frozenset({"resample", "asfreq"})),
)
