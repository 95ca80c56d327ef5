"""What an expression may reach, and how much of its value is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["data", "any"]
"""What expressions reach: the notebook's data, or anything."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a table is shown.

    ``rows`` is how many rows; ``more_rows`` says how the user changes that, for the note that some were left out.
    """

    rows: int = 20
    more_rows: str = ""
