"""One expression of a prompt: Jinja2's syntax, read once, evaluated as often as wanted.

The tree is walked here and not turned into Python by Jinja2, so that each thing an expression can do is a line below,
and what is not there cannot be done.
"""

from __future__ import annotations

import builtins
import functools
import operator
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import BuiltinFunctionType
from typing import cast

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.parser import Parser
from jinja2.runtime import Context

from llx_magic.template import arguments, attached, bounds, cells, keyed, kinds, methods
from llx_magic.template.environment import Environment, Mode, environment, is_missing
from llx_magic.template.errors import NotDataError, RefusedError
from llx_magic.template.percent import Fields

FUNCTIONS = (
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range", "repr",
    "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
)  # fmt: skip
"""The functions of Python that every expression has, unless the notebook gives their names to something else."""

_TYPES = frozenset({"bool", "float", "int", "str"})
_ASK_WHETHER_THERE = frozenset({"default", "d", "defined", "undefined"})
"""The filters and tests that a name may be given to which is not there."""
_OUTPUTS = frozenset({"_", "__", "___", "_llx"})


class Expression:
    """What stands between two braces.

    Raises TemplateSyntaxError for what cannot be read.
    """

    def __init__(self, source: str, mode: Mode) -> None:
        self.source = source
        self._environment = environment(mode)
        parser = Parser(self._environment, source, state="variable")
        self._tree = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError("chunk after expression", parser.stream.current.lineno)
        for node in nodes.Output([self._tree]).find_all((nodes.Filter, nodes.Test)):
            known = self._environment.filters if isinstance(node, nodes.Filter) else self._environment.tests
            if node.name not in known:
                raise TemplateSyntaxError(f"no {type(node).__name__.lower()} named {node.name!r}", node.lineno)

    def names(self) -> Iterator[str]:
        """Yield the names that must be there; the functions that every expression has are, and are not among them."""
        nodes_within = list(nodes.Output([self._tree]).find_all((nodes.Name, nodes.Filter, nodes.Test)))
        may_lack = {
            id(node.node)
            for node in nodes_within
            if isinstance(node, nodes.Filter | nodes.Test) and node.name in _ASK_WHETHER_THERE
        }
        for node in nodes_within:
            if isinstance(node, nodes.Name) and id(node) not in may_lack:
                name = _nfkc(node.name)
                if name not in FUNCTIONS and name not in attached.WORDS:
                    yield name

    def mentions(self) -> Iterator[str]:
        """Yield every name that stands in it, those too that need not be there."""
        for node in nodes.Output([self._tree]).find_all(nodes.Name):
            yield _nfkc(node.name)

    def value(self, namespace: Mapping[str, object]) -> object:
        """Return the value with the names of the namespace; what the notebook's own objects raise passes through.

        Raises RefusedError for what an expression may not do.
        """
        return _Evaluation(self._environment, namespace).whole(self._tree)


def is_private(name: str) -> bool:
    """Return whether a name is no variable of the user's by its form: all with an underscore but the last outputs."""
    return name.startswith("_") and name not in _OUTPUTS and not name[1:].isdecimal()


