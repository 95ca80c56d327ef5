"""How each kind of value is shown: chosen by what its class is called, so that nothing is imported to look at it."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterable, Iterator, Mapping

from llx_magic.core.message import File, Image
from llx_magic.pieces.sources import is_picture
from llx_magic.template import arrays, cells, foreign, frames, pictures
from llx_magic.template.errors import RefusedError
from llx_magic.template.tables import Limits, Shown


def shown(value: object, limits: Limits) -> Shown:
    """Return the value as a prompt shows it: pictures as images, others by their class or a base of it, or by str().

    Raises RefusedError for one that has no text: a generator, a table that is not computed yet, an object that would
    show no more than its address.
    """
    if type(value) is str:  # nearly all values of rows are
        return Shown(_bounded(value))
    several = value if isinstance(value, list | tuple) else (value,)
    if several and all(isinstance(each, Image | File) or is_picture(each) for each in several):
        pieces = (each if isinstance(each, Image | File) else Image(each) for each in several)
        return Shown("", pieces=tuple(pieces))
    for base in type(value).__mro__:
        package = str(base.__module__).partition(".")[0]
        if show := _KINDS.get(f"{package}.{base.__name__}"):
            return show(value, limits)
        if package in foreign.LIBRARIES and (table := foreign.table(value, limits)):
            return table
    if hasattr(type(value), "__dataframe__"):
        return foreign.exchanged(value, limits)
    return Shown(_bounded(str(value) if isinstance(value, str) else _text(value)))


def what_no_data(value: object) -> str | None:
    """Say what kind of thing that is no data a value is; None for data."""
    if type(value) in _PLAIN:
        return None
    return next((what for kinds, what in _NO_DATA if isinstance(value, kinds)), None)


def holds_a_function(value: object, depth: int = 3) -> bool:
    """Return whether a value, or one in it, can be called, as pandas does with an argument or an index that can be."""
    if callable(value):
        return True
    inner: Iterable[object] = ()
    if isinstance(value, slice):
        inner = (value.start, value.stop, value.step)
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple | set):
        inner = value
    return depth > 0 and any(holds_a_function(each, depth - 1) for each in inner)


_NO_DATA: tuple[tuple[tuple[type, ...], str], ...] = (
    ((types.ModuleType,), "a module"),
    ((type, types.GenericAlias), "a class"),
    ((types.MethodType, types.BuiltinMethodType, types.MethodWrapperType), "a function"),
    ((types.FunctionType, types.MethodDescriptorType, types.WrapperDescriptorType), "a function"),
    ((types.ClassMethodDescriptorType, staticmethod, classmethod, property), "a function"),
    ((types.FrameType, types.CodeType, types.TracebackType), "a part of a running program"),
    ((type(os.environ),), "the environment of this program"),
    ((types.CoroutineType, types.AsyncGeneratorType), "not computed yet"),
)


_PLAIN = frozenset((str, int, float, bool, type(None)))


def _bounded(text: str) -> str:
    if len(text) > cells.LONGEST_TEXT:
        raise RefusedError(f"longer than a prompt takes ({cells.LONGEST_TEXT:,} characters); cut it first")
    return text


def _text(value: object) -> str:
    if isinstance(value, Iterator) and type(value).__str__ is object.__str__:
        raise RefusedError(f"a {type(value).__name__} is read only once; assign list(…) of it first")
    return cells.literal(value)


# Of the libraries whose values have names of their own here: package and class, whatever the module between them.
_KINDS: dict[str, Callable[..., Shown]] = {
    "pandas.DataFrame": frames.frame,
    "pandas.Series": frames.series,
    "pandas.Index": frames.index,
    "pandas.ExtensionArray": frames.index,
    "pandas.Styler": frames.styled,
    "numpy.MaskedConstant": lambda _value, _limits: Shown("None"),
    "numpy.ndarray": arrays.array,
    "torch.Tensor": arrays.tensor,
    "cupy.ndarray": arrays.on_device,
    "jaxlib.ArrayImpl": arrays.convertible,
    "jaxlib.Array": arrays.convertible,
    "tensorflow.EagerTensor": arrays.convertible,
    "xarray.DataArray": arrays.labelled,
    "dask.Array": arrays.uncomputed,
    "dask.Bag": arrays.uncomputed,
    "dask.Delayed": arrays.uncomputed,
    "matplotlib.FigureBase": pictures.figure,
    "matplotlib.Axes": pictures.plot,
}
