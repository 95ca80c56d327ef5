"""The table of a reply as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.text.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def reply_frame(text: str) -> pd.DataFrame:
    """Return the one table of a reply's text.

    Raises:
        ReplyFormatError: where there is none, or more than one.
    """
    import pandas as pd

    from llx_magic.observe.frames.inert import InertFrame

    table = read_table(text)
    frame = InertFrame(list(table.rows), columns=list(table.columns))
    for at in range(len(table.columns)):
        cells = [row[at] for row in table.rows]
        numbers = [cell for cell in cells if isinstance(cell, int) and not isinstance(cell, bool)]
        if numbers and None in cells and len(numbers) + cells.count(None) == len(cells):
            # whole numbers beside an empty cell would become floats, and long ones lose digits
            frame.isetitem(at, pd.Series(cells, dtype="Int64").array)
    return frame
