"""Notes on the rows of a run, as its summary tells them."""

from __future__ import annotations

from llx_magic.session.row_notes import MOST_NOTES, RowNotes

ASKED_AGAIN = "asked again: no reply was of the schema; those not shown took {} tokens"


def told(*notes: str) -> list[str]:
    """Return what is told of rows that have one of these notes each."""
    gathered = RowNotes()
    for note in notes:
        gathered.take((note,))
    return list(gathered.told())


def test_rows_whose_notes_differ_in_tokens_alone_are_told_together_with_the_sum():
    notes = [ASKED_AGAIN.format(tokens) for tokens in ("38", "46", "1,200")]
    assert told(*notes) == [f"3 rows: {ASKED_AGAIN.format('1,284')} in all"]


def test_rows_that_waited_for_the_same_are_told_together_however_long_each_waited():
    assert told("waited 3 s for rpm_limit", "waited 1 min 2 s for rpm_limit") == ["2 rows: waited for rpm_limit"]


def test_notes_that_differ_in_more_than_figures_are_told_apart():
    assert told("cut at max_tokens", "cut at max_tokens", "not kept: full") == [
        "2 rows: cut at max_tokens",
        "1 row: not kept: full",
    ]


def test_a_number_that_belongs_to_a_name_keeps_notes_apart():
    assert len(told("no member took model 4", "no member took model 5")) == 2


def test_no_more_notes_are_told_than_can_be_read():
    assert len(told(*map(str, range(9)))) == MOST_NOTES
