"""Tables on a terminal that is narrower than they are."""

from __future__ import annotations

import pytest

from llx_magic.observe.report import text_table
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.session import Session
from llx_magic.settings.help import HEADINGS, rows
from tests.typed import Typed

COLUMNS = ("name", "value", "meaning")
CELLS = [("one", "1", "the first of all numbers that anybody counts"), ("codes", "408,409,425,429", "what fails over")]


def test_a_table_that_fits_is_as_wide_as_it_is():
    assert text_table(COLUMNS, CELLS, width=70) == text_table(COLUMNS, CELLS)


def test_the_last_column_stands_below_its_row_where_there_is_no_room_beside_it():
    assert text_table(COLUMNS, CELLS, width=30).splitlines() == [
        "name   value",
        "    meaning",
        "----------------------",
        "one    1",
        "    the first of all numbers",
        "    that anybody counts",
        "codes  408,409,425,429",
        "    what fails over",
    ]


def test_a_cell_is_folded_behind_a_comma_and_a_blank():
    assert text_table(COLUMNS, CELLS, width=18).splitlines()[-4:] == [
        "codes  408,409,",
        "       425,429",
        "    what fails",
        "    over",
    ]


@pytest.mark.parametrize("width", [72, 80, 90, 120, 200])
def test_the_settings_fit_into_every_terminal_and_lose_nothing(width):
    session = Session(ProfileStore())
    found = rows(session.resolved(), session.profile_name)
    table = text_table(HEADINGS, found, width=width)
    assert max(map(len, table.splitlines())) <= width
    said = "".join(table.split())
    for key, _value, _origin, _default, meaning in found:
        assert f"\n{key} " in table
        assert "".join(meaning.split()) in said


def test_what_goes_into_a_pipe_is_not_folded():
    widest = max(map(len, Typed("set").run(Session(ProfileStore()), "--list", "llx set").text.splitlines()))
    assert widest > 200


def test_a_terminal_that_is_narrower_than_the_indent_gets_a_character_a_line():
    assert text_table(("a", "b"), [("x", "ab c")], width=3).splitlines()[-3:] == ["    a", "    b", "    c"]
