"""What is taken out of a server's own words, and out of a reply's text as it comes."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.keys.pieces import SHORTEST_FRAGMENT
from llx_magic.keys.redaction import LONGEST_READ, LiveKeys
from tests.growing import growth
from tests.secrets.scene import every_form
from tests.secrets.sweep import Sweep, odd, plain


@pytest.mark.parametrize("key", [odd("a"), plain("a")])
def test_a_key_goes_in_every_coding_and_in_part(key):
    """And what stands around it stays."""
    shown = LiveKeys(key).without(f"refused: {every_form(key)} (bad key)")
    assert not Sweep({"key": key}).found_in([shown])
    assert shown.startswith("refused: ***")
    assert shown.endswith(" (bad key)")


@given(st.integers(0, 40), st.integers(SHORTEST_FRAGMENT, 60), st.booleans())
def test_any_part_of_twelve_characters_goes(begin, length, upper):
    """In either case; fewer are not recognised, so that a provider may show how a key begins."""
    key = plain("parts")
    part = key[begin:][:length]
    text = f"<{part.upper() if upper else part}>"
    assert LiveKeys(key).without(text) == ("<***>" if len(part) >= SHORTEST_FRAGMENT else text)


@given(st.integers(0, 5))
def test_base64_is_recognised_whatever_stands_before_the_key(before):
    """The same bytes look different at each of three offsets."""
    key = plain("packed")
    text = base64.b64encode(b"x" * before + key.encode()).decode()
    assert not Sweep({"key": key}).found_in([LiveKeys(key).without(text)])


LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits + "-_.+/", k=16_384))
"""A key as long as any may be; some single sign-on hands out thousands of characters."""

CODINGS = {
    "as it is": str,
    "percent-encoded": lambda part: "".join(f"%{ord(c):02x}" for c in part),
    "percent-encoded twice": lambda part: quote(quote(part, safe=""), safe=""),
    "as JSON": lambda part: json.dumps(part)[1:-1].replace("/", "\\/"),
    "as escapes": lambda part: "".join(f"\\\\u{ord(c):04X}" for c in part),
    "as entities": lambda part: "".join(f"&#{ord(c)};" for c in part),
    "in base64": lambda part: base64.b64encode(part.encode()).decode()[:-4],
    "in base64 for addresses": lambda part: base64.urlsafe_b64encode(part.encode()).decode()[:-4],
    "in hexadecimal": lambda part: part.encode().hex(),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("length", [48, 256, 257, 1025, 2500, 16_384])
def test_a_key_of_any_length_goes_in_part_and_whole(length, coding):
    """And what stands around it stays."""
    key = LONG[:length]
    for part in (key, key[15:75], key[-33:]):
        shown = LiveKeys(key).without(f"bad token: {CODINGS[coding](part)}")
        assert shown.startswith("bad token: ***")
        assert len(shown) < len("bad token: ") + 2 * SHORTEST_FRAGMENT
    text = f"bad token: {CODINGS[coding](key[15:75])}, the server said"
    assert "***, the server said" in LiveKeys(key).without(text)[-30:] or "base64" in coding


@given(st.integers(0, 400))
def test_a_long_key_that_the_limit_of_reading_splits_shows_no_part(offset):
    """The text is cut before it is looked through, and the end of the cut is dropped."""
    key = LONG[:2_000].replace(".", "x")
    text = "." * (LONGEST_READ - offset) + key + "." * 2 * LONGEST_READ
    assert set(LiveKeys(key).without(text)) <= {".", "*"}


@pytest.mark.parametrize("letters", [LONG, "a" * 16_384, "\\" * 16_384], ids=["mixed", "equal", "backslashes"])
def test_a_key_of_64_times_the_length_is_far_less_than_64_times_the_work(letters):
    """The first failure must not hold up the loop until a pattern of thousands of characters is compiled."""

    def take_out(length: int) -> None:
        re.purge()  # the interpreter keeps compiled patterns
        LiveKeys(letters[:length]).without("Incorrect API key provided: " + "x" * 20_000)

    assert growth(lambda: take_out(256), lambda: take_out(16_384), most=25, least=5e-3) < 25


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(places)]


@given(st.lists(st.integers(0, 500), max_size=30))
def test_several_keys_are_taken_out_of_a_text_and_of_its_pieces(cuts):
    keys = [plain("one")[12:], plain("two")[12:], odd("three")]  # without the beginning that all share
    text = " and ".join([*keys, *reversed(keys), "the end"])
    live = LiveKeys(*keys)
    assert live.without(text) == " and ".join(["***"] * 6 + ["the end"])
    hidden = live.in_pieces()
    shown = "".join([*map(hidden.feed, pieces(text, cuts)), hidden.rest()])
    assert not any(key[:SHORTEST_FRAGMENT] in shown for key in keys)
    assert shown.endswith("*** and the end")
    assert not any(key in repr(live) + repr(hidden) for key in keys)


PARTS = st.lists(st.sampled_from(["sk-", "s", "sk-sk", " and ", plain("p")[:15], "{key}"]), max_size=8)


@given(PARTS, st.lists(st.integers(0, 10_000), max_size=30))
def test_a_replys_text_loses_the_key_however_it_is_cut_and_nothing_else(parts, cuts):
    """At most seven characters of it are shown, and they are the prefix that all keys of a provider share."""
    key = "sk-" + plain("p")
    text = "".join(parts).replace("{key}", key)
    hidden = LiveKeys(key).in_pieces()
    shown = "".join([hidden.feed(piece) for piece in pieces(text, cuts)] + [hidden.rest()])
    ends_within = any(text.endswith(key[:length]) for length in range(SHORTEST_FRAGMENT, len(key)))
    assert key[:20] not in shown
    assert shown == text or key in text or (ends_within and shown.endswith("***"))


@pytest.mark.parametrize("length", [1, 7, 8, 11, 12, 20, -1])
def test_a_reply_that_ends_within_the_key_shows_eleven_characters_of_it_at_most(length):
    """Cut by its own limit, say; of a longer beginning the first seven are shown, which may be out already."""
    key = "sk-" + plain("p")
    hidden, begun = LiveKeys(key).in_pieces(), key[:length]
    shown = "".join([*map(hidden.feed, f"key: {begun}"), hidden.rest()])
    assert shown == f"key: {begun if len(begun) < SHORTEST_FRAGMENT else key[:7] + '***'}"


@pytest.mark.parametrize("key", ["", "ollama", "not-needed", "sk-no-key-required"])
def test_a_placeholder_for_a_key_stays_in_a_replys_text(key):
    """A word that servers on this machine are given may occur in an honest reply."""
    hidden = LiveKeys(key).in_pieces()
    assert hidden.feed(f"Is {key} a word?") + hidden.rest() == f"Is {key} a word?"
    assert "ollama" not in repr(hidden)


def test_sixteen_times_the_keys_in_one_piece_is_sixteen_times_the_work():
    """A reply that is nothing but keys must not hold up the loop; growing with the square it would be 256 times."""
    key = plain("again")

    def take_out(times: int) -> None:
        assert LiveKeys(key).in_pieces().feed(key * times) == "***" * times

    assert growth(lambda: take_out(2_000), lambda: take_out(32_000), most=64, least=50e-6) < 64
