"""Bounds on what of a reply is drawn, so that no reply can hold up the page or end it.

A front end lays out and typesets in one go, on the thread that also serves the user's other notebooks. What costs more
than the bounds is shown as its source, which costs next to nothing, and a line says so.

The figures come from JupyterLab 4.6 in Chromium on two cores, where one plain element takes about 25 microseconds, an
element of a typeset formula up to 110, a heading (which the table of contents lists) 2,000, and where formulas nested
100 deep ended the tab.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

LONGEST_DRAWN = 256 * 1024
"""How many characters of Markdown are read as Markdown; a longer text is shown as it is."""

LONGEST_SHOWN = 1024 * 1024
"""How many characters of one text are shown at all; a line says how many more there are."""

LONGEST_COLOURED = 20_000
"""How many characters of one piece of code get colours: a short token of code becomes an element of its own."""

COLOURING_SECONDS = 0.5
"""Processor time that the colours of one reply's code may take."""

MOST_COST = 40_000
"""What the blocks of one reply may cost, in plain elements: about one second."""

MOST_LIVE_COST = 10_000
"""The same while a reply is still being redrawn."""

DEEPEST_FORMULA = 25
"""How deep braces, environments and changes of style may be nested in a formula."""

HEADING_COST = 200
ITEM_COST = 3
"""What a cell of a table or an item of a list costs, whose place depends on its neighbours'."""

FORMULA_COST = 35
TYPESET_COST = 13
"""What a token of LaTeX costs: about three elements, each as dear as four plain ones."""

CHEMISTRY_FACTOR = 3
"""How many times as many elements a chemical formula makes of its tokens."""

LINK_LETTERS = 50
"""How many letters of a link's address and title cost as much as an element: Markdown writes an address once and links
to it a thousand times."""

UNBROKEN = 50
"""Characters without a blank after which a line may be broken where its layout takes longer than linear time: in the
scripts of ``_SLOW_SCRIPT``, and where it is made of many pieces."""

MOST_PIECES = 1000
"""Pieces within lines, such as code and emphasis, of a page whose lines are not broken."""

MOST_TURNS = 1000
"""Changes between writing directions that one paragraph may have."""

SOURCE = "source"
"""The type of a token that is shown as its source; also the mark on a formula that is not typeset."""

LEFT_OUT = "left_out"
"""The type of the token that stands for the line which says so."""

_REPEATED = re.compile(r"(?:at\*?\}\s*(?:\[[^\]]*\]\s*)?|\*\s*)\{\s*([0-9]+)")
r"""A number of columns: what ``\begin{alignat}{9}`` and the ``*{9}{c}`` of an array make so many of."""

_LATEX_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|[^\s\\]", re.DOTALL)
_CHANGES_STYLE = re.compile(
    r"\\(?:color|displaystyle|textstyle|scriptstyle|scriptscriptstyle|tiny|Tiny|scriptsize|small|normalsize|large|Large"
    r"|LARGE|huge|Huge|rm|it|bf|sf|tt|cal|oldstyle|mit|bbFont|scr|frak|mathversion|over|atop|choose|above|brace|brack"
    r"|overwithdelims|atopwithdelims|abovewithdelims)"
)
"""Commands that enclose all that follows them up to the end of their group: each is one level of nesting."""

_OPENS = frozenset(("{", "\\left", "\\begin", "\\bgroup", "\\(", "\\["))
_CLOSES = frozenset(("}", "\\right", "\\end", "\\egroup", "\\)", "\\]"))

