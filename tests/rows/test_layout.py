"""The new columns have the types of the schema, whatever form it is given in, and whatever came."""

import dataclasses
import datetime as dt
import enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from llx_magic.errors import UsageProblem
from llx_magic.rows.layout import ABOUT
from llx_magic.rows.outcome import Outcome
from llx_magic.rows.result import frame_of
from llx_magic.rows.source import source_of
from tests.rows.results import layout_of, outcomes_of

Label = Literal["bug", "billing"]


class Struct(msgspec.Struct):
    label: Label
    urgent: bool
    score: float
    count: int
    why: str
    tags: list[str]


@dataclasses.dataclass
class Data:
    label: Label
    urgent: bool
    score: float
    count: int
    why: str
    tags: list[str]


class Typed(TypedDict):
    label: Label
    urgent: bool
    score: float
    count: int
    why: str
    tags: list[str]


class Model(pydantic.BaseModel):
    label: Label
    urgent: bool
    score: float
    count: int
    why: str
    tags: list[str]


SHORT = {"label": ["bug", "billing"], "urgent": bool, "score": float, "count": int, "why": str, "tags": [str]}
FORMS = {
    "Struct": Struct,
    "dataclass": Data,
    "TypedDict": Typed,
    "pydantic": Model,
    "short form": SHORT,
    "JSON schema": Model.model_json_schema(),
}
REPLY = '{"label": "bug", "urgent": true, "score": 1, "count": 9007199254740993, "why": "x", "tags": ["a", "b"]}'
KINDS = {
    "label": "category",
    "urgent": "boolean",
    "score": "float64",
    "count": "Int64",
    "why": "string",
    "tags": "object",
    "llx_status": "category",
    "llx_error": "string",
    "llx_backend": "string",
    "llx_model": "string",
    "llx_attempts": "Int64",
    "llx_seconds": "float64",
    "llx_tokens_in": "Int64",
    "llx_tokens_out": "Int64",
    "llx_cost": "float64",
}


def table(schema: object, *texts: str | Outcome | None, data: object = None) -> Any:
    given = pd.DataFrame({"a": range(len(texts))}) if data is None else data
    return frame_of(source_of(given), outcomes_of(*texts), layout_of(schema))


