"""What Jinja2 reads expressions with: its syntax, and of its filters those that make one value from another."""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

from jinja2 import StrictUndefined
from jinja2.environment import Environment as Jinja
from jinja2.exceptions import SecurityError
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import is_internal_attribute
from jinja2.utils import pass_environment

from llx_magic.template import bounds, cells, keyed, kinds, methods
from llx_magic.template.errors import NotDataError, RefusedError
from llx_magic.template.percent import Text, percent

if TYPE_CHECKING:
    from jinja2.nodes import EvalContext

    from llx_magic.template.methods import Indexed

Mode = Literal["data", "any"]
"""What expressions reach: the notebook's data, or anything."""

FILTERS = """abs batch capitalize center count d default dictsort e escape filesizeformat first float format groupby
indent int items join last length list lower map max min reject rejectattr replace reverse round select selectattr slice
sort string sum title tojson trim truncate unique upper urlencode wordcount wordwrap"""
"""The filters of Jinja2 that expressions have; the others are for HTML, look at attributes by a name that is made, or
give something else each time."""

_COUNTED = frozenset({"batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap", "float", "int"})
_FOR_EACH_LINE = frozenset({"indent", "wordwrap"})


class Missing(StrictUndefined):
    """Fails inside a list or dict too, which show their items by repr()."""

    __slots__ = ()
    __repr__ = StrictUndefined._fail_with_undefined_error  # noqa: SLF001 - documented for subclasses


class Environment(Jinja):
    """Reads attributes and items of values, for expressions and for filters alike."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(undefined=Missing)
        self.mode = mode
        self.globals.clear()
        self.tests |= {name: self.tests[name.lower()] for name in ("None", "True", "False")}
        if mode == "data":
            self.filters = {name: self.filters[name] for name in FILTERS.split()}
        # Jinja2's own tojson is for HTML, its own format and replace have no bounds.
        self.filters |= {"tojson": _as_json, "format": _format, "replace": _replace, "join": _join}
        self.filters |= {"string": cells.plain}
        self.tests |= {"in": lambda item, container: bounds.contains(container, item)}

    def getattr(self, obj: object, attribute: str) -> object:
        """Return an attribute, or where there is none the item of that name."""
        name = unicodedata.normalize("NFKC", attribute)  # as Python itself does with names
        # https://jinja.palletsprojects.com/en/stable/sandbox/
        if name.startswith("_") or is_internal_attribute(obj, name):
            unsafe = f"access to attribute {attribute!r} of {type(obj).__name__!r} object is unsafe."
            return self._item_or(obj, (attribute,), SecurityError(unsafe))
        try:
            value = cast("object", getattr(obj, name))
        except AttributeError:
            return self._item_or(obj, (attribute, name), self.undefined(obj=obj, name=attribute))
        if self.mode == "data" and (what := kinds.what_no_data(value)):
            return self._item_or(obj, (attribute, name), NotDataError(f"{name} is {what}"))
        return value

    def getitem(self, obj: object, argument: object) -> object:
        """Return an item, or where a value has no items at all the attribute of that name."""
        if self.mode == "data" and kinds.holds_a_function(argument):
            raise NotDataError("an item is not found by a function")
        try:
            return self._seen(cast("Indexed", self._plain(obj))[argument])
        except LookupError:
            return self.undefined(f"{type(obj).__name__} has no item {argument!r}", obj, str(argument))
        except (AttributeError, TypeError):  # filters such as map(attribute="name") read objects this way
            if isinstance(argument, str):
                return self.getattr(obj, argument)
            return self.undefined(obj=obj, name=cast("str", argument))

    def call_filter(
        self,
        name: str,
        value: object,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        context: Context | None = None,
        eval_ctx: EvalContext | None = None,
    ) -> object:
        """Apply a filter, within bounds; what comes piece by piece is put into a list."""
        if self.mode == "data":
            bounds.finite(value)
        given = (*(args or ()), *(kwargs or {}).values())
        if name in _COUNTED:
            bounds.counts(given)
            bounds.counts(len(each) * 1_000 for each in given if isinstance(each, str) and name in _FOR_EACH_LINE)
        if name == "wordwrap":
            bounds.words(str(value), *given[:1])
        made = super().call_filter(name, value, args, kwargs, context, eval_ctx)
        made = bounds.collected(bounds.counted(made) if name == "map" and isinstance(made, Iterator) else made)
        bounds.text(len(made) if isinstance(made, str) else 0)
        return self._seen(made)

    def call_test(
        self,
        name: str,
        value: object,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        context: Context | None = None,
        eval_ctx: EvalContext | None = None,
    ) -> object:
        """Apply a test, within the bounds of the comparison that it stands for."""
        for each in args or ():
            bounds.spread(value, each)
        return super().call_test(name, value, args, kwargs, context, eval_ctx)

    def _plain(self, obj: object) -> object:
        return keyed.plain(obj) if self.mode == "data" else obj

    def _seen(self, value: object) -> object:
        what = kinds.what_no_data(value) if self.mode == "data" else None
        if what:
            raise NotDataError(f"what is found is {what}")
        return value

    def _item_or(self, obj: object, names: Sequence[str], otherwise: object) -> object:
        """Return the item of the first of the names that there is; ``otherwise`` is what to return or to raise."""
        for name in names if hasattr(type(obj), "__getitem__") else ():
            try:
                return self._seen(cast("Indexed", self._plain(obj))[name])
            except (LookupError, AttributeError, TypeError, ValueError):
                continue
        if isinstance(otherwise, Exception):
            raise otherwise
        return otherwise


@functools.cache
def environment(mode: Mode) -> Environment:
    """Return what reads expressions that may reach so much."""
    return Environment(mode)


def is_missing(value: object) -> bool:
    """Return whether a value stands for a name, an attribute or an item that is not there."""
    return isinstance(value, Undefined)


def _as_json(value: object, indent: int | None = None) -> str:
    text = Text()
    for piece in json.JSONEncoder(indent=indent, ensure_ascii=False, default=_json_value).iterencode(value):
        text.add(piece)
    return text.whole()


def _json_value(value: object) -> object:
    """Return what JSON has for a number or an array of numpy, a time, a set."""
    for name in ("tolist", "isoformat"):
        if method := methods.found(value, name):
            return method()
    if isinstance(value, set | frozenset):
        return list(cells.in_order(value))
    raise TypeError(f"a {type(value).__name__} is nothing that JSON has")


def _format(value: object, *args: object, **kwargs: object) -> str:
    if args and kwargs:
        raise RefusedError("format takes values by place or by name, not both")
    return percent(str(value), kwargs or args)


def _replace(value: object, old: str, new: str, count: int | None = None) -> str:
    return bounds.replaced(str(value), str(old), str(new), -1 if count is None else count)


@pass_environment
def _join(env: Environment, value: Sequence[object], d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else map(make_attrgetter(env, attribute), value)
    return bounds.joined(str(d), [cells.plain(item) for item in cells.in_order(items)])
