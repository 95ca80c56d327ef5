"""Lines that IPython must hand over as they are: a prompt that ends in a question mark is not a request for help."""

from __future__ import annotations

import re

_PLACE = r"""[^\W\d][\w.]*(?:\[(?:-?\w+|'[^'\\]*'|"[^"\\]*")\])*"""
_TARGET = rf"{_PLACE}(?:\s*,\s*{_PLACE})*(?:\s*:\s*{_PLACE})?\s*=\s*"
_OURS = re.compile(rf"^(\s*)({_TARGET})?%(llx|llx_set)[ \t]+(\S.*)$")
_TRIPLE = re.compile(r"'''|\"\"\"")
_STRING_OR_COMMENT = re.compile(r"""'''|\"\"\"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|#.*""")


def hand_over_prompts(lines: list[str]) -> list[str]:
    """Rewrite the lines of ``%llx`` and ``%llx_set`` into calls, so that nothing else of IPython interprets them.

    A statement's value becomes None, since its reply has been displayed already. (A semicolon would do that only in
    cells that IPython puts into its history.) Lines inside a multi-line string, and everything below a cell magic, stay
    as they are.
    """
    if lines and lines[0].startswith("%%"):
        return _hand_over_empty_cell(lines)
    rewritten = []
    inside: str | None = None
    for line in lines:
        match = _OURS.match(line.rstrip("\n")) if inside is None else None
        if match is None:
            inside = _string_left_open(line, inside)
            rewritten.append(line)
            continue
        indent, target, magic, text = match.groups()
        end = "" if target else " and None"
        rewritten.append(f"{indent}{target or ''}get_ipython().run_line_magic({magic!r}, {text.rstrip()!r}){end}\n")
    return rewritten


def _hand_over_empty_cell(lines: list[str]) -> list[str]:
    """Let ``%%llx`` itself say that its prompt is empty, in an error that stops Run All."""
    match = re.match(r"%%llx\b(.*)$", lines[0].rstrip("\n"))
    if match is None or "".join(lines[1:]).strip() or match[1].strip().endswith("?"):
        return lines
    return [f"get_ipython().run_cell_magic('llx', {match[1].strip()!r}, '\\n')\n"]


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