_SLOW_SCRIPT = re.compile(
    r"[\u0300-\u036f\u0590-\u1cff\u1dc0-\u1dff\u200e\u200f\u20d0-\u20ff\ua800-\uabff\ufb1d-\ufdff\ufe20-\ufe2f"
    r"\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_RTL = r"\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff"
_TURN = re.compile(rf"[{_RTL}]+([^{_RTL}]*)")
"""Text from right to left, and what follows it up to the next such text."""

_TAG = re.compile(r"(<[^>]*>)")
_LETTER = re.compile(r"&[#A-Za-z0-9]{1,12};|.", re.DOTALL)
_PIECE = re.compile(r"</(?:a|code|del|em|s|strong)>")
_NO_BREAK = frozenset("\u00a0\u2007\u202f")
"""Blanks at which no line is broken."""

_INLINE_TAG = re.compile(r"</?(?:a|code|del|em|s|span|strong)\b")


class Budget:
    """What one reply may still cost; ``left_out`` counts what was not drawn."""

    def __init__(self, cost: int) -> None:
        self.left = cost
        self.left_out = 0

    def take(self, cost: int) -> bool:
        """Spend the cost and return True, or return False where it is more than what is left."""
        if cost > self.left:
            return False
        self.left -= cost
        return True


def keep_within_bounds(state: StateCore, most: int) -> None:
    """Replace what would cost too much by its source; a rule for the end of markdown-it's chain.

    Blocks are taken in order, each as a whole. A formula that is nested too deep is shown as source by itself.
    """
    from markdown_it.token import Token

    budget = Budget(most)
    lines = state.src.split("\n")
    kept: list[Token] = []
    for block in _blocks(state.tokens):
        if budget.take(sum(_cost(token, budget) for token in block)):
            kept += block
        else:
            budget.left_out += 1
            begin, end = block[0].map or (0, 0)
            source = "\n".join(lines[begin:end])
            if kept and kept[-1].type == SOURCE:
                kept[-1].content += f"\n{source}"
            else:
                kept.append(Token(SOURCE, "", 0, content=source))
    if budget.left_out:
        kept.append(Token(LEFT_OUT, "", 0))
    state.tokens = kept


def _blocks(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each block of the outermost level."""
    block: list[Token] = []
    depth = 0
    for token in tokens:
        block.append(token)
        depth += token.nesting
        if depth == 0:
            yield block
            block = []


def _cost(token: Token, budget: Budget) -> int:
    content = token.content
    match token.type:
        case "inline":  # its text is no element of its own
            cost = sum(_cost(child, budget) for child in token.children or ())
        case "heading_open":
            cost = HEADING_COST
        case "td_open" | "th_open" | "list_item_open":
            cost = ITEM_COST
        case "link_open":
            cost = 1 + sum(len(str(each)) for each in token.attrs.values()) // LINK_LETTERS
        case "fence":
            cost = 1 + len(content) // 4 if token.info and len(content) <= LONGEST_COLOURED else 1
        case "formula" | "formula_block":
            if is_too_deep(content):
                token.meta[SOURCE] = True
                budget.left_out += 1
                return 1
            cost = typesetting_cost(content)
        case "text":
            cost = 3 * (content.count("$") + content.count("\\"))
        case _:
            cost = int(token.nesting >= 0 and not token.hidden)
    return cost


def typesetting_cost(formula: str) -> int:
    """Return what typesetting the formula costs, in plain elements."""
    tokens = sum(1 for _ in _LATEX_TOKEN.finditer(formula)) + sum(map(int, _REPEATED.findall(formula)))
    factor = CHEMISTRY_FACTOR if "\\ce" in formula or "\\pu" in formula else 1
    return FORMULA_COST + TYPESET_COST * factor * tokens


def is_too_deep(formula: str) -> bool:
    """Return whether the formula is nested deeper than ``DEEPEST_FORMULA``.

    MathJax goes down one level of the call stack, and a browser's layout another, for each group, environment and
    change of style; the tab ends where the stack does.
    """
    depth, outer = 0, list[int]()
    for found in _LATEX_TOKEN.finditer(formula):
        token = found[0]
        if token in _OPENS:
            outer.append(depth)
            depth += 1
        elif token in _CLOSES:
            depth = outer.pop() if outer else 0
        elif _CHANGES_STYLE.fullmatch(token):
            depth += 1
        if depth > DEEPEST_FORMULA:
            return True
    return False


def shortened(text: str) -> tuple[str, str]:
    """Return what of a text is shown, and the remark on what is not: an empty one where all is."""
    if len(text) <= LONGEST_SHOWN:
        return text, ""
    more = f"{len(text) - LONGEST_SHOWN:,} more characters are not shown; the reply's text has them"
    return text[:LONGEST_SHOWN], more


def breakable(page: str) -> str:
    """Return the HTML with places to break a line in words whose layout takes more than linear time.

    Chromium breaks Thai by a dictionary, shapes stacked marks together and orders the runs of a paragraph that mixes
    directions; with 64,000 characters each took from ten seconds to minutes. 16,000 pieces of code without a blank
    between them took three seconds. A paragraph that changes its direction more often than any text does is shown from
    left to right (https://html.spec.whatwg.org/multipage/text-level-semantics.html#the-wbr-element, and ``bdo`` there).
    """
    if not _SLOW_SCRIPT.search(page) and len(_PIECE.findall(page)) <= MOST_PIECES:
        return page
    pieces: list[str] = []
    word = turns = 0
    for number, piece in enumerate(_TAG.split(page)):
        if number % 2:  # a tag
            word, turns = (word, turns) if _INLINE_TAG.match(piece) else (0, 0)
            pieces.append(piece)
            continue
        turns += sum(any(map(str.isalnum, found[1])) for found in _TURN.finditer(piece))
        broken, word = _broken(piece, word)
        pieces.append(f'<bdo dir="ltr">{broken}</bdo>' if turns > MOST_TURNS else broken)
    return "".join(pieces)


def _broken(text: str, word: int) -> tuple[str, int]:
    """Return the text with its breaks, and the length of its last word; ``word`` is that of the word before it."""
    pieces: list[str] = []
    for letter in _LETTER.findall(text):
        word = 0 if letter.isspace() and letter not in _NO_BREAK else word + 1
        pieces.append(f"{letter}<wbr>" if word and word % UNBROKEN == 0 else letter)
    return "".join(pieces), word
