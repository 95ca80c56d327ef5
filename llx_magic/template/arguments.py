"""What the methods of an expression may be given: nothing that they would write to, run, or take as code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from llx_magic.template import bounds, methods
from llx_magic.template.errors import NotDataError, RefusedError

if TYPE_CHECKING:
    import pandas as pd

Given = Sequence[object]
Named = Mapping[str, object]

_WRITTEN_TO = frozenset(
    {"inplace", "in_place", "out", "buf", "path_or_buf", "path", "file", "replace", "with_replacement", "engine"}
)
_TO_TEXT = frozenset({"to_csv", "to_json", "to_markdown", "to_string", "write_csv", "write_json"})
_BY_NAME = frozenset({"agg", "aggregate", "transform"})
_BY_FREQUENCY = frozenset({"resample", "asfreq"})
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
_FUNCTIONS = """all any bfill count cummax cummin cumprod cumsum describe diff ffill first idxmax idxmin kurt last max
mean median min nunique prod quantile rank sem shift size skew std sum var"""
_TYPE = re.compile(r"[A-Za-z]+(?:8|16|32|64|128)?(?:\[[\w, /:+-]*\])?|[<>=|]?[a-z]\d?")
_SEARCH = (
    ast.Expression, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div,
    ast.Mod, ast.BitAnd, ast.BitOr, ast.Compare, ast.cmpop, ast.Name, ast.expr_context, ast.Constant, ast.List,
    ast.Tuple,
)  # fmt: skip


def check(owner: object, name: str, given: Given, named: Named) -> None:
    """Refuse the call of an allowed method whose arguments make it do more than read.

    Raises NotDataError with what is refused of them.
    """
    if any(map(_holds_a_function, (*given, *named.values()))):
        raise NotDataError(f"{name}() takes no function here")
    texts = methods.is_of(owner, "builtins.str", "builtins.bytes", "pandas.core.strings.accessor.StringMethods")
    written = _WRITTEN_TO.intersection(named) - ({"replace"} if texts else set())
    if written:
        raise NotDataError(f"{name}() takes no {min(written)}= here")
    if name in _TO_TEXT and given:
        raise NotDataError(f"{name}() writes no file here")
    if methods.is_of(owner, *_TEXTUAL) and name not in {"format", "format_map"}:
        bounds.counts((*given, *named.values()))
    if name.startswith("tz_") and any(str(value).startswith("dateutil") for value in (*given, *named.values())):
        raise NotDataError(f"{name}() reads no file here")
    if methods.is_of(owner, *_OF_MANY_TEXTS) and any(
        isinstance(each, str) and len(each) > _LONG for each in (*given, *named.values())
    ):
        raise RefusedError(f"{name}() takes no text of more than {_LONG:,} characters here")
    bounds.counts(value for key, value in named.items() if key in {"bins", "window", "periods"})
    if methods.is_of(owner, "numpy.ndarray") and any(methods.is_of(value, "numpy.ndarray") for value in given[1:]):
        raise NotDataError(f"{name}() takes no array to write to here")
    for checked, names in _CHECKS:
        if name in names:
            checked(owner, given, named)


def _holds_a_function(value: object, depth: int = 3) -> bool:
    if callable(value):
        return True
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple | set) else ()
    return depth > 0 and any(_holds_a_function(each, depth - 1) for each in inner)


def _only_known_functions(_owner: object, given: Given, named: Named) -> None:
    """``agg`` takes the name of any method, and would call that one."""
    if len(given) > 1:
        raise NotDataError("agg() takes the names of functions only")
    functions = {key: value for key, value in named.items() if key != "axis" and not isinstance(value, bool)}
    if "func" in named:
        functions = {"func": named["func"]}
    unknown = sorted(set(_function_names((*given, *functions.values()))) - set(_FUNCTIONS.split()))
    if unknown:
        raise NotDataError(f"agg() knows no function {unknown[0]!r} here (allowed: {', '.join(_FUNCTIONS.split())})")


def _function_names(functions: Given) -> Iterator[str]:
    for each in functions:
        if isinstance(each, Mapping):
            yield from _function_names(list(each.values()))
        elif isinstance(each, tuple):  # a column and what is made of it
            yield from _function_names(each[1:])
        elif isinstance(each, list):
            yield from _function_names(each)
        else:
            yield str(each)


def _only_known_aggregate(_owner: object, given: Given, named: Named) -> None:
    if len(given) > 3:
        raise NotDataError("pivot_table() takes aggfunc by its name, as in aggfunc='sum'")
    _only_known_functions(None, (), {"func": named.get("aggfunc", "mean")})


def _only_a_type(_owner: object, given: Given, named: Named) -> None:
    """A type of a large width would make each value as wide."""
    wanted = [*given[:1], *(value for key, value in named.items() if key in {"dtype", "dtypes"})]
    for kind in wanted:
        for each in kind.values() if isinstance(kind, Mapping) else (kind,):
            if isinstance(each, str) and not _TYPE.fullmatch(each):
                raise NotDataError(f"{each!r} is no type")


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


_CHECKS: tuple[tuple[Callable[[object, Given, Named], None], frozenset[str]], ...] = (
    (_only_known_functions, _BY_NAME),
    (_only_known_aggregate, frozenset({"pivot_table"})),
    (_only_a_type, frozenset({"astype", "cast"})),
    (_only_a_comparison, frozenset({"query"})),
    (_only_a_fitting_frequency, _BY_FREQUENCY),
)
