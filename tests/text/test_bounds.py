"""What of a reply is drawn is bounded, whatever the reply is; what is not drawn is there as its source."""

from __future__ import annotations

import functools
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.text import bounds
from llx_magic.text.markdown import LEFT_OUT, TOO_LONG, Colouring, code_to_html, markdown_to_html
from tests.browser.heavy import HEAVY

PLAIN_MOST = bounds.MOST_COST + 5000
"""Elements of a whole page: what the bounds allow, and the marks in source."""


class Counter(HTMLParser):
    """Counts elements, and keeps the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements = 0
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements += 1

    def handle_data(self, data):
        self.text += data


@functools.cache
def drawn(name: str) -> str:
    """Return what a heavy reply is drawn as, which several claims are about."""
    return markdown_to_html(HEAVY[name])


@pytest.mark.parametrize("name", HEAVY)
def test_no_reply_makes_more_elements_than_the_bounds_allow(name):
    for html in (drawn(name), markdown_to_html(HEAVY[name], coloured=False)):
        assert Counter(html).elements <= PLAIN_MOST


@pytest.mark.parametrize("name", ["roots 400 deep", "fractions 100 deep", "environments 120 deep", "brackets 250 deep"])
def test_a_formula_that_would_end_the_tab_stands_there_as_its_source_with_a_line_that_says_so(name):
    shown = markdown_to_html(f"before\n\n{HEAVY[name]}\n\nafter")
    assert re.search(r"<code>\$\$?\\", shown)
    text = Counter(shown).text
    assert HEAVY[name] in text
    assert LEFT_OUT in text
    assert text.startswith("before")
    assert "after" in text


@pytest.mark.parametrize("name", HEAVY)
def test_no_reply_makes_a_page_out_of_all_proportion(name):
    assert len(drawn(name)) < 20 * len(HEAVY[name].encode()) + 10_000


@pytest.mark.parametrize(
    "formula",
    [
        r"$\begin{alignat}{99999999}a\end{alignat}$",
        r"$$\begin{alignat*} { 99999999}a\end{alignat*}$$",
        r"\begin{xalignat}{9999999}a\end{xalignat}",
        r"\begin{xxalignat}{9999999}a\end{xxalignat}",
        r"$\begin{alignedat}[t]{9999999}a\end{alignedat}$",
        r"$\begin {alignedat}{" + "9" * 3900 + r"}a\end {alignedat}$",
        r"$\begin{array}{*{99999999}{c}}a\end{array}$",
    ],
)
def test_a_formula_with_more_columns_than_a_page_can_hold_stands_there_as_its_source(formula):
    shown = Counter(markdown_to_html(formula))
    assert shown.text.startswith(formula)
    assert LEFT_OUT in shown.text


def test_a_formula_with_as_many_columns_as_people_write_is_drawn():
    formulas = r"$$\begin{alignat}{2}a&=b&c&=d\end{alignat}$$ $\begin{array}{*{12}{c}}a\end{array}$"
    assert LEFT_OUT not in markdown_to_html(formulas)


def test_a_block_that_costs_too_much_is_shown_as_source_and_its_neighbours_are_drawn():
    shown = markdown_to_html(f"# head\n\n{HEAVY['16,000 formulas']}\n\n*end*")
    assert shown.startswith("<h1>head</h1>")
    assert "<em>end</em>" in shown
    assert HEAVY["16,000 formulas"].strip() in Counter(shown).text


@pytest.mark.parametrize(
    "formula", ["$$a_{{{}}}$$", "- $$a_{{{}}}$$", "\\[\na_{{{}}}\n\\]", "`a_{{{}}}` *b* *c* *d* *e*", "|a_{{{}}}|\n|-|"]
)
def test_nothing_of_what_is_not_drawn_is_lost(formula):
    written = "\n\n".join(formula.format(n) for n in range(9000))
    shown = Counter(markdown_to_html(written)).text
    assert LEFT_OUT in shown
    assert re.findall(r"a_\{\d+\}", shown) == re.findall(r"a_\{\d+\}", written)


def test_an_answer_full_of_ordinary_formulas_is_drawn_whole():
    formulas = "\n\n".join(f"Step {n}: $x_{n} = \\frac{{a^2}}{{b_{n}}}$" for n in range(100))
    shown = markdown_to_html(formulas)
    assert shown.count("<span>$") == 100
    assert LEFT_OUT not in shown


@pytest.mark.parametrize(
    "formula",
    [
        r"$\sum_{i=1}^{n} \left( \frac{x_i - \mu}{\sigma} \right)^2$",
        r"$$\begin{aligned} a &= \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \end{aligned}$$",
        r"$\sqrt{1+\sqrt{1+\sqrt{1+\sqrt{1+\sqrt{1+x}}}}}$",
        r"$1+\cfrac{1}{2+\cfrac{1}{3+\cfrac{1}{4+\cfrac{1}{5+\cfrac{1}{6+\cfrac{1}{7}}}}}}$",
        r"$\color{red}{x} + \displaystyle\int_0^1 f$",
    ],
)
def test_formulas_that_people_write_are_not_too_deep(formula):
    assert not bounds.is_too_deep(formula)


@given(
    st.integers(bounds.DEEPEST_FORMULA + 1, 500),
    st.sampled_from(["{", "\\left(", "\\begin{a}", "\\bf ", "\\color{red}"]),
)
def test_nesting_beyond_the_bound_is_seen_however_it_is_written(depth, opening):
    assert bounds.is_too_deep(f"$x{opening * depth}$")


def test_groups_beside_each_other_are_not_nesting():
    assert not bounds.is_too_deep("{a}" * 1000 + r"\left(x\right)" * 500 + r"{\bf a}" * 500)


def test_a_text_too_long_to_be_read_as_markdown_is_shown_as_written_and_cut_where_no_page_can_hold_it():
    shown = Counter(markdown_to_html("*a* " * (bounds.LONGEST_DRAWN // 2)))
    assert shown.elements < 20
    assert TOO_LONG in shown.text
    huge = Counter(markdown_to_html("x" * (bounds.LONGEST_SHOWN + 1234)))
    assert "1,234 more characters are not shown" in huge.text


def test_colours_end_with_their_time_and_the_code_stays():
    colouring = Colouring()
    slow = "a\n" * 9000  # Java's lexer looks ahead to the end at each word
    assert colouring.highlight(slow, "java") == slow
    assert colouring.highlight("x = 1", "python") == "x = 1"
    assert "<span" in Colouring().highlight("x = 1", "python")


def test_long_code_is_shown_without_colours():
    code = "x = 1\n" * (bounds.LONGEST_COLOURED // 5)
    assert code_to_html(code, "python") == f"<pre><code>{code}</code></pre>"


@given(st.text(alphabet=st.sampled_from("ab \u0e01\u05d0\u0301<&*_$`\n"), max_size=400))
def test_places_to_break_a_line_add_nothing_to_the_text(text):
    with_breaks = markdown_to_html(text)
    assert Counter(with_breaks.replace("<wbr>", "")).text == Counter(with_breaks).text


@pytest.mark.parametrize(
    "word", ["\u05e9\u05dc\u05d5\u05dd", "na\u0308ive", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u4f60\u597d"]
)
def test_words_of_every_script_that_people_write_are_left_alone(word):
    text = f"<p>abc {word} abc</p>"
    assert bounds.breakable(text) == text


@pytest.mark.parametrize("between", ["", "b", "\u00a0"])
def test_a_line_of_many_pieces_can_be_broken(between):
    shown = markdown_to_html(f"`a`{between}**c**" * 1000)
    assert max(map(len, Counter(re.sub("<wbr>|&nbsp;", " ", shown)).text.split())) <= bounds.UNBROKEN


def test_a_paragraph_that_changes_direction_a_thousand_times_is_shown_from_left_to_right():
    assert '<bdo dir="ltr">' in markdown_to_html("\u05d01" * (bounds.MOST_TURNS + 1))
    assert "<bdo" not in markdown_to_html("\u05d0\u05d1 12 ab " * 300)
