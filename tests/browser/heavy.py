"""Replies of up to 64 KB that would hold up a browser, or end its tab, if they were drawn as they ask."""

from __future__ import annotations

SIZE = 64 * 1024


def fill(unit: str, size: int = SIZE, *, head: str = "") -> str:
    """Return ``head`` and as many units as fit."""
    return head + unit * ((size - len(head)) // len(unit))


def nested(opening: str, closing: str, depth: int) -> str:
    """Return one formula of nested groups."""
    return f"$${opening * depth}x{closing * depth}$$"


HEAVY = {
    "roots 400 deep": nested("\\sqrt{", "}", 400),
    "fractions 300 deep": nested("\\frac{a}{", "}", 300),
    "fractions 100 deep": nested("\\frac{a}{", "}", 100),
    "brackets 250 deep": nested("\\left(", "\\right)", 250),
    "environments 120 deep": nested("\\begin{cases}a\\\\", "\\end{cases}", 120),
    "over 300 deep": nested("{1\\over ", "}", 300),
    "390 changes of colour": nested("\\color{red}", "", 390),
    "390 changes of size": nested("\\large\\small", "", 390),
    "16,000 formulas": fill("$a$ "),
    "4,000 fractions": fill("$\\frac{a_1}{b}$ "),
    "9,000 displayed formulas": fill("$$a$$\n\n"),
    "16 long formulas": fill("$" + "a+" * 1990 + "b$ "),
    "arrays of cells": fill("$$\\begin{array}{c}" + "a&" * 1900 + "\\end{array}$$\n\n"),
    "arrays of rows": fill("\\begin{matrix}" + "a\\\\" * 900 + "\\end{matrix}\n\n"),
    "a long chemical formula": "$\\ce{" + "H2O + " * 600 + "}$",
    "a table of 29,000 cells": fill("|a|b|c|d|e|f|g|h|\n", head="|a|b|c|d|e|f|g|h|\n" + "|-" * 8 + "|\n"),
    "a table whose rows are filled up": "|" + "a|" * 8000 + "\n|" + "-|" * 8000 + "\n" + "|x|\n" * 4000,
    "16,000 list items": fill("- a\n"),
    "lists in lists": "".join("  " * depth + "- a\n" for depth in range(250)),
    "quotes in quotes": fill(">"),
    "lists in quotes": fill("> - a\n\n"),
    "16,000 headings": fill("# a\n"),
    "16,000 emphases": fill("*a* "),
    "11,000 strong": fill("**a**b"),
    "16,000 pieces of code": fill("`a` "),
    "13,000 code blocks": fill("```\na\n```\n"),
    "code of short tokens": "```python\n" + fill("x+1;") + "\n```",
    "code that a lexer searches to its end": fill("```java\n" + "a\n" * 1200 + "```\n"),
    "JSON 30,000 deep": "```json\n" + "[" * 30000 + "]" * 30000 + "\n```",
    "a formula of ten million columns": "$\\begin{alignat}{9999999}a\\end{alignat}$",
    "10,000 links to one long address": "[a]: http://x/" + fill("y", 20000) + "\n\n" + fill("[a] ", 40000),
    "10,000 links with one long title": '[a]: http://x "' + fill("y", 20000) + '"\n\n' + fill("[a] ", 40000),
    "pieces of code without a blank": fill("`a`b"),
    "pieces of code between blanks that do not break": fill("`a`\u00a0", SIZE // 5 * 4),
    "3,000 links": fill("<https://a.example/> "),
    "4,000 images": fill("![a](http://a.example) "),
    "65,000 dollars": fill("$"),
    "brackets without an end": fill("["),
    "stars without an end": fill("***a"),
    "Thai without a blank": fill("\u0e01\u0e32"),
    "Burmese without a blank": fill("\u1000"),
    "65,000 marks on a letter": "a" + "\u0301" * (SIZE - 1),
    "Hebrew and digits without a blank": fill("\u05d01"),
    "Arabic and Latin without a blank": fill("\u0627b"),
    "Hebrew and Latin in words": fill("\u05d0 b 1 "),
    "Arabic and Latin as code": "```\n" + fill("\u0627b") + "\n```",
    "one word of 65,000 letters": fill("x"),
    "4 MB of text": fill("word ", 4 * 2**20),
}  # fmt: skip
"""By what they are."""
