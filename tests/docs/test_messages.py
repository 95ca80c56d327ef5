"""What the documentation says of messages, variables and rooms is what the code says, reads and keeps."""

from __future__ import annotations

import ast
import configparser
import http
import re

from tests.docs.pages import ROOT, Page

TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "llx_magic").rglob("*.py"))]

TEXTS = [
    node.value
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
]

STATUSES = {f"{status.value} {status.phrase}" for status in http.HTTPStatus}


def first_cells(page: Page) -> list[str]:
    """Return the pieces of code in the first column of the page's tables that are headed "message"."""
    found, column, wanted = [], 0, False
    for token in page.tokens:
        if token.type in ("tr_open", "td_open", "th_open"):
            column = 0 if token.type == "tr_open" else column + 1
        elif token.type == "inline" and column == 1:
            children = token.children or []
            if children and children[0].content in ("message", "symptom"):
                wanted = children[0].content == "message"
            elif wanted:
                found += [child.content for child in children if child.type == "code_inline"]
    return found


def is_said(message: str) -> bool:
    """Whether each part of the message that is no placeholder stands in one text of the code."""
    parts = [part.strip(" :()") for part in message.split("…") if len(part.strip(" :()")) > 3]
    return message in STATUSES or all(any(part in text for text in TEXTS) for part in parts)


def test_every_message_that_troubleshooting_explains_can_be_met() -> None:
    messages = first_cells(Page(ROOT / "docs" / "troubleshooting.md"))
    assert len(messages) > 50
    assert [message for message in messages if not is_said(message)] == []


def test_the_table_of_variables_has_each_of_ours_and_no_other() -> None:
    """A variable whose name begins as ours do is in the table where the code reads it, and only there."""
    read = {name for text in TEXTS for name in re.findall(r"^(?:LLX|LLXPRT)_[A-Z_]+$", text)}
    described = set(re.findall(r"`((?:LLX|LLXPRT)_[A-Z_]+)`", (ROOT / "docs" / "environment.md").read_text("utf-8")))
    assert described == read


def test_the_table_of_rooms_is_that_of_the_import_contract() -> None:
    """Each row holds the packages and modules of one layer, in the order of the layers."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where things are")[2]
    rows = re.findall(r"^\| (`[^|]+) \|", page.partition("## Glossary")[0], re.MULTILINE)
    rooms = [{name.removesuffix("/").removesuffix(".py") for name in re.findall(r"`([^`]+)`", row)} for row in rows]
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]["layers"].split("\n")
    assert rooms == [{name.strip() for name in layer.split("|")} for layer in layers if layer.strip()]
