"""Rewrites ``%llx …`` lines into calls before IPython takes a trailing ``?`` for a request for help."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PLACE = r"""[^\W\d][\w.]*(?:\[(?:-?\w+|'[^'\\]*'|"[^"\\]*")\])*"""
_TARGET = rf"{_PLACE}(?:\s*,\s*{_PLACE})*(?:\s*:\s*{_PLACE})?\s*=\s*"
_OURS = re.compile(rf"^(\s*)({_TARGET})?%(llx|llx_set)[ \t]+(\S.*)$")
_EMPTY_CELL = re.compile(r"(get_ipython\(\)\.run_cell_magic\('llx(?:_map)?', .*, )''\)")
_TRIPLE = re.compile(r"'''|\"\"\"")
_STRING_OR_COMMENT = re.compile(r"""'''|\"\"\"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|#.*""")


def hand_over_prompts(lines: list[str]) -> list[str]:
    """Rewrite the lines of ``%llx`` and ``%llx_set`` into calls, so that IPython does not interpret their text.

    IPython calls this before its own transformations:
    https://ipython.readthedocs.io/en/stable/config/inputtransforms.html

    A statement's value becomes None, since its reply has been displayed already. (A semicolon would do that only in
    cells that IPython puts into its history.) A backslash at the end continues a line. Lines inside a multi-line
    string, and everything below a cell magic, stay as they are.
    """
    if lines and lines[0].startswith("%%"):
        return lines
    rewritten = []
    inside: str | None = None
    rest = iter(lines)
    for line in rest:
        match = _OURS.match(line.rstrip("\n")) if inside is None else None
        if match is None:
            inside = _string_left_open(line, inside)
            rewritten.append(line)
            continue
        indent, target, magic, first = match.groups()
        text, joined = _with_continuations(first.rstrip(), rest)
        end = "" if target else " and None"
        rewritten.append(f"{indent}{target or ''}get_ipython().run_line_magic({magic!r}, {text!r}){end}\n")
        rewritten += ["\n"] * joined  # keeps the line numbers of errors further down
    return rewritten


def taken_for_help(cell: str) -> str | None:
    """Return the first prompt in a cell that IPython takes for a call for help where nothing rewrites it before."""
    lines = cell.splitlines(keepends=True)
    changed = (line.strip() for line, ours in zip(lines, hand_over_prompts(lines), strict=True) if line != ours)
    return next((line for line in changed if line.endswith("?")), None)


def hand_over_empty_cells(lines: list[str]) -> list[str]:
    """Let ``%%llx`` and ``%%llx_map`` say themselves that their prompt is empty, in an error that stops Run All.

    It changes the call that IPython has made of the cell: whether a cell is complete is asked of the cell itself.
    """
    match = _EMPTY_CELL.fullmatch("".join(lines).rstrip("\n"))
    return lines if match is None else [f"{match[1]}'\\n')\n"]


def _with_continuations(text: str, rest: Iterator[str]) -> tuple[str, int]:
    """Return the text with the lines that its backslashes continue it on, and how many those are."""
    joined = 0
    while text.endswith("\\") and (line := next(rest, None)) is not None:
        text = f"{text[:-1].rstrip()} {line.strip()}"
        joined += 1
    return text.rstrip(), joined


def _string_left_open(line: str, inside: str | None) -> str | None:
    """Return the triple quote that is open at the end of the line, or None."""
    at = 0
    while True:
        if inside is not None:
            end = line.find(inside, at)
            if end < 0:
                return inside
            at, inside = end + 3, None
        match = _STRING_OR_COMMENT.search(line, at)
        if match is None:
            return None
        at = match.end()
        if _TRIPLE.fullmatch(match[0]):
            inside = match[0]
