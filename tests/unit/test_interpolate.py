"""The notebook's values in a prompt: what is special, what it renders as, and what each error says."""

from __future__ import annotations

import subprocess
import sys

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llx_magic.core.reply import Answer, Reply
from llx_magic.errors import UsageProblem
from llx_magic.notebook.interpolate import InterpolationError, interpolate


def refusal(prompt, **namespace):
    """Return the one line that refuses the prompt."""
    with pytest.raises(InterpolationError) as caught:
        interpolate(prompt, namespace)
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
    assert interpolate("{{ len }} {{ sum(2) }}", {"len": 5, "sum": lambda x: x * 10}) == "5 20"


@pytest.mark.parametrize(
    "name", ["lipsum", "cycler", "joiner", "namespace", "open", "eval", "type", "getattr", "vars", "__import__", "loop"]
)
def test_neither_jinjas_own_functions_nor_unsafe_builtins_are_at_hand(name):
    assert f"'{name}' is not defined" in refusal(f"{{{{ {name} }}}}")


def test_jinja_is_imported_only_for_text_with_an_expression_and_pandas_never():
    code = (
        "import sys; from llx_magic.notebook.interpolate import interpolate\n"
        "interpolate('{% a %} {b}', {}); before = 'jinja2' in sys.modules\n"
        "interpolate('{{ [1, None] }}', {})\n"
        "print(before, 'jinja2' in sys.modules, {'pandas', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False True set()"


# Errors


def test_an_undefined_name_offers_the_nearest_of_the_notebook():
    assert refusal("{{ dff }}", df=1, other=2) == "{{ dff }}: 'dff' is not defined; did you mean df? (nothing was sent)"


def test_an_undefined_name_like_no_other_offers_raw():
    assert (
        refusal("{{ dff }}", other=2)
        == "{{ dff }}: 'dff' is not defined; --raw sends the text as it is (nothing was sent)"
    )


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

    assert refusal("{{ fail() }}", fail=fail).startswith("{{ fail() }}: ValueError: first second xxx")


def test_an_exception_without_text_is_named_by_its_class():
    def fail():
        raise LookupError

    assert refusal("{{ fail() }}", fail=fail) == "{{ fail() }}: LookupError (nothing was sent)"


def test_an_exception_that_cannot_describe_itself_is_named_by_its_class():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def fail():
        raise Mute

    assert "Mute" in refusal("{{ fail() }}", fail=fail)


def test_a_value_that_cannot_be_shown_is_an_error_of_its_expression():
    class Broken:
        def __str__(self):
            raise OSError("gone")

    assert refusal("{{ b }}", b=Broken()) == "{{ b }}: OSError: gone (nothing was sent)"


def test_an_interrupt_of_the_user_passes_through():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpolate("{{ f() }}", {"f": interrupted})


@pytest.mark.parametrize(
    "expression",
    [
        "x.__class__",
        "x | attr('__class__')",
        "x.__class__.__mro__",
        "f.__globals__",
        "f.__code__",
        "'{0.__class__}'.format(x)",
        "str.format('{0.__class__}', x)",
        "text.format('{0.__class__}', x)",
        "str.format_map('{a.__class__}', {'a': x})",
        "list(zip([x]) | map(attribute='__class__'))",
    ],
)
def test_the_sandbox_lets_no_underscore_attribute_be_read(expression):
    class Text(str):
        __slots__ = ()

    message = refusal(f"{{{{ {expression} }}}}", x="secret", f=refusal, text=Text)
    assert "unsafe" in message or "has no" in message
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
        ("{{ x is None }}", 1, 1),
        ("{{ x | nofilter }}", 1, 1),
        ("{{ x.loc[1:2, 0] }}", 1, 1),
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
    assert "--raw sends the text as it is" in message


def test_a_syntax_that_jinja_reads_but_cannot_compile_is_said_without_its_internals():
    assert "{{ x.loc[1:2, 0] }} is not an expression: invalid syntax;" in refusal("{{ x.loc[1:2, 0] }}", x=1)


def test_everything_is_read_before_anything_is_evaluated():
    """A side effect does not happen for a prompt that cannot be read."""
    called = []
    refusal("{{ f(1) }} {{ x y }}", f=called.append)
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


# Values


def shown(value, rows=20):
    return interpolate("{{ value }}", {"value": value}, rows)


def test_a_frame_is_a_markdown_table_with_header_and_index():
    frame = pd.DataFrame({"city": ["Bern", "Rome"], "size": [1.5, 3.0]}, index=pd.Index(["a", "b"], name="key"))
    assert shown(frame) == (
        "| key | city | size |\n"
        "| --- | --- | --- |\n"
        "| a | Bern | 1.5 |\n"
        "| b | Rome | 3.0 |"
    )  # fmt: skip


def test_a_long_frame_is_cut_and_says_so():
    lines = shown(pd.DataFrame({"a": range(1234)})).splitlines()
    assert lines[-1] == "(first 20 of 1,234 rows)"
    assert lines[-2] == "| 19 | 19 |"
    assert len(lines) == 23


def test_a_frame_that_just_fits_has_no_note():
    assert shown(pd.DataFrame({"a": range(3)}), 3).endswith("| 2 | 2 |")


def test_a_wide_frame_is_cut_and_says_so():
    lines = shown(pd.DataFrame([range(100)] * 50), 5).splitlines()
    assert lines[-1] == "(first 5 of 50 rows, first 30 of 100 columns)"
    assert lines[0].count("|") == 32


def test_a_frame_of_a_million_rows_is_not_walked_through():
    class Counted:
        times = 0

        def __str__(self):
            Counted.times += 1
            return "cell"

    frame = pd.DataFrame({"a": pd.Series([Counted()] * 1_000_000, dtype=object)})
    assert shown(frame).endswith("(first 20 of 1,000,000 rows)")
    assert shown(frame["a"]).endswith("(first 20 of 1,000,000 rows)")
    assert Counted.times == 40


def test_a_multi_index_has_a_column_for_each_level():
    index = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", None])
    columns = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    assert shown(pd.DataFrame([[1, 2], [3, 4]], index, columns)) == (
        "| k |  | a / b | a / c |\n| --- | --- | --- | --- |\n| x | 1 | 1 | 2 |\n| y | 2 | 3 | 4 |"
    )
    assert shown(index) == "[('x', 1), ('y', 2)]"


def test_duplicate_and_non_string_columns_are_shown_as_they_are():
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["a", "a", 0, pd.Timestamp("2024-01-02")])
    assert shown(frame).splitlines()[0] == "|  | a | a | 0 | 2024-01-02 00:00:00 |"
    assert shown(frame).splitlines()[2] == "| 0 | 1 | 2 | 3 | 4 |"


