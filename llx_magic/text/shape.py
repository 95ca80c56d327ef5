"""What a reply is asked to be, and whether it is that: JSON, of a schema where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llx_magic.text.blocks import ReplyFormatError, read_json
from llx_magic.text.values import JsonValue

Fit = Callable[[JsonValue], object]
"""Returns the typed value of a JSON value that has been read.

Raises:
    ValueError: where it is another than the schema says; its text says in one line where and why.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a reply is asked to be; ``schema`` is the JSON schema that the model is told, None for any JSON value."""

    schema: Mapping[str, JsonValue] | None
    fit: Fit

    @property
    def name(self) -> str:
        """What a reply is that has it, behind "is"."""
        return "JSON" if self.schema is None else "of the schema"

    def read(self, text: str) -> object:
        """Return the value that the text of a reply is.

        Raises:
            ReplyFormatError: where it is none; with the place.
        """
        value = read_json(text)
        try:
            return self.fit(value)
        except ValueError as problem:
            raise ReplyFormatError(f"the reply does not fit the schema: {problem}") from None
        except RecursionError:
            raise ReplyFormatError("the reply is JSON that is nested too deeply to read") from None


JSON = Shape(None, lambda value: value)
"""Any JSON value."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was found in a reply that was asked to have a shape: its value, or in ``problem`` why there is none."""

    value: object = None
    problem: ReplyFormatError | None = None

    @classmethod
    def of(cls, text: str, shape: Shape) -> Read:
        """Read the text of a reply."""
        try:
            return cls(shape.read(text))
        except ReplyFormatError as problem:
            return cls(problem=problem)
