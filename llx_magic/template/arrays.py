"""Arrays in a prompt: shape, type and values, each with all its digits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from llx_magic.template import cells
from llx_magic.template.errors import RefusedError
from llx_magic.template.foreign import lazy
from llx_magic.template.tables import Limits, Shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_VALUES = 1_000
"""Values of an array that are shown; of a larger one its corners are, as numpy does."""

_EDGE = 3


class _Tensor(Protocol):
    def detach(self) -> _Tensor: ...
    def cpu(self) -> _Tensor: ...
    def numpy(self) -> npt.NDArray[np.generic]: ...


class _OnDevice(Protocol):
    def get(self) -> npt.NDArray[np.generic]: ...


class _Labelled(Protocol):
    name: str | None
    dims: tuple[str, ...]
    coords: object
    chunks: object

    @property
    def values(self) -> npt.NDArray[np.generic]: ...


def array(value: npt.NDArray[np.generic], _limits: Limits) -> Shown:
    """Return the values in their brackets, under a line that says shape and type; None for those that are masked."""
    return _shown(value, f"array of shape {value.shape}, dtype {value.dtype}:")


def tensor(value: _Tensor, _limits: Limits) -> Shown:
    """Return a tensor of torch, wherever it is kept."""
    values = value.detach().cpu().numpy()
    return _shown(values, f"tensor of shape {values.shape}, dtype {values.dtype}:")


def on_device(value: _OnDevice, limits: Limits) -> Shown:
    """Return an array of cupy."""
    return array(value.get(), limits)


def convertible(value: npt.ArrayLike, limits: Limits) -> Shown:
    """Return an array of a library whose arrays numpy takes as they are."""
    import numpy as np

    return array(np.asarray(value), limits)


def labelled(value: _Labelled, _limits: Limits) -> Shown:
    """Return an array of xarray with its dimensions and coordinates."""
    if value.chunks is not None:
        raise RefusedError(lazy(value))
    sizes = ", ".join(f"{name}: {size}" for name, size in zip(value.dims, value.values.shape, strict=True))
    name = f' "{value.name}"' if value.name else ""
    return _shown(value.values, f"array{name} over ({sizes}), dtype {value.values.dtype}, {value.coords}\n")


def uncomputed(value: object, _limits: Limits) -> Shown:
    """Refuse what would have to be computed first."""
    raise RefusedError(lazy(value))


def _shown(values: npt.NDArray[np.generic], head: str) -> Shown:
    import numpy as np

    text = np.array2string(
        values,
        threshold=MAX_VALUES,
        edgeitems=_EDGE,
        max_line_width=120,
        formatter={"all": cells.literal}
        if isinstance(values, np.ma.MaskedArray)
        else {"float_kind": _number, "complex_kind": _complex, "object": cells.literal},
    )
    head = head.rstrip()
    whole = f"{head}\n{text}" if "\n" in text or "\n" in head else f"{head} {text}"
    if values.size <= MAX_VALUES:
        return Shown(whole)
    sent = math.prod(min(size, 2 * _EDGE) for size in values.shape)
    return Shown(whole, (f"{sent:,} of {values.size:,} values sent",))


def _number(item: np.floating[npt.NBitBase]) -> str:
    """Return the shortest text; a float of more than eight bytes knows its own."""
    precision = cells.PRECISIONS.get(item.itemsize)
    return str(item) if precision is None else cells.number(float(item), precision)


def _complex(item: np.complexfloating[npt.NBitBase, npt.NBitBase]) -> str:
    imaginary = _number(item.imag)
    return f"{_number(item.real)}{'' if imaginary.startswith('-') else '+'}{imaginary}j"
