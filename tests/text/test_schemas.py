"""What a user gives as a schema: what the model is told, and what value a reply is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Literal, TypedDict

import msgspec
import pydantic
import pytest

from llx_magic.errors import UsageProblem
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.schemas import shape_of

SHORT = {"label": ["bug", "billing"], "urgent": bool, "why": str}
TICKET = '{"label": "bug", "urgent": true, "why": "it crashes"}'
MISLABELLED = TICKET.replace("bug", "praise")


class Ticket(msgspec.Struct):
    """A ticket as msgspec has it."""

    label: Literal["bug", "billing"]
    urgent: bool
    why: str


@dataclasses.dataclass
class Record:
    """A ticket as a dataclass."""

    label: Literal["bug", "billing"]
    urgent: bool
    why: str


class Table(TypedDict):
    """A ticket as a typed dictionary."""

    label: Literal["bug", "billing"]
    urgent: bool
    why: str


class Model(pydantic.BaseModel):
    """A ticket as pydantic has it."""

    label: Literal["bug", "billing"]
    urgent: bool
    why: str


class Node(msgspec.Struct):
    """A type that holds itself."""

    name: str
    below: list[Node] = []


class Colour(enum.Enum):
    """Names for values."""

    RED = "red"


WRITTEN = {
    "type": "object",
    "properties": {"label": {"enum": ["bug", "billing"]}, "urgent": {"type": "boolean"}, "why": {"type": "string"}},
    "required": ["label", "urgent", "why"],
}

every_kind = pytest.mark.parametrize(
    ("given", "value"),
    [
        (Ticket, Ticket("bug", True, "it crashes")),
        (Record, Record("bug", True, "it crashes")),
        (Table, {"label": "bug", "urgent": True, "why": "it crashes"}),
        (Model, Model(label="bug", urgent=True, why="it crashes")),
        (WRITTEN, {"label": "bug", "urgent": True, "why": "it crashes"}),
        (SHORT, {"label": "bug", "urgent": True, "why": "it crashes"}),
    ],
    ids=["struct", "dataclass", "typed dictionary", "pydantic", "JSON schema", "short form"],
)


@every_kind
def test_a_fitting_reply_is_a_value_of_the_type_that_was_given(given, value):
    assert shape_of(given).read(f"Here:\n```json\n{TICKET}\n```") == value


@every_kind
def test_a_reply_that_does_not_fit_is_told_with_the_place(given, value):
    with pytest.raises(ReplyFormatError, match=r"does not fit the schema: .*(praise|'bug').* - at `\$\.label`"):
        shape_of(given).read(MISLABELLED)


@every_kind
def test_what_the_model_is_told_is_an_object_with_every_name(given, value):
    told = shape_of(given).schema
    assert told is not None
    assert told["type"] == "object"
    assert told["required"] == ["label", "urgent", "why"]


@pytest.mark.parametrize(
    ("given", "text", "value"),
    [
        (list[int], "[1, 2]", [1, 2]),
        ([str], '["a"]', ["a"]),
        (["yes", "no"], '"yes"', "yes"),
        (Literal["yes", "no"], '"no"', "no"),
        (int | None, "null", None),
        (Colour, '"red"', Colour.RED),
        ({"when": dt.date}, '{"when": "2026-01-02"}', {"when": dt.date(2026, 1, 2)}),
        ({"type": ["bug", "billing"]}, '{"type": "bug"}', {"type": "bug"}),
        ({"type": str}, '{"type": "x"}', {"type": "x"}),
        ({"lines": [{"n": int, "text": str | None}]}, '{"lines": [{"n": 1, "text": null}]}', None),
        ({"z": int, "a": {"z": bool}}, '{"z": 1, "a": {"z": true}}', None),
        (Node, '{"name": "a", "below": [{"name": "b"}]}', Node("a", [Node("b")])),
        ({}, "[1, null]", [1, None]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "3", 3),
    ],
    ids=repr,
)
def test_other_types_and_forms_are_read_too(given, text, value):
    found = shape_of(given).read(text)
    assert value is None or found == value


def test_the_short_form_keeps_its_order_since_models_answer_in_it():
    told = shape_of({"why": str, "label": ["b", "a"]}).schema
    assert told is not None
    assert list(told["properties"]) == told["required"] == ["why", "label"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "a schema must be a class"),
        ("Ticket", "got 'Ticket'"),
        ([], "a schema must be"),
        ({"label": []}, "label: a schema must be"),
        ({"a": 3}, "a: a schema must be"),
        ({1: str}, "has names as keys"),
        ({"a": complex}, "no schema can be made of"),
        (object, "no schema can be made of"),
        (len, "a schema must be a class"),
        ({"type": "objekt"}, "a schema must be"),
        ({"type": "object", "properties": 5}, "this is no JSON schema: $.properties"),
        ({"$ref": "https://elsewhere.example/schema"}, "refers to another document"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "refers to another document"),
    ],
    ids=repr,
)
def test_what_is_no_schema_is_refused_in_one_line(given, says):
    with pytest.raises(UsageProblem) as caught:
        shape_of(given)
    assert says in str(caught.value)


def test_a_schema_that_lacks_what_it_refers_to_is_told_and_nothing_is_fetched():
    with pytest.raises(ReplyFormatError, match="refers to what it does not hold"):
        shape_of({"properties": {"a": {"$ref": "#/$defs/none"}}}).read('{"a": 1}')