class _Evaluation:
    """One evaluation: the names it sees."""

    def __init__(self, env: Environment, namespace: Mapping[str, object]) -> None:
        self._env = env
        self._namespace = namespace

    @functools.cached_property
    def _context(self) -> Context:
        """What Jinja2 gives its filters and tests; most expressions have none, and it costs more than they do."""
        return Context(self._env, {}, None, {})

    def of(self, node: nodes.Node) -> object:
        """Return the value of a part of the expression, to look things up in."""
        value = self.whole(node)
        return keyed.plain(value) if self._is_data_only else value

    def whole(self, node: nodes.Node) -> object:
        """Return the value of a part of the expression as the notebook has it."""
        read = _READ.get(type(node))
        if read is None:
            raise RefusedError(f"no expression of a prompt has a {type(node).__name__.lower()}")
        return read(self, node)

    def name(self, node: nodes.Name) -> object:
        name = _nfkc(node.name)
        if name in self._namespace and not (self._is_data_only and is_private(name)):
            value = self._namespace[name]
            what = kinds.what_no_data(value) if self._is_data_only else None
            if what:
                raise NotDataError(f"{name} is {what}")
            return value
        if name in FUNCTIONS:
            if self._is_data_only:
                raise NotDataError(f"{name} is a function")
            return getattr(builtins, name)
        return self._env.undefined(name=node.name)

    def constant(self, node: nodes.Const) -> object:
        return node.value

    def listed(self, node: nodes.List) -> object:
        return [self.of(each) for each in node.items]

    def tupled(self, node: nodes.Tuple) -> object:
        return tuple(self.of(each) for each in node.items)

    def mapped(self, node: nodes.Dict) -> object:
        return {self.of(pair.key): self.of(pair.value) for pair in node.items}

    def attribute(self, node: nodes.Getattr) -> object:
        return self._env.getattr(self.whole(node.node), node.attr)

    def item(self, node: nodes.Getitem) -> object:
        return self._env.getitem(self.of(node.node), self.of(node.arg))

    def sliced(self, node: nodes.Slice) -> object:
        return slice(*(None if each is None else self.of(each) for each in (node.start, node.stop, node.step)))

    def chosen(self, node: nodes.CondExpr) -> object:
        if self.of(node.test):
            return self.of(node.expr1)
        if node.expr2 is None:
            return self._env.undefined("the condition is false and there is no else")
        return self.of(node.expr2)

    def binary(self, node: nodes.BinExpr) -> object:
        left, right = self.of(node.left), self.of(node.right)
        for side in (left, right):
            if is_missing(side):
                str(side)
        return bounds.binary(node.operator or "", left, right)

    def conjunction(self, node: nodes.And) -> object:
        return self.of(node.left) and self.of(node.right)

    def alternative(self, node: nodes.Or) -> object:
        return self.of(node.left) or self.of(node.right)

    def unary(self, node: nodes.UnaryExpr) -> object:
        return _UNARY[node.operator or ""](self.of(node.node))

    def concatenated(self, node: nodes.Concat) -> object:
        return bounds.joined("", [cells.plain(self.of(each)) for each in node.nodes])

    def compared(self, node: nodes.Compare) -> object:
        left = self.of(node.expr)
        result: object = None
        for at, operand in enumerate(node.ops):
            if at and not result:
                return result
            right = self.of(operand.expr)
            bounds.spread(left, right)
            result = _COMPARISONS[operand.op](left, right)
            left = right
        return result

    def filtered(self, node: nodes.Filter) -> object:
        value = None if node.node is None else self.of(node.node)
        given, named = self._arguments(node)
        return self._env.call_filter(node.name, value, given, named, self._context, None)

    def tested(self, node: nodes.Test) -> object:
        value = self.of(node.node)
        given, named = self._arguments(node)
        return self._env.call_test(node.name, value, given, named, self._context, None)

    def called(self, node: nodes.Call) -> object:
        callee = node.node
        if isinstance(callee, nodes.Name) and callee.name in attached.WORDS and not self._is_own(callee):
            return self._attached(callee.name, node)
        if isinstance(callee, nodes.Name) and callee.name in FUNCTIONS and _nfkc(callee.name) not in self._namespace:
            return self._function(callee.name, node)
        if isinstance(callee, nodes.Getattr):
            owner = self.of(callee.node)
            method = methods.found(owner, name := _nfkc(callee.attr))
            if method is not None:
                return self._method(owner, name, method, node)
            if self._is_data_only:
                self._refuse_method(owner, name)
        elif self._is_data_only:
            self.of(callee)
            raise NotDataError
        given, named = self._arguments(node)
        return cast("Callable[..., object]", self.of(callee))(*given, **named)

    def _is_own(self, callee: nodes.Name) -> bool:
        """Return whether the notebook has a function of that name, and not only a picture, say."""
        return callable(self._namespace.get(_nfkc(callee.name)))

    def _attached(self, word: str, node: nodes.Call) -> object:
        if len(node.args) != 1 or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise RefusedError(f"{word}() takes one thing, such as {word}({attached.WORDS[word]!r})")
        given = self.whole(node.args[0])
        if is_missing(given):
            str(given)
        return attached.attached(word, given, node.args[0].name if isinstance(node.args[0], nodes.Name) else "")

    @property
    def _is_data_only(self) -> bool:
        return self._env.mode == "data"

    def _function(self, name: str, node: nodes.Call) -> object:
        given, named = self._arguments(node)
        if name == "range":
            made = range(*cast("list[int]", given))
            bounds.finite(made)
            return made
        if self._is_data_only:
            for each in given:
                bounds.finite(each)
            if not isinstance(named.get("key"), type | operator.methodcaller | BuiltinFunctionType | None):
                raise NotDataError(f"{name}() sorts by no function of the notebook's")
        if name == "round":
            bounds.counts(given[1:])
        if name in {"str", "repr"} and len(given) == 1 and not named:
            return (cells.plain if name == "str" else cells.literal)(given[0])
        return bounds.collected(getattr(builtins, name)(*given, **named))

    def _method(self, owner: object, name: str, method: Callable[..., object], node: nodes.Call) -> object:
        given, named = self._arguments(node)
        if self._is_data_only or isinstance(owner, str):
            arguments.check(owner, name, given, named)
        if isinstance(owner, str) and name in {"format", "format_map"}:
            if name == "format_map":
                given, named = [], dict(cast("Mapping[str, object]", given[0]))
            return Fields(self._env.getattr).vformat(owner, given, named)
        if isinstance(owner, str) and name == "replace" and not named:
            return bounds.replaced(owner, *cast("tuple[str, str]", tuple(given)))
        if isinstance(owner, str | bytes) and name == "expandtabs":
            bounds.tabs(owner, *given, *named.values())
        if isinstance(owner, str) and name == "join":
            return bounds.joined(owner, list(cast("Iterable[str]", given[0])))
        return bounds.collected(method(*given, **named))

    def _refuse_method(self, owner: object, name: str) -> None:
        if is_missing(owner):
            str(owner)
        if not methods.exists(owner, name) and not (isinstance(owner, Mapping) and name in owner):
            str(self._env.undefined(obj=owner, name=name))
        raise NotDataError

    def _arguments(self, node: nodes.Call | nodes.Filter | nodes.Test) -> tuple[list[object], dict[str, object]]:
        given = [self._argument(node, each) for each in node.args]
        named = {_nfkc(str(each.key)): self._argument(node, each.value, str(each.key)) for each in node.kwargs}
        if node.dyn_args is not None:
            given += list(cast("Iterable[object]", bounds.collected(self.of(node.dyn_args))))
        if node.dyn_kwargs is not None:
            named |= dict(cast("Mapping[str, object]", self.of(node.dyn_kwargs)))
        return given, named

    def _argument(self, call: nodes.Node, node: nodes.Expr, key: str = "") -> object:
        """Return an argument's value; a function or type of Python's may stand where one is meant by its name."""
        callee = call.node if isinstance(call, nodes.Call) else None
        if isinstance(node, nodes.Name) and node.name in FUNCTIONS and node.name not in self._namespace:
            if isinstance(callee, nodes.Getattr) and callee.attr == "astype" and node.name in _TYPES:
                return node.name
            if isinstance(callee, nodes.Name) and key == "key":
                return getattr(builtins, node.name)
        if isinstance(node, nodes.Getattr) and isinstance(callee, nodes.Name) and key == "key":
            method = node.attr
            if isinstance(node.node, nodes.Name) and node.node.name == "str" and methods.found("", method):
                return operator.methodcaller(method)
        return self.of(node)


