"""A model's text in a terminal: no control sequence survives, and the words do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.text.blocks import ReplyFormatError, read_json
from llx_magic.text.screen import one_line, printable, split_at_open_sequence


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;ZXZpbA==\x07text", "text"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x9b2Jtext", "text"),
        ("be\x07ep", "beep"),
        ("shown\rhidden", "shownhidden"),
        ("a\r\nb", "a\nb"),
        ("abc\b\b\bxyz", "abcxyz"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("\x1b", ""),
        ("\x7fx\x85y", "xy"),
    ],
)
def test_control_sequences_are_removed(raw, left):
    assert printable(raw) == left


@pytest.mark.parametrize("text", ["tab\tand\nline", "Grüße, 世界 🌍", "zero\u200dwidth joiner", "a [31m b"])
def test_ordinary_text_stays_as_it_is(text):
    assert printable(text) == text


@given(st.text(alphabet=st.sampled_from("\x1b[]P\\\x07\x9b31;mJ0a\r\n\u202e "), max_size=40))
def test_whatever_comes_no_control_character_but_tab_and_line_end_is_left(text):
    assert not [c for c in printable(text) if c not in "\t\n" and (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0)]
    assert not set(printable(text)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(max_size=500), st.integers(5, 80))
def test_one_line_is_one_line_and_no_longer_than_asked(text, limit):
    line = one_line(text, limit)
    assert "\n" not in line
    assert len(line) <= limit


def test_one_line_marks_where_it_was_cut():
    assert one_line("a b\n c", 10) == "a b c"
    assert one_line("abcdefghij", 5) == "abcd…"


@given(st.integers(0, 40))
def test_a_control_sequence_cut_anywhere_leaves_nothing_visible(cut):
    """Pieces of a stream are cleaned one by one, and a sequence may end in a later piece than it began."""
    text = "a\x1b[31mb\x1b]0;title\x07c\x9b1md\x1b]8;;x\x1b\\e"
    first, held = split_at_open_sequence(text[:cut])
    second, held = split_at_open_sequence(held + text[cut:])
    assert printable(first) + printable(second) + printable(held) == "abcde"


@pytest.mark.parametrize("hidden", ["\u061c", "\U000e0041", "\U000e007f", "\U000e0001"])
def test_marks_and_letters_that_nobody_sees_are_removed(hidden):
    assert printable(f"a{hidden}b") == "ab"


def test_what_is_wrong_with_json_is_said_without_a_dangling_word():
    with pytest.raises(ReplyFormatError, match=r"Unterminated string, line 1, column 2"):
        read_json('["two')
