"""No expression takes all memory or all time, and finding expressions takes steps in proportion to the text."""

from __future__ import annotations

import re
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.template.errors import InterpolationError
from llx_magic.template.template import Template, spans

NAMESPACE = {
    "x": "x", "long": "x" * 1_000_000, "n": 10**10, "xs": [1], "np_n": np.int64(10**10), "frac": Fraction(3, 2),
    "huge": range(10**12), "arr": np.zeros(100_000), "s": pd.Series(["a"]), "many": pd.Series(["a"] * 1000),
    "df": pd.DataFrame({"a": ["x"]}), "r": "a" * 300, "polar": pl.DataFrame(dict.fromkeys("abc", range(30_000))),
    "wide": pd.DataFrame(dict.fromkeys("abc", range(30_000))),
    "day": pd.Series([1, 2], index=pd.to_datetime(["2024-01-01", "2024-01-02"])),
}  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    [
        "'x' * 10**10",
        "10**10 * 'x'",
        "x * n",
        "x * np_n",
        "[1] * 10**10",
        "(1,) * n",
        "b * n",
        "2**(10**7)",
        "frac**(10**9)",
        "n**n",
        "(-3)**(10**8)",
        "(2**90000)*(2**90000)",
        "range(10**12)|list",
        "list(range(10**12))",
        "sum(huge)",
        "max(huge)",
        "sorted(huge)",
        "huge|sum",
        "huge|map('abs')|list",
        "'a' in huge",
        "list(huge)",
        "x.ljust(n)",
        "x.rjust(width=n)",
        "x.center(n)",
        "x.zfill(n)",
        "x.expandtabs(n)",
        "x|center(n)",
        "x|indent(n)",
        "[1]|batch(n)",
        "[1]|batch(n, 0)",
        "[1]|slice(n)|list",
        "1.5|round(n, 'ceil')",
        "round(5, -n)",
        "'%10000000000d' % 5",
        "'%.10000000000f' % 5",
        "'%*d' % (n, 5)",
        "'%10000000000d'|format(5)",
        "'{:10000000000}'.format(5)",
        "'{:>{w}}'.format(5, w=n)",
        "'{:.10000000000f}'.format(0.5)",
        "long.replace('', long)",
        "long|replace('', long)",
        "long.join([x] * 100000)",
        "([x] * 100000)|join(long)",
        "('{0}' * 100000).format(long)",
        "('%s' * 100000) % ((long,) * 100000)",
        "(1).to_bytes(n)",
        "[1]|tojson(indent=n)",
        "[long] * 100",
        "(long ~ long ~ long ~ long ~ long ~ long ~ long ~ long ~ long ~ long ~ long)",
        "arr[:, none] * arr",
        "arr[:, none] < arr",
        "s.str.ljust(n)",
        "s.str.repeat(n)",
        "s.str.zfill(n)",
        "s.repeat(n)",
        "day.resample('ns').sum()",
        "wide.groupby('a').describe()",
        "wide.groupby('a').b.describe()",
        "wide.groupby('a').agg('describe')",
        "wide.groupby('a').corr()",
        "wide.groupby('a').b.nlargest()",
        "day.asfreq('us')",
        "day.resample(rule='1us').mean()",
        "'a'|default('b') * 10**10",
        "[[[1] * 1000] * 1000] * 1000",
        "[x] * 10**6 + [x] * 10**6",
        "['a']|select('in', huge)|list",
        "arr[:, none] is lt(arr)",
        "x is in(huge)",
        "long|indent(long)",
        "long|wordwrap(5, true, long)",
        "[[[x] * 99] * 99] * 200 == [[[x] * 99] * 99] * 200",
        "(long,) * 11",
        "many + long",
        "many * 10**9",
        "[long] + [long]",
        "many.str.replace('a', long)",
        "many.fillna(long)",
        "many.str.join(long)",
        "many.str.slice_replace(0, 1, repl=long)",
        "('\\t' * 10**6).expandtabs(10**6)",
        "('\\t' * 10**6).expandtabs(tabsize=10**5)",
        "range(1000)|map('string')|map('replace', '', 'x' * 1000000)|list",
        "range(100000)|map('center', 100000)|list",
        "range(1000)|map('string')|map('indent', 100000, true)|list",
        "[[1] * 1000]|tojson(indent=1000000)",
        "([1] * 1000)|tojson(indent=100000)",
        "df.to_json(indent=10**8)",
        "df.to_string(col_space=10**8)",
        "df.to_string(col_space=[10**8])",
        "df.to_string(col_space={'a': 10**8})",
        "wide.to_string(col_space=1000)",
        "wide.pivot(index='a', columns='b', values='c')",
        "wide.pivot(columns='b', values='c')",
        "wide.pivot_table(index='a', columns='b', values='c')",
        "wide.pivot_table('c', 'a', 'b')",
        "wide.set_index(['a', 'b']).unstack()",
        "wide.set_index(['a', 'b'])['c'].unstack('a')",
        "polar.pivot('b', index='a', values='c')",
        "('a' * 10**6)|wordwrap(1)",
        "s.value_counts(bins=10**6)",
        "s.value_counts(false, true, false, 10**6)",
        "s.replace('(a+)+$', '', regex=true)",
        "s.replace(regex='(a+)+$', value='')",
        "df.replace({'a': '(a+)+$'}, '', regex=true)",
        "df.filter(regex='(a+)+$')",
        "s.str.contains('(a+)+$')",
        "s.str.contains('(a|a)*$')",
        "s.str.extract('(a*)*b')",
        "s.str.match('(?:a+)*b')",
        "s.str.findall('(a?){30}b')",
        "s.str.split('([ab]+){9}c', regex=true)",
        "s.str.count('a*a*a*b')",
        "s.str.replace('.*.*.*=', '', regex=true)",
        "s.str.contains('a?a?a?a?a?aaaaa')",
        "s.str.contains(r)",
        "s.str.contains('(a|a)' * 30 ~ 'b')",
        "s.str.contains('[a@]+@[a@]+@[a@]+@[a@]+!')",
        "s.str.contains('[a-z]+a[a-z]+a[a-z]+a[a-z]+!')",
        "s.str.contains('(?=a+)b')",
        "s.str.contains('(a+)\\\\1')",
        "s.str.replace(pat='(a+)+$', repl='', regex=true)",
    ],
)
def test_what_would_take_all_memory_or_time_is_refused_in_one_line(expression):
    with pytest.raises(InterpolationError) as caught:
        Template(f"{{{{ {expression} }}}}").render(NAMESPACE)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("df.head(10**9)", "| 1 |"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("round(4006381333931.25, 1)", "4006381333931.2"),
        ("max(10**15, 3)", "1000000000000000"),
        ("'-' * 40", "-" * 40),
        ("5 in huge", "True"),
        ("n|default(0)", "10000000000"),
        ("'%d items, 100%%' % n", "10000000000 items, 100%"),
        ("'%(a)5.1f|%(b)s' % {'a': 2.25, 'b': [1]}", "  2.2|[1]"),
        ("'%s and %r' % ('a', 'b')", "a and 'b'"),
        ("'{0} {1!r} {x[0]} {0.real}'.format(1, 'a', x=[5])", "1 'a' 5 1"),
        ("'{:%d.%m.%Y}'.format(when)", "05.01.2024"),
        ("day.resample('6h').sum().shape", "(5,)"),
        ("wide.groupby('a').sum().shape", "(30000, 2)"),
        ("long|length", "1000000"),
        ("s.str.replace('([0-9]+)-([0-9]+)', '', regex=true)[0]", "a"),
        ("s.str.contains('^[a-z]+$', regex=true)[0]", "True"),
        ("s.str.extract('(?P<x>[a-z.]+)').shape", "(1, 1)"),
        ("s.str.contains('([0-9]+)-([0-9]+)-([0-9]+)')[0]", "False"),
        ("s.str.contains('[a-z.]+@[a-z.]+[.][a-z]+')[0]", "False"),
        ("s.str.contains('(?i)red|green|blue|grey|black|white')[0]", "False"),
        ("s.str.replace('(a)', '\\\\1+++++', regex=true)[0]", "a+++++"),
        ("s.str.contains('[(]?[0-9]+')[0]", "False"),
        ("s.str.contains('\\\\(?a')[0]", "True"),
        ("s.str.contains('((a+)+', regex=false)[0]", "False"),
        ("wide.head(3).pivot(index='a', columns='b', values='c').shape", "(3, 3)"),
        ("wide.head(3).set_index(['a', 'b']).unstack().shape", "(3, 3)"),
        ("wide.a.value_counts(bins=3).sum()", "30000"),
        ("wide.head(1).to_json(indent=2)", '"a":{'),
        ("'a\\tb'.expandtabs(4)", "a   b"),
        ("['a', 'b']|map('center', 5)|list", "['  a  ', '  b  ']"),
    ],
)
def test_what_is_large_and_harmless_works(expression, wanted):
    namespace = NAMESPACE | {"df": pd.DataFrame({"a": [1]}), "when": pd.Timestamp("2024-01-05")}
    assert wanted in Template(f"{{{{ {expression} }}}}").render(namespace).text