def _nfkc(name: str) -> str:
    """Return the name as Python's own parser takes it, to which µ and μ are one."""
    return unicodedata.normalize("NFKC", name)


_UNARY = cast("Mapping[str, Callable[[object], object]]", {"not": operator.not_, "-": operator.neg, "+": operator.pos})

_Comparing = Callable[[object, object], object]

_COMPARISONS: dict[str, _Comparing] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": cast("_Comparing", operator.gt),
    "gteq": cast("_Comparing", operator.ge),
    "lt": cast("_Comparing", operator.lt),
    "lteq": cast("_Comparing", operator.le),
    "in": lambda item, container: bounds.contains(container, item),
    "notin": lambda item, container: not bounds.contains(container, item),
}

_READ = cast(
    "Mapping[type[nodes.Node], Callable[[_Evaluation, nodes.Node], object]]",
    {
        nodes.Name: _Evaluation.name,
        nodes.Const: _Evaluation.constant,
        nodes.List: _Evaluation.listed,
        nodes.Tuple: _Evaluation.tupled,
        nodes.Dict: _Evaluation.mapped,
        nodes.Getattr: _Evaluation.attribute,
        nodes.Getitem: _Evaluation.item,
        nodes.Slice: _Evaluation.sliced,
        nodes.CondExpr: _Evaluation.chosen,
        nodes.And: _Evaluation.conjunction,
        nodes.Or: _Evaluation.alternative,
        **dict.fromkeys((nodes.Not, nodes.Neg, nodes.Pos), _Evaluation.unary),
        nodes.Concat: _Evaluation.concatenated,
        nodes.Compare: _Evaluation.compared,
        nodes.Filter: _Evaluation.filtered,
        nodes.Test: _Evaluation.tested,
        nodes.Call: _Evaluation.called,
        **dict.fromkeys(
            (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow), _Evaluation.binary
        ),
    },
)
