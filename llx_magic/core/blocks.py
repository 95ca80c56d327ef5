"""Code and JSON inside a reply's Markdown."""

from __future__ import annotations

import json
from typing import NamedTuple

from llx_magic.core.values import JsonValue
from llx_magic.errors import LlxError


class ReplyFormatError(LlxError):
    """A reply is not in the form that was asked for; the text says where it fails."""


class CodeBlock(NamedTuple):
    """One fenced block of code; ``language`` is the empty string where the fence names none."""

    language: str
    text: str


def code_blocks(text: str) -> tuple[CodeBlock, ...]:
    """Return the fenced code blocks of a Markdown text, in order."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    return tuple(
        CodeBlock(token.info.split()[0].lower() if token.info.strip() else "", token.content)
        for token in tokens
        if token.type == "fence"
    )


def read_json(text: str) -> JsonValue:
    """Return the JSON value that a reply consists of, or that stands in its only fitting code block.

    Raises:
        ReplyFormatError: where there is no JSON, or it is broken; with line and column in the reply.
    """
    candidates = [block.text for block in code_blocks(text) if block.language in ("", "json")]
    source = candidates[0] if len(candidates) == 1 else text
    try:
        found: JsonValue = json.loads(source)
    except json.JSONDecodeError as problem:
        line = problem.lineno + text[: max(text.find(source), 0)].count("\n")
        what = "is no JSON" if problem.pos == 0 or not source.strip() else "is broken JSON"
        raise ReplyFormatError(f"the reply {what}: {problem.msg}, line {line}, column {problem.colno}") from None
    except RecursionError:
        raise ReplyFormatError("the reply is JSON that is nested too deeply to read") from None
    return found