def test_an_empty_frame_says_that_it_is_empty():
    assert shown(pd.DataFrame()) == "(empty DataFrame: no rows, no columns)"
    assert shown(pd.DataFrame({"a": []})) == "|  | a |\n| --- | --- |\n(no rows shown)"
    assert shown(pd.DataFrame(index=["r"])) == "|  |\n| --- |\n| r |"
    assert shown(pd.DataFrame({"a": [1]}), 0).endswith("(first 0 of 1 rows, no rows shown)")


def test_a_cell_keeps_to_its_cell():
    frame = pd.DataFrame({"a|b": ["x|y", "one\ntwo\r\nthree\u2028four", "`code`", "x" * 999, r"C:\|\\|"]})
    lines = shown(frame).splitlines()
    assert lines[0] == r"|  | a\|b |"
    assert lines[2] == r"| 0 | x\|y |"
    assert lines[3] == "| 1 | one<br>two<br>three<br>four |"
    assert lines[4] == "| 2 | `code` |"
    assert lines[5] == f"| 3 | {'x' * 199}… |"
    assert lines[6] == r"| 4 | C:\\\|\\\\\| |"


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_whatever_the_cells_hold_each_row_is_one_line(cells):
    assert len(shown(pd.DataFrame({"a": pd.Series(cells, dtype=object)})).splitlines()) == 2 + len(cells)


def test_numbers_and_gaps_read_as_they_were_meant():
    values = [0.1 + 0.2, 2.0, float("nan"), 1e20, -0.5, None, pd.NaT, np.float64(1.5), 10**20, True, np.inf]
    column = [line.split(" | ")[1].removesuffix(" |") for line in shown(pd.Series(values, dtype=object)).splitlines()]
    assert column[2:] == ["0.3", "2.0", "NaN", "1e+20", "-0.5", "None", "NaT", "1.5", "1" + "0" * 20, "True", "inf"]


def test_a_series_is_a_table_with_one_value_column():
    assert shown(pd.Series([1, 2], name="n")) == "|  | n |\n| --- | --- |\n| 0 | 1 |\n| 1 | 2 |"
    assert shown(pd.Series(["a"], index=["k"])) == "|  | value |\n| --- | --- |\n| k | a |"
    assert shown(pd.Series(range(5)), 2).endswith("(first 2 of 5 rows)")


