"""Whose turn it was, told by recorded orders."""

from __future__ import annotations

import pytest

from llx_magic.core.routing import ROUTINGS, Standing, turn_of

STANDINGS = [Standing("a", 0, weight=3.0), Standing("b", 0, weight=1.0), Standing("c", 0, weight=1.0)]


@pytest.mark.parametrize("policy", ["roundrobin", "weighted"])
@pytest.mark.parametrize("begun", range(5))
def test_the_orders_of_a_policy_in_turn_tell_at_which_turn_they_began(policy, begun):
    order = ROUTINGS[policy].order
    orders = [[STANDINGS[place].name for place in order(STANDINGS, begun + later)] for later in range(20)]
    found = turn_of(order, STANDINGS, orders)
    assert [STANDINGS[order(STANDINGS, found + later)[0]].name for later in range(20)] == [each[0] for each in orders]


def test_orders_that_no_turn_explains_begin_at_the_first():
    assert turn_of(ROUTINGS["roundrobin"].order, STANDINGS, [["a"], ["a"]]) == 0


def test_no_orders_begin_at_the_first():
    assert turn_of(ROUTINGS["roundrobin"].order, STANDINGS, []) == 0
