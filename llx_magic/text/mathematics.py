r"""LaTeX in a model's Markdown: kept for the front end to typeset, unless it holds a command that does more than draw.

A front end typesets whatever stands between dollars in the finished page, so Markdown must neither change a formula
(``_`` and ``\\`` mean something in both) nor leave a dollar that only looks like the start of one.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from llx_magic.text.bounds import SOURCE

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

LONGEST = 4000
"""Characters between two delimiters; beyond it they are not taken for a pair, so that reading stays fast."""

MOST_LINES = 100
"""Lines of one displayed formula."""

_IN_DOLLARS = re.compile(rf"\$(?![\s$])(?:\\.|[^\\$]){{1,{LONGEST}}}?(?<!\s)\$(?!\d)", re.DOTALL)
"""A dollar before a blank, or after one, or before a digit is money: the rule of pandoc
(https://pandoc.org/MANUAL.html#extension-tex_math_dollars).
"""

_CLOSING = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}

_ENVIRONMENT = re.compile(r"\\begin(\{[A-Za-z]+\*?\})")

# Links and attributes: the typesetter's own filter lets file:, ms-word: and a javascript: with a tab in it pass
# (https://docs.mathjax.org/en/latest/options/safe.html).
# Definitions hold for the whole page, so a reply could change what the user's other formulas show.
_NOT_DRAWING = re.compile(
    r"\\(?:href|url|mmlToken|class|style|cssId|data|unicode|require|texttip|mathtip|toggle|includegraphics|html[A-Za-z]*"
    r"|[gex]?def|let|(?:re|provide)?newcommand|(?:re|provide)command|(?:re)?newenvironment|renewenvironment|Newextarrow"
    r"|(?:re)?newtagform|renewtagform|usetagform|mathtoolsset|definecolor|Declare[A-Za-z]+|label)(?![A-Za-z])"
)


def read_mathematics(parser: MarkdownIt) -> None:
    """Have the parser keep formulas as they are, and keep all other text from being taken for one."""
    parser.block.ruler.before("fence", "formula_block", _block, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "formula", _inline)
    parser.add_render_rule("formula_block", lambda _self, tokens, at, *_rest: f"<p>{_shown(tokens[at])}</p>\n")
    parser.add_render_rule("formula", lambda _self, tokens, at, *_rest: _shown(tokens[at]))
    parser.add_render_rule("text", lambda _self, tokens, at, *_rest: without_formulas(html.escape(tokens[at].content)))


def without_formulas(escaped: str) -> str:
    """Return escaped text in which the typesetter finds nothing: each of its marks stands in an element of its own.

    https://docs.mathjax.org/en/stable/input/tex/delimiters.html
    """
    return re.sub(r"[$\\]", r"<span>\g<0></span>", escaped)


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the parser calls it so
    if state.src[state.pos] not in "$\\":
        return False
    end = _end(state.src, state.pos, state.posMax)
    if end is None:
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _end(text: str, start: int, limit: int) -> int | None:
    """Return where the formula that starts here ends, or None where none does."""
    opening, closing = _delimiters(text, start)
    if not opening:
        found = _IN_DOLLARS.match(text, start, limit)
        return found.end() if found else None
    end = text.find(closing, start + len(opening) + 1, min(limit, start + LONGEST))
    return None if end < 0 else end + len(closing)


def _delimiters(text: str, start: int) -> tuple[str, str]:
    if environment := _ENVIRONMENT.match(text, start):
        return environment[0], f"\\end{environment[1]}"
    opening = text[start : start + 2]
    return (opening, _CLOSING[opening]) if opening in _CLOSING else ("", "")


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - the parser calls it so
    opening, closing = _delimiters(state.src, state.bMarks[start] + state.tShift[start])
    if opening in ("", "\\(") or state.is_code_block(start):
        return False
    for line in range(start, min(end, start + MOST_LINES)):
        if state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            return False
        begin = state.bMarks[line] + (state.tShift[line] + len(opening) if line == start else 0)
        if not state.src[begin : state.eMarks[line]].rstrip().endswith(closing):
            continue
        text = state.getLines(start, line + 1, state.blkIndent, False).strip()  # noqa: FBT003 - its own signature
        if _end(text, 0, len(text)) != len(text):
            return False
        if not silent:
            token = state.push("formula_block", "", 0)
            token.content, token.map = text, [start, line + 1]
        state.line = line + 1
        return True
    return False


def _shown(formula: Token) -> str:
    tag = "code" if SOURCE in formula.meta or _NOT_DRAWING.search(formula.content) else "span"
    return f"<{tag}>{html.escape(formula.content)}</{tag}>"