@pytest.mark.parametrize("schema", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("texts", [(REPLY, None), (REPLY,), (None, None), ()], ids=["some", "all", "failed", "empty"])
def test_columns_are_typed_in_every_form_of_a_schema_also_where_all_are_missing(schema, texts) -> None:
    frame = table(schema, *texts)
    assert {name: str(frame[name].dtype) for name in frame.columns[1:]} == KINDS
    if texts[:1] == (REPLY,):
        assert frame.loc[0, list(SHORT)].tolist() == ["bug", True, 1.0, 9007199254740993, "x", ["a", "b"]]
    assert sorted(frame["label"].cat.categories) == ["billing", "bug"]
    assert frame.loc[1:, list(SHORT)].isna().all(axis=None)


@pytest.mark.parametrize("schema", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("texts", [(REPLY, None), (None, None)], ids=["some", "failed"])
def test_a_table_of_polars_has_types_of_its_own_for_every_form(schema, texts) -> None:
    frame = table(schema, *texts, data=pl.DataFrame({"a": [1, 2]}))
    assert isinstance(frame, pl.DataFrame)
    status = pl.Enum(["answered", "stored", "shared", "failed", "not asked"])
    assert frame.dtypes[2:8] == [pl.Boolean, pl.Float64, pl.Int64, pl.String, pl.List(pl.String), status]
    words = frame.schema["label"]
    assert isinstance(words, pl.Enum)
    assert set(words.categories) == {"bug", "billing"}
    if texts[0]:
        assert frame.row(0)[1:7] == ("bug", True, 1.0, 9007199254740993, "x", ["a", "b"])
    assert frame.row(1)[1:7] == (None,) * 6


@pytest.mark.parametrize("texts", [(REPLY, None), (None, None)], ids=["some", "failed"])
def test_a_table_of_arrow_has_types_of_its_own(texts) -> None:
    made = table(SHORT, *texts, data=pa.table({"a": [1, 2]}))
    assert isinstance(made, pa.Table)
    kinds = [pa.int64(), pa.dictionary(pa.uint32(), pa.string()), pa.bool_(), pa.float64(), pa.int64(), pa.string()]
    assert made.schema.types[:6] == kinds
    assert made.column("tags").type == pa.list_(pa.string())


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct):
    x: int
    colour: Colour


class Odd(msgspec.Struct, rename="camel"):
    my_day: dt.date
    my_time: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    maybe: int | None
    either: int | str
    colour: Colour
    inner: Inner
    inners: list[Inner]
    free: dict[str, int]
    anything: Any
    number: Literal[1, 2]


ODD = (
    '{"myDay": "2026-01-02", "myTime": "2026-01-02T03:04:05+01:00", "maybe": null, "either": "x", "colour": "red", '
    '"inner": {"x": 1, "colour": "blue"}, "inners": [], "free": {"a": 1}, "anything": [1, "x"], "number": 2}'
)


def test_times_choices_and_nested_values_have_their_types_in_pandas() -> None:
    for texts in ((ODD, None), (None, None)):
        frame = table(Odd, *texts)
        assert [str(kind) for kind in frame.dtypes.iloc[1:11]] == [
            "datetime64[us]", "datetime64[us, UTC]", "Int64", "object", "category", "object", "object", "object",
            "object", "Int64",
        ]  # fmt: skip
    frame = table(Odd, ODD)
    assert frame.columns[1:3].tolist() == ["myDay", "myTime"]
    assert frame.loc[0, "myTime"] == pd.Timestamp("2026-01-02 02:04:05", tz="UTC")
    assert frame.loc[0, ["inner", "free", "anything"]].tolist() == [{"x": 1, "colour": "blue"}, {"a": 1}, [1, "x"]]


def test_in_polars_what_no_schema_names_whole_is_json() -> None:
    frame = table(Odd, ODD, None, data=pl.DataFrame({"a": [1, 2]}))
    inner = pl.Struct({"x": pl.Int64, "colour": pl.String})
    colour = pl.Enum(["blue", "red"])
    times = [pl.Date, pl.Datetime("us", "UTC")]
    assert frame.dtypes[1:11] == [
        *times, pl.Int64, pl.String, colour, inner, pl.List(inner), pl.String, pl.String, pl.Int64,
    ]  # fmt: skip
    assert frame["free"].to_list() == ['{"a": 1}', None]
    assert frame["inner"].to_list() == [{"x": 1, "colour": "blue"}, None]


@pytest.mark.parametrize(
    ("schema", "text", "kind", "value"),
    [
        (None, "yes", "string", "yes"),
        (["bug", "billing"], '"bug"', "category", "bug"),
        (bool, "true", "boolean", True),
        (int, "3", "Int64", 3),
        ([str], '["a"]', "object", ["a"]),
        ({}, '{"a": 1}', "object", {"a": 1}),
        (dict[str, int], '{"a": 1}', "object", {"a": 1}),
        ({"type": ["integer", "null"]}, "3", "Int64", 3),
        ({"enum": ["a", None]}, '"a"', "category", "a"),
        ({"const": "x"}, '"x"', "category", "x"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "1.5", "float64", 1.5),
        ({"type": "integer"}, str(2**70), "object", 2**70),
    ],
)
def test_a_reply_that_is_no_object_is_one_column(schema: object, text: str, kind: str, value: object) -> None:
    frame = table(schema, text)
    assert str(frame["reply"].dtype) == kind
    assert frame["reply"].tolist() == [value]


@dataclasses.dataclass
class Appointment:
    at: dt.datetime
    until: dt.datetime | None
    day: dt.date | None


def test_times_with_and_without_a_zone_are_times_in_utc() -> None:
    text = '{"at": "2026-01-02T03:04:05", "until": "2026-01-02T03:04:05+01:00", "day": null}'
    frame = table(Appointment, text)
    assert frame.loc[0, ["at", "until"]].tolist() == [
        pd.Timestamp("2026-01-02T03:04:05Z"),
        pd.Timestamp("2026-01-02T02:04:05Z"),
    ]
    assert [str(kind) for kind in frame.dtypes.iloc[1:4]] == ["datetime64[us, UTC]"] * 2 + ["datetime64[us]"]
    assert table(Appointment, None, data=pl.DataFrame({"a": [1]})).dtypes[1] == pl.Datetime("us", "UTC")


def test_a_date_that_is_none_stays_as_the_text_that_it_is() -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}}
    assert table(schema, '{"at": "tomorrow"}')["at"].tolist() == ["tomorrow"]
    assert table(schema, '{"at": "tomorrow"}', data=pl.DataFrame({"a": [1]}))["at"].to_list() == ["tomorrow"]


