"""A model's Markdown as HTML: formulas stay as they were written, and nothing leads or reaches further than it may."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.observe.report import html_table
from llx_magic.text.markdown import markdown_to_html


@pytest.mark.parametrize(
    "command",
    [
        "\\href{java\tscript:alert(1)}{x}", "\\href{java\nscript:alert(1)}{x}", r"\href{javascript:alert(1)}{x}",
        r"\href{ms-word:ofe}{x}", r"\href{file:///etc}{x}", r"\href {/logout}{x}", r"\mmlToken{mi}[href='x-y:z']{x}",
        r"\class{a}{x}", r"\cssId{main}{x}", r"\style{color:red}{x}", r"\require{html}", r"\unicode[a;b]{65}",
        r"\def\alpha{\beta}", r"\let\leq\geq", r"\newcommand{\alpha}{\beta}", r"\renewcommand\alpha{\beta}",
        r"\DeclareMathOperator{\sin}{cos}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiters", [r"$ $", r"$$ $$", r"\( \)", r"\[ \]", r"\begin{align} \end{align}"])
def test_a_formula_that_links_or_redefines_is_shown_as_source_which_no_front_end_typesets(command, delimiters):
    opening, closing = delimiters.split()
    shown = markdown_to_html(f"a {opening}y {command} y{closing} b\n\n{opening}{command}\n{closing}\n")
    outside = re.sub(r"<code>.*?</code>|<pre>.*?</pre>", "", shown, flags=re.DOTALL)
    assert not re.search(r"\$.*\\[A-Za-z].*\$|\\[(\[A-Za-z]", outside, re.DOTALL)


@pytest.mark.parametrize(
    "formula",
    [
        "$x_1 * y_2 * z$", "$$a_1 \\\\ b_1$$", r"\(a_1 * b_1 * c\)", r"\[\frac{a_1}{b_1} \\ c\]", r"$\{a\}$",
        "\\begin{align}\na &amp;= b \\\\\n- c\n\\end{align}", "$$\na\n- b\n\n+ c\n$$", r"$\alpha$", "$a\\$b$",
    ],
)  # fmt: skip
def test_a_formula_reaches_the_typesetter_as_it_was_written(formula):
    assert f"<span>{formula}</span>" in markdown_to_html(formula.replace("&amp;", "&"))


@pytest.mark.parametrize("text", ["costs $5 and $10", "US$ and A$", r"C:\dir and \$x\$", "$ x $ y", "&#36;x&#36;"])
def test_dollars_and_backslashes_in_prose_are_not_taken_for_a_formula(text):
    shown = markdown_to_html(text)
    assert "$" in shown.replace("<span>$</span>", "$") or "\\" in shown
    assert not re.search(r"[$\\]", shown.replace("<span>$</span>", "").replace("<span>\\</span>", ""))


@pytest.mark.parametrize(
    "target",
    ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "/logout", "other.ipynb", "#top",
     "//evil.example", "http:logout", "ms-word:ofe", "java&#9;script:alert(1)", "JaVaScRiPt:alert(1)", "?reset"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["[x]({})", "![x]({})", "[x][1]\n\n[1]: {}", "<{}>"])
def test_a_link_leads_to_the_web_or_to_mail_and_nowhere_else(target, form):
    assert "href" not in markdown_to_html(form.format(target))


@pytest.mark.parametrize("target", ["http://a.example/x", "https://a.example", "mailto:a@b.example"])
def test_links_to_the_web_and_to_mail_stay(target):
    assert f'href="{target}"' in markdown_to_html(f"[x]({target})")


@given(st.text(alphabet=st.sampled_from("$\\()[]{}a _*`\n<>|h"), max_size=60))
def test_whatever_comes_only_formulas_that_stand_alone_hold_a_mark_of_the_typesetter(text):
    shown = re.sub(r"<(code|span)>[^<]*</\1>", "", markdown_to_html(text.replace("h", "\\href{x}")))
    assert not re.search(r"[$\\]", shown)


@pytest.mark.parametrize(
    "text", ["$" * 50_000, "\\(" * 25_000, "$$\n" * 15_000, "\\[\n}\n" * 5000, "\\begin{a}" * 5000]
)
def test_marks_without_end_are_read_to_the_end_of_the_text(text):
    assert markdown_to_html(text)


def test_names_and_errors_in_a_table_are_printable_and_never_taken_for_a_formula():
    shown = html_table(("a",), [("$\\href{x-y:z}{x}$ <b>\x1b[31m\u202e",)], caption="<i>\u202e$x$")
    assert shown.startswith('<div class="tex2jax_ignore mathjax_ignore"')
    assert '<caption style="text-align:left;white-space:nowrap">&lt;i&gt;$x$</caption>' in shown
    assert ">$\\href{x-y:z}{x}$ &lt;b&gt;</td>" in shown
