"""Outcomes come in any order, and stand in the order of the rows."""

from llx_magic.rows.outcome import Outcome, Outcomes

ANSWERED = Outcome(
    place=2,
    status="answered",
    text="yes",
    backend="fast",
    model="m",
    attempts=2,
    seconds=0.5,
    tokens_in=10,
    tokens_out=1,
    cost=0.25,
)


def test_an_outcome_comes_back_as_it_was_put() -> None:
    outcomes = Outcomes()
    outcomes.put(ANSWERED)
    assert outcomes.at(2) == ANSWERED


def test_a_row_of_which_nothing_was_heard_is_not_asked() -> None:
    outcomes = Outcomes()
    outcomes.put(ANSWERED)
    assert [each.status for each in outcomes] == ["not asked", "not asked", "answered"]
    assert outcomes.at(0) == Outcome(place=0, status="not asked")
    assert outcomes.at(9) == Outcome(place=9, status="not asked")
    assert (outcomes.count("not asked"), outcomes.places("answered")) == (2, [2])


def test_a_later_outcome_of_a_row_replaces_the_earlier_one() -> None:
    outcomes = Outcomes()
    outcomes.put(Outcome(place=0, status="failed", error="too long"))
    outcomes.put(Outcome(place=0, status="stored", text="ok"))
    assert outcomes.at(0) == Outcome(place=0, status="stored", text="ok")


def test_columns_are_as_long_as_the_data() -> None:
    outcomes = Outcomes()
    outcomes.put(ANSWERED)
    columns = outcomes.columns(range(4))
    assert columns["llx_status"] == ["not asked", "not asked", "answered", "not asked"]
    assert columns["llx_attempts"] == [None, None, 2, None]
    assert columns["llx_cost"] == [None, None, 0.25, None]
    assert {len(column) for column in columns.values()} == {4}