def test_an_index_is_a_list():
    assert shown(pd.DataFrame(columns=["a", "b c"]).columns) == "['a', 'b c']"
    assert shown(pd.RangeIndex(10**9), 2) == "[0, 1] (first 2 of 1,000,000,000 values)"
    assert shown(pd.date_range("2024-01-01", periods=1)) == "[2024-01-01 00:00:00]"


def test_a_class_derived_from_a_frame_is_a_table_too():
    class Derived(pd.DataFrame):
        pass

    assert shown(Derived({"a": [1]})).startswith("|  | a |")


def test_an_array_has_shape_and_dtype_and_bounded_text():
    assert shown(np.array([1, 2], dtype="int32")) == "array of shape (2,), dtype int32: [1 2]"
    assert shown(np.eye(2)) == "array of shape (2, 2), dtype float64:\n[[1. 0.]\n [0. 1.]]"
    assert shown(np.array(5)) == "array of shape (), dtype int64: 5"
    assert len(shown(np.zeros(10**6))) < 200
    assert len(shown(np.array(["x" * 500] * 500))) < 4100


def test_a_number_of_numpy_is_the_number():
    assert shown(np.float64(1.5)) == "1.5"


def test_a_figure_is_said_in_words():
    figure = matplotlib.figure.Figure()
    left, right = figure.subplots(1, 2)
    figure.suptitle("Sales\nof 2024")
    left.plot([0, 10], [1, 3], label="north")
    left.plot([0, 10], [2, 2], label="south")
    left.set(title="Revenue", xlabel="month", ylabel="EUR", xlim=(0, 12), ylim=(0, 5))
    left.legend()
    right.bar(["a", "b"], [1, 2])
    right.scatter([0], [1])
    lines = shown(figure).splitlines()
    assert lines[0] == 'figure with 2 plots, title "Sales of 2024"'
    assert lines[1] == (
        '- plot "Revenue"; x axis "month" from 0 to 12; y axis "EUR" from 0 to 5; 2 lines; legend: north, south'
    )
    assert lines[2].endswith("2 patches, 1 collection")
    assert shown(left) == lines[1].removeprefix("- ")
    assert shown(matplotlib.figure.Figure()) == "figure with 0 plots"
    assert "nothing drawn" in shown(matplotlib.figure.Figure().subplots())


def test_a_picture_is_its_size_and_mode():
    assert shown(Image.new("RGBA", (640, 480))) == "(image of 640 x 480 pixels, mode RGBA)"


def test_a_reply_is_its_text():
    reply = Reply(
        text="Bern | `{{ x }}`",
        backend="b",
        model="m",
        usage=None,
        attempts=1,
        seconds=1.0,
        ttft=None,
        finish_reason="stop",
    )
    assert shown(reply) == "Bern | `{{ x }}`"


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        (None, "None"),
        (True, "True"),
        ("", ""),
        ("```py\nx\n```\n", "```py\nx\n```\n"),
        ([1, "a", None], "[1, 'a', None]"),
        ({"a": [1.5]}, "{'a': [1.5]}"),
        (0.1 + 0.2, "0.30000000000000004"),
        (b"x", "b'x'"),
    ],
)
def test_other_values_are_as_python_shows_them(value, rendered):
    assert shown(value) == rendered


def test_a_class_of_the_users_that_is_called_like_one_of_pandas_is_not_taken_for_it():
    class DataFrame:
        def __str__(self):
            return "mine"

    assert shown(DataFrame()) == "mine"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sum up {{ df }} in a line", "Sum up \n\n{table}\n\n in a line"),
        ("Sum up: {{ df }}\nplease", "Sum up: \n\n{table}\nplease"),
        ("a\n{{ df }} b", "a\n{table}\n\n b"),
        ("a\n\n  {{ df }}\n\nb", "a\n\n  {table}\n\nb"),
        ("{{ df['a'] }} and {{ df }}", "{series}\n\n and \n\n{table}"),
    ],
)
def test_a_table_has_its_lines_to_itself(text, wanted):
    frame = pd.DataFrame({"a": [1, 2]})
    table = "|  | a |\n| --- | --- |\n| 0 | 1 |\n| 1 | 2 |"
    assert interpolate(text, {"df": frame}) == wanted.format(table=table, series=table)
