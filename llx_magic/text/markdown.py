"""A model's Markdown as HTML that cannot run, load or overlay anything.

JupyterLab trusts the output of an executed cell
(https://jupyter-server.readthedocs.io/en/stable/operators/security.html#security-in-notebook-documents), so what is put
into ``text/html`` must be harmless by itself: Markdown is read without raw HTML, images become links, and an allow-list
goes over the result.
"""

from __future__ import annotations

import functools
import html
import itertools
import operator
import re
import time
from typing import TYPE_CHECKING, cast

from llx_magic.text import bounds
from llx_magic.text.mathematics import read_mathematics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markdown_it.utils import OptionsType
    from pygments.lexer import Lexer

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip

_SCHEMES = {"http", "https", "mailto"}

# A link without a host would lead into the user's own JupyterLab: /logout, or a file beside the notebook.
_ABROAD = re.compile(r"https?://[^/\\?#]|mailto:", re.IGNORECASE)

# Keys are Pygments' token types from general to special; values are what JupyterLab themes colour their editor with,
# each with a colour for front ends that have no such variable.
_COLOURS = (
    ("Comment", "var(--jp-mirror-editor-comment-color, #408080)"),
    ("Keyword", "var(--jp-mirror-editor-keyword-color, #008000)"),
    ("Literal.String", "var(--jp-mirror-editor-string-color, #ba2121)"),
    ("Literal.Number", "var(--jp-mirror-editor-number-color, #080)"),
    ("Operator.Word", "var(--jp-mirror-editor-keyword-color, #008000)"),
    ("Operator", "var(--jp-mirror-editor-operator-color, #7800c2)"),
    ("Name.Builtin", "var(--jp-mirror-editor-builtin-color, #008000)"),
    ("Name.Function", "var(--jp-mirror-editor-def-color, #00f)"),
    ("Name.Class", "var(--jp-mirror-editor-def-color, #00f)"),
    ("Name.Tag", "var(--jp-mirror-editor-tag-color, #170)"),
    ("Name.Attribute", "var(--jp-mirror-editor-attribute-color, #00c)"),
)

_ALIGNMENTS = {f"text-align:{side}" for side in ("left", "center", "right")}
_STYLES = {f"color:{colour}" for _kind, colour in _COLOURS} | _ALIGNMENTS


TOO_LONG = "shown as it was written: so long a text is not read as Markdown"
LEFT_OUT = "some of it is shown as it was written: drawing it would hold up the page"


def markdown_to_html(text: str, *, coloured: bool = True) -> str:
    """Return the Markdown as safe HTML: no raw HTML, no script, no remote image, links only to the web and mail.

    Code is ``coloured`` by default, which makes its HTML several times as long and takes most of the time. What a
    front end could not draw soon is shown as its source, and a line below says so (``bounds``).
    """
    import nh3
    from markdown_it.utils import OptionsDict

    if len(text) > bounds.LONGEST_DRAWN:
        return f"{_as_source(text)}{_remark(TOO_LONG)}"
    parser = _parser(coloured=coloured)
    # The parser is shared; the time for colours is this text's own.
    options = OptionsDict(cast("OptionsType", dict(parser.options)))
    options["highlight"] = Colouring().highlight if coloured else None
    cleaned = nh3.clean(
        parser.renderer.render(parser.parse(text), options, {}),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}, "span": {"style"}, "td": {"style"}, "th": {"style"}},
        attribute_filter=_keep_attribute,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )
    return bounds.breakable(cleaned)


def contained(page: str) -> str:
    """Return a reply's HTML in an element beyond which it cannot draw.

    A formula may raise and lower boxes of any size and colour, over the line that says who answered, or over the
    output of other cells where the front end does not cut it off.
    """
    return f'<div style="overflow:auto hidden">{page}</div>'


def code_to_html(code: str, language: str, *, coloured: bool = True) -> str:
    """Return code as a block of safe HTML."""
    if not coloured or len(code) > bounds.LONGEST_COLOURED:
        return _as_source(code)
    return bounds.breakable(f"<pre><code>{Colouring().highlight(code, language)}</code></pre>")


def _as_source(text: str) -> str:
    shown, remark = bounds.shortened(text)
    return bounds.breakable(f"<pre><code>{html.escape(shown)}</code></pre>") + (_remark(remark) if remark else "")


