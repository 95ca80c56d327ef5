"""The pages of the documentation, read as Markdown: their headings, links and blocks of code."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]

RUN = ("python", "ipython", "sh")
"""The languages of blocks that are run."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what its title says, its text, and the line where it begins."""

    language: str
    title: str
    text: str
    line: int

    @property
    def runs(self) -> bool:
        """Whether it can be run here; the title of one that cannot says what it needs."""
        return self.language in RUN and not self.title.startswith("needs ")


class Page:
    """A page of the documentation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(ROOT))

    @cached_property
    def tokens(self) -> list[Token]:
        return MarkdownIt("commonmark").enable("table").parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def inline(self) -> list[Token]:
        return [child for token in self.tokens for child in token.children or ()]

    @property
    def blocks(self) -> list[Block]:
        """Return the fenced blocks, in order."""
        found = []
        for token in self.tokens:
            if token.type == "fence":
                language, _, rest = token.info.strip().partition(" ")
                title = re.fullmatch(r'title="([^"]*)"', rest)
                assert title or not rest, f"{self.name}: the info string {token.info!r} has more than a title"
                found.append(Block(language, title[1] if title else "", token.content, token.map[0] + 1))
        return found

    @property
    def links(self) -> list[str]:
        """Return where its links and pictures point."""
        attributes = [token.attrs.get("href") or token.attrs.get("src") for token in self.inline]
        html = "".join(token.content for token in (*self.tokens, *self.inline) if token.type.startswith("html_"))
        pictures = re.findall(r'\bsrc(?:set)?="([^"]+)"', html)
        return [*(str(target) for target in attributes if target), *pictures]

    @property
    def code_spans(self) -> list[str]:
        """Return its pieces of code within sentences."""
        return [token.content for token in self.inline if token.type == "code_inline"]

    @property
    def anchors(self) -> set[str]:
        """Return what a link can name in it: its headings, as forges and MkDocs spell them, and documented names."""
        found: set[str] = set()
        seen: Counter[str] = Counter()
        for opening, inline in zip(self.tokens, self.tokens[1:], strict=False):
            if opening.type == "heading_open":
                text = "".join(child.content for child in inline.children or ())
                slug = re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())
                found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
                seen[slug] += 1
        return found | set(re.findall(r"^::: (\S+)", self.path.read_text(encoding="utf-8"), re.MULTILINE))


PAGES = [
    Page(path)
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
]

PLAYED = [page for page in PAGES if any(block.runs for block in page.blocks)]
"""The pages that hold something to run."""
