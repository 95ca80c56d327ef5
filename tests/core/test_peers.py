"""What processes say of themselves: what of it is read, and what is made of it."""

from __future__ import annotations

import json

import pytest

from llx_magic.core.peers import LONGEST_CARD, Card, Peer, Peers, Recent, Shared, SharedBackend, Used, card_of, peers_of

ALICE, BOB = Card("host-a", 1, "alice.ipynb", since=50.0, requests=3), Card("host-b", 2, "bob.py", since=90.0)


def shared(**backends: list[Peer]) -> Shared:
    return Shared("team", tuple(SharedBackend(name, peers_of(each, 0, Used())) for name, each in backends.items()))


def test_what_is_written_is_read():
    raw = b'{"host":"h","process":7,"name":"n","since":1.5,"requests":2,"under_way":1,"circuit":"open","probe_in":3.0}'
    assert card_of(raw) == Card("h", 7, "n", 1.5, 2, 1, "open", 3.0)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b"[" * 5_000,
        b'{"host": "h"}',
        b'{"host": 1, "process": 1}',
        *(
            json.dumps({"host": "h", "process": 1, **wrong}).encode()
            for wrong in (
                {"host": "h" * 61},
                {"name": "n" * 61},
                {"process": -1},
                {"process": 2**60},
                {"requests": 1.5},
                {"since": -1.0},
                {"since": 1e300},
                {"circuit": "<b>"},
                {"probe_in": "1"},
                {"more": "x" * LONGEST_CARD},
            )
        ),
        b'{"host":"h","process":1,"since":1e999}',
        b'{"host":"h","process":1,"since":NaN}',
    ],
    ids=repr,
)
def test_what_is_not_of_the_form_is_nothing(raw):
    assert card_of(raw) is None


def test_what_a_later_version_adds_is_passed_over():
    assert card_of(b'{"host":"h","process":1,"colour":"green"}') == Card("h", 1)


def test_this_process_comes_first_then_who_has_been_there_the_longest():
    here = Card("host-c", 3)
    found = shared(a=[Peer(ALICE, 0.0), Peer(BOB, 0.0), Peer(here, 0.0, is_here=True)]).processes
    assert [process.card for process in found] == [here, BOB, ALICE]


def test_a_process_is_one_however_many_backends_it_shares():
    found = shared(a=[Peer(ALICE, 0.0)], b=[Peer(ALICE, 1.0)]).processes
    assert [sorted(process.at) for process in found] == [["a", "b"]]
    assert found[0].requests == 6


def test_two_profiles_of_one_process_are_one_process():
    found = peers_of([Peer(ALICE, 1.0, is_here=True), Peer(ALICE, 2.0, has_probe=True)], 2, Used())
    assert found.total == 1
    (peer,) = found.each
    assert (peer.card.requests, peer.seconds, peer.is_here, peer.has_probe) == (6, 1.0, True, True)


def test_those_that_do_not_say_who_they_are_count_each():
    found = peers_of([Peer(None, 1.0), Peer(None, 1.0)], 2, Used())
    assert found.total == 2
    assert len(shared(a=list(found.each)).processes) == 2


def test_more_than_are_looked_at_are_counted():
    assert peers_of([Peer(ALICE, 1.0)], 5_000, Used()).total == 5_000


@pytest.mark.parametrize(
    ("each", "is_alone"),
    [([], False), ([Peer(ALICE, 0.0, is_here=True)], True), ([Peer(BOB, 0.0)], False)],
    ids=["nobody", "this one", "another one"],
)
def test_alone_is_who_is_the_only_one(each, is_alone):
    assert shared(a=each).is_alone is is_alone


def test_limits_that_differ_are_all_named():
    cards = [Card("h", number, rpm_limit=limit) for number, limit in enumerate((300, 240, None, 240))]
    backend = SharedBackend("a", Peers(4, tuple(Peer(card, 0.0) for card in cards)))
    assert backend.limits("rpm_limit") == [240, 300]


def test_requests_are_those_of_the_last_minute():
    recent = Recent(100, 0.0)
    assert recent.count(100, 0.0) == 0
    assert recent.count(110, 30.0) == 10
    assert recent.count(115, 59.0) == 15
    assert recent.count(115, 91.0) == 5
    assert recent.count(115, 500.0) == 0


def test_a_reset_begins_the_minute_anew():
    recent = Recent(100, 0.0)
    assert recent.count(2, 10.0) == 0
    assert recent.count(5, 20.0) == 3


def test_looking_often_costs_no_memory():
    recent = Recent(0, 0.0)
    for moment in range(100_000):
        recent.count(moment, moment / 1_000)
    assert len(recent._noted) <= 62