@pytest.mark.parametrize(
    "template", ["%d", "%5d%%", "%(a)s", "%s %s", "%", "%q", "a%", "%(a", "100%", "%-8s|", "%+.2e", "%#x"]
)
@pytest.mark.parametrize("given", [5, "x", (1,), (1, 2), {"a": 3}, [4], ()])
def test_percent_is_as_in_python(template, given):
    """The same text, or a refusal where Python refuses."""
    text = f"{{{{ {template!r} % given }}}}"
    try:
        wanted = template % given
    except (TypeError, ValueError, KeyError):
        with pytest.raises(InterpolationError):
            Template(text).render({"given": given})
    else:
        assert Template(text).render({"given": given}).text == wanted


# Steps


def steps(work):
    """Return how many bytecodes the package's own code took."""
    count = 0

    def enter(frame, _event, _argument):
        if "llx_magic" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True

        def step(_frame, event, _given):
            nonlocal count
            count += event == "opcode"
            return step

        return step

    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def found(text):
    try:
        return list(spans(text))
    except InterpolationError as error:
        return str(error)


HOSTILE = {
    "openings": lambda n: "{{" * n,
    "openings in a line": lambda n: "{{ " * n,
    "an opening and text": lambda n: "{{" + "a" * n,
    "quotes": lambda n: "{{" + "'\"" * n,
    "escaped quotes": lambda n: "{{'" + "\\'" * n,
    "expressions with a quote that nothing closes": lambda n: "{{ \\' }} {{ \\\" }}" * n,
    "words with an apostrophe": lambda n: "{{ don't }} " * n + "{{ can",
    "brackets": lambda n: "{{" + "([{" * n,
    "closed brackets": lambda n: "{{" + "[]" * n,
    "closing brackets": lambda n: "{{" + ")" * n,
    "backslashes in a string": lambda n: "{{'" + "\\" * n,
    "strings": lambda n: "{{" + "'a'" * n,
    "single braces": lambda n: "{ } " * n,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_twice_the_text_takes_twice_the_steps_to_find_its_expressions(hostile):
    once, twice, four_times = (steps(lambda n=n: found(hostile(n))) for n in (2_000, 4_000, 8_000))
    assert twice <= 2.2 * once + 500
    assert four_times <= 2.2 * twice + 500


STRINGS_AND_BRACKETS = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[(\[{}\])]""", re.DOTALL)


def ends(text, start):
    """Where the expression ends, by one regular expression for strings, which looks for the end of each quote anew."""
    depth = 0
    for mark in STRINGS_AND_BRACKETS.finditer(text, start + 2):
        if mark[0] in "([{":
            depth += 1
        elif mark[0] in ")]}":
            if not depth and text.startswith("}}", mark.start()):
                return mark.start() + 2
            depth = max(0, depth - 1)
    return None


@given(st.text(st.sampled_from("{}'\"\\([])a "), max_size=40))
def test_remembering_quotes_that_nothing_closes_changes_no_end(text):
    wanted, start = [], text.find("{{")
    while start >= 0 and (end := ends(text, start)) is not None:
        wanted.append((start, end))
        start = text.find("{{", end)
    result = found(text)
    assert isinstance(result, str) if start >= 0 else result == wanted


@pytest.mark.parametrize("piece", ["{{ x }}", "{{ x }} ", "{{ x }}\n", " {{ df }}"])
def test_twice_the_expressions_take_twice_the_steps_to_fill_in(piece):
    namespace = {"x": 1, "df": pd.DataFrame({"a": [1]})}
    once, twice = (steps(lambda n=n: Template(piece * n).render(namespace)) for n in (100, 200))
    assert twice <= 2.2 * once


@pytest.mark.parametrize(
    "text",
    ["{{" + "(" * 50_000 + "1" + ")" * 50_000 + "}}", "{{" + "-" * 50_000 + "1}}", "{{ 1" + "+1" * 50_000 + "}}"],
)
def test_an_expression_nested_too_deeply_is_an_error_of_one_line(text):
    with pytest.raises(InterpolationError) as caught:
        Template(text).render({})
    assert len(str(caught.value)) <= 300


def test_a_wide_error_keeps_its_column():
    with pytest.raises(InterpolationError, match=r"^line 2, column 5: '\{\{' has no"):
        Template("{{ 1 }}\nfour{{" + "{" * 100_000)