def test_a_number_that_polars_cannot_hold_is_kept_as_text() -> None:
    assert table({"n": int}, f'{{"n": {2**70}}}', data=pl.DataFrame({"a": [1]}))["n"].to_list() == [str(2**70)]


@pytest.mark.parametrize(
    "data", [["x"], pl.DataFrame({"a": [1]}), pa.table({"a": [1]})], ids=["list", "polars", "arrow"]
)
def test_half_of_a_surrogate_pair_in_a_reply_spoils_no_table(data: object) -> None:
    assert len(table(None, "a\ud83d", data=data)) == 1
    assert len(table({"t": str}, '{"t": "a\\ud83d"}', data=data)) == 1


def test_a_schema_that_refers_to_itself_is_one_of_objects() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}, "kids": {"type": "array", "items": {"$ref": "#"}}}}
    looped = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    for schema in (tree, looped):
        for data in (None, pl.DataFrame({"a": [1]})):
            assert table(schema, None, data=data).shape[0] == 1


def test_half_an_answer_of_a_row_that_failed_is_not_in_its_column() -> None:
    failed = Outcome(place=0, status="failed", text="not JSON", error="the reply is no JSON")
    frame = table(None, failed)
    assert frame["reply"].isna().all()
    assert frame.loc[0, "llx_error"] == "the reply is no JSON"


@pytest.mark.parametrize(
    ("columns", "schema", "said"),
    [
        (["reply"], None, "a column 'reply' already, which the results would overwrite"),
        (["text", "llx_status", "llx_cost"], None, "columns 'llx_status', 'llx_cost' already"),
        (["why"], SHORT, "a column 'why' already"),
        ([("reply", ""), ("a", "b")], None, "'reply'"),
    ],
)
def test_a_column_that_would_be_overwritten_is_an_error_and_a_prefix_mends_it(columns, schema, said) -> None:
    layout = layout_of(schema)
    with pytest.raises(UsageProblem, match=said):
        layout.check(columns)
    layout_of(schema, prefix="new_").check(columns)


def test_a_schema_that_names_a_column_of_the_map_is_an_error() -> None:
    with pytest.raises(UsageProblem, match="the schema names 'llx_status', which the map itself adds"):
        layout_of({"llx_status": str}).check([])


def test_a_prefix_stands_before_every_new_name() -> None:
    frame = frame_of(source_of(["x"]), outcomes_of("yes"), layout_of(prefix="p_"))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["row", "p_reply", *(f"p_{name}" for name in ABOUT)]


def test_a_name_that_an_iterator_brings_late_is_kept_beside_the_new_one() -> None:
    source = source_of(iter([{"a": 1}, {"a": 2, "reply": "theirs"}]))
    assert len(list(source)) == 2
    frame = frame_of(source, outcomes_of("x", "y"), layout_of())
    assert isinstance(frame, pd.DataFrame)
    assert frame["reply"].isna().tolist() == [True, False]
    assert frame["new_reply"].tolist() == ["x", "y"]
