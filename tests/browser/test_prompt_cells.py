"""How prompt cells are coloured in JupyterLab while they are written, and that nothing else changes by it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PYTHON = 'def double(each):  # a remark\n    return each.size * 2 + len("word")'
PROMPT = """%%llx -s "Be *brief*." -o kept
# A heading

What is def in **{{ rows[0].size * 2 + len("word") }}** and {{ rows[0][1] }}, or {{ not closed?

```python
def double(each):  # a remark
```

```
{{ each.size }}
```"""
MAP = "%%llx_map rows -o rated\nRate *this*: {{ row.size }}"

WORDS = """cell => {
    const walk = document.createTreeWalker(cell.querySelector('.cm-content'), NodeFilter.SHOW_TEXT), found = [];
    while (walk.nextNode()) {
        const parent = walk.currentNode.parentElement;
        found.push([walk.currentNode.data.trim(), parent.className === 'cm-line' ? '' : parent.className]);
    }
    return found;
}"""
"""The words of a cell with the class that each is in, which has its colour; "" for plain text."""


def words(cell: Locator) -> list[tuple[str, str]]:
    return [(text, name) for text, name in cell.evaluate(WORDS) if text]


def test_a_prompt_cell_is_markdown_with_python_in_its_expressions_and_the_file_does_not_know(lab: LabPage) -> None:
    notebook = lab.open("prompts.ipynb", [PYTHON, PROMPT, MAP])
    code, prompt, mapped = (notebook.cell(index) for index in range(3))
    for cell in (code, prompt):  # the languages are loaded when they are first needed
        expect(cell.locator("span", has_text=re.compile("^# a remark$"))).to_have_count(1)
    expect(prompt.locator(".llx-expression")).to_have_count(3)
    expect(mapped.locator(".llx-expression")).to_have_count(1)
    python, seen = dict(words(code)), words(prompt)
    assert seen[0] == ("%%llx", python["def"])
    assert ('"Be *brief*."', python['"word"']) in seen
    assert seen.count(("def", python["def"])) == 1  # in the fenced block; the one in the sentence is text
    assert seen.count(("size", python["size"])) == 2  # in the sentence, and in a block of no language
    assert {("*", python["*"]), ("2", python["2"]), ('"word"', python['"word"'])} < set(seen)
    assert ("# a remark", python["# a remark"]) in seen
    assert dict(seen)["A heading"] not in {"", *python.values()}
    assert dict(words(mapped))["this"] not in {"", *python.values()}
    assert "llx-" not in code.inner_html()
    saved = notebook.save().cells
    assert [(each.cell_type, each.source, each.metadata) for each in saved] == [
        ("code", source, {}) for source in (PYTHON, PROMPT, MAP)
    ]
    assert not lab.errors


def test_a_cell_changes_its_colours_while_its_command_is_typed_and_is_commented_out_as_code(lab: LabPage) -> None:
    notebook = lab.open("switch.ipynb", ["# **A heading** of {{ rows.size }}"])
    cell, keys = notebook.cell(0), notebook.page.keyboard
    expect(cell.locator(".cm-line span")).to_have_count(1)
    remark = words(cell)
    cell.locator(".cm-content").click()
    keys.press("Control+Home")
    keys.type("%%llx\n")
    expect(cell.locator(".llx-expression")).to_have_count(1)
    prompt = words(cell)
    assert {name for _, name in prompt}.isdisjoint(name for _, name in remark)
    keys.press("Control+a")
    keys.press("Control+/")
    expect(cell.locator(".llx-expression")).to_have_count(0)
    expect(cell.locator(".cm-line")).to_have_text(["# %%llx", "# # **A heading** of {{ rows.size }}"])
    keys.press("Control+/")
    expect(cell.locator(".llx-expression")).to_have_count(1)
    assert words(cell) == prompt
    keys.press("Control+Home")
    keys.press("Shift+ArrowDown")
    keys.press("Delete")
    expect(cell.locator(".llx-expression")).to_have_count(0)
    assert words(cell) == remark
    assert not lab.errors