def _remark(text: str) -> str:
    return f"<p><em>{html.escape(text)}</em></p>\n"


def _keep_attribute(_tag: str, name: str, value: str) -> str | None:
    if name == "href":
        return value if _ABROAD.match(value) else None
    return value if name != "style" or value in _STYLES else None


@functools.cache
def _parser(*, coloured: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    # https://github.com/markdown-it/markdown-it/blob/master/docs/security.md
    parser = MarkdownIt("commonmark", {"html": False})
    parser.enable(["table", "strikethrough"])
    read_mathematics(parser)
    parser.core.ruler.push("images_become_links", lambda state: _images_to_links(state.tokens))
    most = bounds.MOST_COST if coloured else bounds.MOST_LIVE_COST
    parser.core.ruler.push("bounds", lambda state: bounds.keep_within_bounds(state, most))
    parser.add_render_rule(bounds.SOURCE, lambda _self, tokens, at, *_rest: _as_source(tokens[at].content))
    parser.add_render_rule(bounds.LEFT_OUT, lambda *_rest: _remark(LEFT_OUT))
    return parser


def _images_to_links(tokens: list[Token]) -> None:
    """Make each image a link to it; one inside a link becomes that link's text, since links cannot be nested."""
    from markdown_it.token import Token

    for token in tokens:
        if not token.children:
            continue
        children: list[Token] = []
        links = 0
        for child in token.children:
            links += child.nesting if child.type in ("link_open", "link_close") else 0
            if child.type != "image":
                children.append(child)
                continue
            label = _plain(child.children or ()).strip()
            source = str(child.attrs.get("src", ""))
            if links:
                children.append(Token("text", "", 0, content=label or f"image: {source}"))
                continue
            opened = Token("link_open", "a", 1, attrs={"href": source})
            text = Token("text", "", 0, content=f"image: {label or source}")
            children += [opened, text, Token("link_close", "a", -1)]
        token.children = children


def _plain(tokens: Iterable[Token]) -> str:
    """Return the text of an image's label, without its Markdown."""
    return "".join(
        " " if token.type.endswith("break") else _plain(token.children) if token.children else token.content
        for token in tokens
    )


class Colouring:
    """Gives the code of one reply its colours, as long as that takes no more than ``bounds.COLOURING_SECONDS``.

    Many of Pygments' lexers look ahead to the end of the code at each of its tokens, and which ones do so depends on
    the text; so it is the time that is bounded, the processor's own, which other programs do not lengthen.
    """

    def __init__(self) -> None:
        self._left = bounds.COLOURING_SECONDS

    def highlight(self, code: str, language: str, _attributes: str = "") -> str:
        """Return the code as HTML, without colours where the language is unknown or the time is up."""
        from pygments.lexers import get_lexer_by_name
        from pygments.util import ClassNotFound

        if len(code) > bounds.LONGEST_COLOURED or self._left <= 0:
            return html.escape(code)
        try:
            lexer = get_lexer_by_name(language, stripnl=False)
        except ClassNotFound:
            return html.escape(code)
        pieces = self._pieces(code, lexer)
        return (
            html.escape(code)
            if pieces is None
            else "".join(
                _coloured(colour, "".join(piece for _same, piece in run))
                for colour, run in itertools.groupby(pieces, operator.itemgetter(0))
            )
        )

    def _pieces(self, code: str, lexer: Lexer) -> list[tuple[str | None, str]] | None:
        """Return the code in pieces, each with its colour; None where the time is up."""
        pieces = []
        until = time.thread_time() + self._left
        for kind, piece in lexer.get_tokens(code):
            pieces.append((_colour(str(kind)), piece))
            if time.thread_time() > until:
                self._left = 0.0
                return None
        self._left = until - time.thread_time()
        return pieces


@functools.cache
def _colour(kind: str) -> str | None:
    """Return the colour of one of Pygments' token types, of which there are about a hundred."""
    path = kind.removeprefix("Token.") + "."
    return next((colour for prefix, colour in _COLOURS if path.startswith(prefix + ".")), None)


def _coloured(colour: str | None, piece: str) -> str:
    escaped = html.escape(piece)
    return escaped if colour is None else f'<span style="color:{colour}">{escaped}</span>'
