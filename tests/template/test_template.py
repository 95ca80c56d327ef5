"""The notebook's values in a prompt: what is special, what it renders as, and what each error says."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.reply import Answer
from llx_magic.errors import UsageProblem
from llx_magic.template.errors import InterpolationError
from llx_magic.template.tables import Limits
from llx_magic.template.template import Template

OTHERWISE = "; write it in quotes"


def interpolate(prompt, namespace, rows=20, mode="data"):
    return Template(prompt, mode, otherwise=OTHERWISE, limits=Limits(rows)).render(namespace).text


def refusal(prompt, mode="data", **namespace):
    """Return the one line that refuses the prompt."""
    with pytest.raises(InterpolationError) as caught:
        interpolate(prompt, namespace, mode=mode)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) <= 300
    assert message.endswith("(nothing was sent)")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


# What is special


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_double_braces_is_unchanged(text):
    assert interpolate(text, {}) == text


@given(st.text(st.sampled_from("{}%#'\"\\ \nab")).filter(lambda text: "{{" not in text), st.integers())
def test_beside_an_expression_all_else_is_unchanged(text, number):
    head = text.removesuffix("{")
    assert interpolate(head + "{{ n }}" + text, {"n": number}) == f"{head}{number}{text}"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": {}}}',
        "f'{x!r:>{width}}'",
        r"\frac{a}{b^{2}}",
        "{% if x %}yes{% endif %}{% raw %}",
        "{# note #}{#- note -#}",
        "# for x in y\n## text\n% set x = 1\n",
        "a }} b",
        "line\r\nline\rline\n\n",
        "\x00\ufeff <b>&amp;</b>",
    ],
)
def test_everything_but_expressions_is_text_with_and_without_an_expression_beside_it(text):
    assert interpolate(text, {}) == text
    assert interpolate(f"{text}{{{{ 1 }}}}{text}", {}) == f"{text}1{text}"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ x }}", "3"),
        ("{{x}}", "3"),
        ("{{\n  x +\n  1\n}}", "4"),
        ("{{ x }}{{ x }}", "33"),
        ("{{ '}}' }}", "}}"),
        ('{{ "it\'s }} {{" }}', "it's }} {{"),
        (r"{{ 'it\'s }}' }}", "it's }}"),
        ("{{ {'a': {'b': x}} }}", "{'a': {'b': 3}}"),
        ("{{ {'a': {'b': x}}}}", "{'a': {'b': 3}}"),
        ("{{ {'a': {'b': x}}['a']['b'] }}", "3"),
        ("{{ word | upper }}", "WORD"),
        ("{{ nothing | default('none given') }}", "none given"),
        ("{{ nothing is defined }}", "False"),
        ("{{ 'yes' if x > 2 else 'no' }}", "yes"),
        ("{{ words | join(', ') }}", "b, a"),
        ("{{ {'q': \"it's <b>ü</b>\"} | tojson }}", '{"q": "it\'s <b>ü</b>"}'),
        ("{{ [x] | tojson(indent=1) }}", "[\n 3\n]"),
        ("{{ -x }}", "-3"),
        ("{{ data._id }} {{ data['_id'] }}", "7 7"),
        ("{{ _ }}", "9"),
        ("{{ result }}", "11"),
        ("{{ replies | map(attribute='model') | join }}", "m"),
        ("{{ rows | map(attribute='_id') | list }}", "[7]"),
    ],
)
def test_an_expression_renders_as_its_value(text, rendered):
    namespace = {"x": 3, "word": "word", "words": ["b", "a"], "data": {"_id": 7}, "_": 9, "result": 11}
    namespace |= {"replies": [Answer(text="t", model="m")], "rows": [{"_id": 7}]}
    assert interpolate(text, namespace) == rendered


def test_what_a_value_renders_is_not_rendered_again():
    """Two braces in a value are text."""
    assert interpolate("{{ x }}", {"x": "{{ y }}", "y": 1}) == "{{ y }}"


def test_values_are_not_escaped_for_html():
    assert interpolate("{{ x }}", {"x": "<a href='b'>`&`</a>"}) == "<a href='b'>`&`</a>"


@pytest.mark.parametrize(
    ("expression", "rendered"),
    [
        ("len(xs)", "3"),
        ("str(1) ~ repr('a')", "1'a'"),
        ("int('4') + float('0.5')", "4.5"),
        ("round(2.567, 1)", "2.6"),
        ("sorted(xs)", "[1, 2, 3]"),
        ("sum(xs) + min(xs) + max(xs) + abs(-1)", "11"),
        ("list(range(3))", "[0, 1, 2]"),
        ("tuple(set([1, 1]))", "(1,)"),
        ("dict(a=1)", "{'a': 1}"),
        ("list(enumerate(zip(xs, xs)))", "[(0, (3, 3)), (1, (1, 1)), (2, (2, 2))]"),
        ("sorted(['b', 'A'], key=str.lower)", "['A', 'b']"),
    ],
)
def test_harmless_builtin_functions_are_at_hand(expression, rendered):
    assert interpolate(f"{{{{ {expression} }}}}", {"xs": [3, 1, 2]}) == rendered


def test_the_notebook_may_define_a_builtin_name_itself():
    own = {"len": 5, "sum": lambda x: x * 10}
    assert interpolate("{{ len }}", own) == "5"
    assert interpolate("{{ sum(2) }}", own, mode="any") == "20"
    assert "assign it first" in refusal("{{ sum(2) }}", **own)


@pytest.mark.parametrize(
    "name", ["lipsum", "cycler", "joiner", "namespace", "open", "eval", "type", "getattr", "vars", "__import__", "loop"]
)
def test_neither_jinjas_own_functions_nor_unsafe_builtins_are_at_hand(name):
    assert f"'{name}' is not defined" in refusal(f"{{{{ {name} }}}}")


def test_jinja_is_imported_only_for_text_with_an_expression_and_pandas_never():
    code = (
        "import sys; from llx_magic.template.template import Template\n"
        "Template('{% a %} {b}').render({}); before = 'jinja2' in sys.modules\n"
        "Template('{{ [1, None] }}').render({})\n"
        "print(before, 'jinja2' in sys.modules, {'pandas', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False True set()"


# Errors


def test_an_undefined_name_offers_the_nearest_of_the_notebook():
    assert refusal("{{ dff }}", df=1, other=2) == "{{ dff }}: 'dff' is not defined; did you mean df? (nothing was sent)"


def test_an_undefined_name_like_no_other_offers_the_way_out():
    assert refusal("{{ dff }}", other=2) == "{{ dff }}: 'dff' is not defined; write it in quotes (nothing was sent)"


@pytest.mark.parametrize(
    "expression", ["dff.head()", "dff[0]", "dff + 1", "[dff]", "{'a': (dff,)}", "str(dff)", "len(dff)"]
)
def test_an_undefined_name_is_named_wherever_it_stands(expression):
    assert "'dff' is not defined; did you mean df?" in refusal(f"{{{{ {expression} }}}}", df=1)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("d.nope", "'dict object' has no attribute 'nope'"),
        ("d['nope']", "dict has no item 'nope'"),
        ("d['keys']", "dict has no item 'keys'"),
        ("xs[5]", "list has no item 5"),
        ("df['nope']", "DataFrame has no item 'nope'"),
        ("df['mean']", "DataFrame has no item 'mean'"),
        ("df.nope", "has no attribute 'nope'"),
        ("xs[0][1]", "int object has no element 1"),
    ],
)
def test_a_missing_attribute_or_item_is_named(expression, said):
    namespace = {"d": {"a": "secret"}, "xs": [1], "df": pd.DataFrame({"a": ["secret"]})}
    message = refusal(f"{{{{ {expression} }}}}", **namespace)
    assert f"{{{{ {expression} }}}}: " in message
    assert said in message
    assert "secret" not in message


def test_an_expression_that_raises_is_named_with_its_exception():
    assert refusal("{{ 1/0 }}") == "{{ 1/0 }}: ZeroDivisionError: division by zero (nothing was sent)"


def test_an_exception_of_many_long_lines_becomes_one_short_line():
    def fail():
        raise ValueError("first\nsecond " + "x" * 9999)

    assert refusal("{{ fail() }}", "any", fail=fail).startswith("{{ fail() }}: ValueError: first second xxx")


def test_an_exception_without_text_is_named_by_its_class():
    def fail():
        raise LookupError

    assert refusal("{{ fail() }}", "any", fail=fail) == "{{ fail() }}: LookupError (nothing was sent)"


def test_an_exception_that_cannot_describe_itself_is_named_by_its_class():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def fail():
        raise Mute

    assert "Mute" in refusal("{{ fail() }}", "any", fail=fail)


def test_a_value_that_cannot_be_shown_is_an_error_of_its_expression():
    class Broken:
        def __str__(self):
            raise OSError("gone")

    assert refusal("{{ b }}", b=Broken()) == "{{ b }}: OSError: gone (nothing was sent)"


def test_an_interrupt_of_the_user_passes_through():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpolate("{{ f() }}", {"f": interrupted}, mode="any")


@pytest.mark.parametrize(
    "expression",
    [
        "x.__class__",
        "x.__class__.__mro__",
        "f.__globals__",
        "f.__code__",
        "'{0.__class__}'.format(x)",
        "'{0.real.__class__}'.format(1)",
        "'{a.__class__}'.format_map({'a': x})",
        "list(zip([x]) | map(attribute='__class__'))",
    ],
)
def test_the_sandbox_lets_no_underscore_attribute_be_read(expression):
    message = refusal(f"{{{{ {expression} }}}}", x="secret", f=refusal)
    assert "unsafe" in message or "has no" in message or "is a function" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{{ x", 1, 1),
        ("{{ x }", 1, 1),
        ("ab {{ x y }}", 1, 4),
        ("one\ntwo {{ }}", 2, 5),
        ("{{ 1 }}\n\n  {{{ 1 }}}", 3, 3),
        ("{{}}", 1, 1),
        ("{{ don't }} and {{ can't }}", 1, 1),
        ("{{ x is nothing }}", 1, 1),
        ("{{ x | nofilter }}", 1, 1),
        ("{{ [a for a in x] }}", 1, 1),
        ("{{ x & 1 }}", 1, 1),
        ("{{- x -}}", 1, 1),
        ("{{-x}}", 1, 1),
        ("é\r\n{{ ( }}", 2, 1),
        ("{{ " + "(" * 3000 + ")" * 3000 + " }}", 1, 1),
        ("{{ " + "9" * 5000 + " + }}", 1, 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_position_and_the_way_out(text, line, column):
    message = refusal(text, x=1)
    assert message.startswith(f"line {line}, column {column}: ")
    assert OTHERWISE in message


def test_everything_is_read_before_anything_is_evaluated():
    """A side effect does not happen for a prompt that cannot be read."""
    called = []
    refusal("{{ f(1) }} {{ x y }}", "any", f=called.append)
    assert called == []


def test_an_interpolation_error_is_bad_usage():
    """So the command line exits with 2."""
    assert issubclass(InterpolationError, UsageProblem)


@given(st.text(st.sampled_from("{}'\"\\ \n()[]ab1.|-+_,:"), max_size=30))
def test_any_text_renders_or_is_refused_in_one_line(text):
    message = ""
    try:
        interpolate("{{" + text, {"a": 1, "b": [2]})
    except InterpolationError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert len(message) <= 300
