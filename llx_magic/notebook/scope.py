"""The variables that a prompt sees: those of the code that asks it, in the order in which Python looks them up."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from types import FrameType, ModuleType

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.notebook.last_error import NAME, LastError
from llx_magic.template.errors import RefusedError

_MAGICS = frozenset({"run_cell_magic", "run_line_magic", "magic"})
_INSIDE = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})


class Scope(Mapping[str, object]):
    """The caller's local variables, the globals of its module, then the notebook's variables.

    IPython hands a cell magic the notebook's variables as "local" ones even inside a function
    (https://github.com/ipython/ipython/issues/13959), so the caller is looked for here. Names that ``%who`` hides are
    not there unless ``hidden`` asks for them. ``error`` is what ``Err`` stands for where no variable has that name.
    """

    def __init__(self, shell: InteractiveShell, *, hidden: bool = False, error: LastError | None = None) -> None:
        self._error = error
        frame = _caller()
        name = "<module>" if frame is None or frame.f_locals is shell.user_ns else frame.f_code.co_name
        self.function = None if name.startswith("<") else name
        self._names = ChainMap(*_layers(frame), shell.user_ns, shell.user_global_ns)
        self._hidden: Mapping[str, object] = {} if hidden else shell.user_ns_hidden

    def __getitem__(self, name: str) -> object:
        if name == NAME and self._error is not None and name not in self._names:
            if text := self._error.text():
                return text
            raise RefusedError("no cell of this notebook has failed; the failures of prompts do not count")
        value: object = self._names[name]
        # The last outputs are hidden too; the expressions decide which names with an underscore are data.
        if not name.startswith("_") and name in self._hidden and self._hidden[name] is value:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def own(self) -> list[str]:
        """Return the names that the user may have meant: no modules, and none with an underscore before it."""
        return [name for name in self if not name.startswith("_") and not isinstance(self[name], ModuleType)]

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _caller() -> FrameType | None:
    """Return the code that called the magic, or None where the magic's function was called by itself."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to the caller
    while frame is not None and not _runs_magics(frame):
        frame = frame.f_back
    while frame is not None and _runs_magics(frame):
        frame = frame.f_back
    return frame


def _runs_magics(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__")
    return frame.f_code.co_name in _MAGICS and isinstance(module, str) and module.startswith("IPython.")


def _layers(frame: FrameType | None) -> Iterator[dict[str, object]]:
    """Yield the variables of the caller; before Python 3.12 a comprehension has those of its function around it.

    https://peps.python.org/pep-0709/
    """
    if frame is None:
        return
    within: FrameType | None = frame
    while within is not None and within.f_code.co_name in _INSIDE:
        yield dict(within.f_locals)
        within = within.f_back
    if within is not None:
        yield dict(within.f_locals)
    yield frame.f_globals
