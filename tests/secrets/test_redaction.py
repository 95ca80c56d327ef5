"""What is taken out of a server's own words, and out of a reply's text as it comes."""

from __future__ import annotations

import base64
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.wording import SHORTEST_FRAGMENT, PieceRedactor, Redactor
from tests.secrets.scene import every_form
from tests.secrets.sweep import Sweep, odd, plain


@pytest.mark.parametrize("key", [odd("a"), plain("a")])
def test_a_key_goes_in_every_coding_and_in_part(key):
    """And what stands around it stays."""
    shown = Redactor(key)(f"refused: {every_form(key)} (bad key)")
    assert not Sweep({"key": key}).found_in([shown])
    assert shown.startswith("refused: ***")
    assert shown.endswith(" (bad key)")


@given(st.integers(0, 40), st.integers(SHORTEST_FRAGMENT, 60), st.booleans())
def test_any_part_of_twelve_characters_goes(begin, length, upper):
    """In either case; fewer are not recognised, so that a provider may show how a key begins."""
    key = plain("parts")
    part = key[begin:][:length]
    text = f"<{part.upper() if upper else part}>"
    assert Redactor(key)(text) == ("<***>" if len(part) >= SHORTEST_FRAGMENT else text)


@given(st.integers(0, 5))
def test_base64_is_recognised_whatever_stands_before_the_key(before):
    """The same bytes look different at each of three offsets."""
    key = plain("packed")
    text = base64.b64encode(b"x" * before + key.encode()).decode()
    assert not Sweep({"key": key}).found_in([Redactor(key)(text)])


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(places)]


PARTS = st.lists(st.sampled_from(["sk-", "s", "sk-sk", " and ", plain("p")[:15], "{key}"]), max_size=8)


@given(PARTS, st.lists(st.integers(0, 10_000), max_size=30))
def test_a_replys_text_loses_the_key_however_it_is_cut_and_nothing_else(parts, cuts):
    """At most seven characters of it are shown, and they are the prefix that all keys of a provider share."""
    key = "sk-" + plain("p")
    text = "".join(parts).replace("{key}", key)
    hidden = PieceRedactor(key)
    shown = "".join([hidden.feed(piece) for piece in pieces(text, cuts)] + [hidden.rest()])
    assert key[:20] not in shown
    assert shown == text or key in text


@pytest.mark.parametrize("key", ["", "ollama", "not-needed", "sk-no-key-required"])
def test_a_placeholder_for_a_key_stays_in_a_replys_text(key):
    """A word that servers on this machine are given may occur in an honest reply."""
    hidden = Redactor(key).in_pieces()
    assert hidden.feed(f"Is {key} a word?") + hidden.rest() == f"Is {key} a word?"
    assert "ollama" not in repr(hidden)


def seconds_for(key: str, times: int) -> float:
    """How long the processor works on one piece that is the key so many times, at best of five."""

    def once() -> float:
        hidden, piece = Redactor(key).in_pieces(), key * times
        began = time.thread_time()
        assert hidden.feed(piece) == "***" * times
        return time.thread_time() - began

    return min(once() for _ in range(5))


def test_sixteen_times_the_keys_in_one_piece_is_sixteen_times_the_work():
    """A reply that is nothing but keys must not hold up the loop; growing with the square it would be 256 times."""
    key = plain("again")
    assert seconds_for(key, 32_000) < 64 * max(seconds_for(key, 2_000), 50e-6)
