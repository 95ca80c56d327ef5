"""Which columns a map adds to a table: their names and types, from the schema of its replies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from llx_magic.errors import UsageProblem, brief
from llx_magic.rows.outcome import STATUSES
from llx_magic.rows.typed import Typed
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.shape import Shape
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import listed

if TYPE_CHECKING:
    from llx_magic.observe.frames.columns import Kind

REPLY = "reply"
SAMPLE = "llx_sample"

ABOUT: dict[str, Kind] = {
    "llx_status": STATUSES,
    "llx_error": "string",
    "llx_backend": "string",
    "llx_model": "string",
    "llx_attempts": "Int64",
    "llx_seconds": "float64",
    "llx_tokens_in": "Int64",
    "llx_tokens_out": "Int64",
    "llx_cost": "float64",
}
"""The columns that tell of each row, behind its reply."""


class _Model(Protocol):
    def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, JsonValue]: ...


@dataclass(frozen=True, slots=True)
class Layout:
    """The new columns of a map: ``shape`` is that of its replies, ``prefix`` stands before every new name."""

    shape: Shape | None = None
    prefix: str = ""

    @property
    def fields(self) -> Mapping[str, Typed] | None:
        """The columns of the schema, by their names in a reply; None where a reply is one column."""
        return self._root().properties or None

    @property
    def replies(self) -> dict[str, Typed]:
        """The columns of the replies, by their names in the table."""
        fields = self.fields or {REPLY: self._root()}
        return {f"{self.prefix}{name}": typed for name, typed in fields.items()}

    def check(self, columns: Iterable[Hashable], samples: int = 1) -> None:
        """See to it that no column of the data would be overwritten, before anything is sent.

        Raises:
            UsageProblem: naming those that would.
        """
        theirs = [name for name in self.replies if name in ABOUT or name == SAMPLE]
        if theirs and not self.prefix:
            raise UsageProblem(f"the schema names {listed(map(brief, theirs))}, which the map itself adds; rename it")
        if doubled := self.doubled(columns, samples):
            each = "a column" if len(doubled) == 1 else "columns"
            raise UsageProblem(
                f"the data has {each} {listed(map(brief, doubled))} already, which the results would overwrite; "
                "a prefix names the new columns apart: --prefix new_ (in Python prefix='new_')"
            )

    def doubled(self, columns: Iterable[Hashable], samples: int = 1) -> list[str]:
        """Return the new names that the data has already."""
        given = {name[0] if isinstance(name, tuple) and not any(name[1:]) else name for name in columns}
        return [name for name in self.names(samples) if name in given]

    def names(self, samples: int = 1) -> list[str]:
        """Return the names of all new columns in their order."""
        about = [*([SAMPLE] if samples > 1 else []), *ABOUT]
        return [*self.replies, *(f"{self.prefix}{name}" for name in about)]

    def reader(self) -> Callable[[str], list[object]]:
        """Return what makes of a reply's text its values, one for each of ``replies``.

        Raises:
            ReplyFormatError: from that, where the text has another form.
        """
        shape, fields = self.shape, self.fields
        if shape is None:
            return lambda text: [text]
        if fields is None:
            return lambda text: [plain(shape.read(text))]
        names = list(fields)

        def read(text: str) -> list[object]:
            value = plain(shape.read(text))
            return [value.get(name) for name in names] if isinstance(value, dict) else [None] * len(names)

        return read

    def values(self, texts: Iterable[str | None]) -> list[list[object]]:
        """Return the values of every column of ``replies``; None for a text that is missing or has another form."""
        read = self.reader()
        missing: list[object] = [None] * len(self.replies)
        rows = []
        for text in texts:
            try:
                rows.append(missing if text is None else read(text))
            except ReplyFormatError:
                rows.append(missing)
        return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in missing]

    def _root(self) -> Typed:
        return Typed.root({"type": "string"} if self.shape is None else self.shape.schema or {})


def plain(value: object) -> object:
    """Return a value of a schema as JSON has it: dictionaries, lists, texts, numbers."""
    if callable(getattr(value, "model_dump", None)):
        return cast("_Model", value).model_dump(mode="json", by_alias=True)
    return msgspec.to_builtins(value)
