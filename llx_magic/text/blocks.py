"""Code and JSON inside a reply's Markdown."""

from __future__ import annotations

import ast
import functools
import json
import re
import warnings
from typing import TYPE_CHECKING, NamedTuple, Self

from llx_magic.errors import LlxError
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import what_json_lacks

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

PYTHON = frozenset({"python", "python3", "py", "ipython", "ipython3"})
"""What models write at the fence of code that a notebook can run."""

_DOES_SOMETHING = (
    ast.Call, ast.Assign, ast.AugAssign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef,
    ast.ClassDef, ast.For, ast.While, ast.With, ast.Try, ast.Lambda, ast.ListComp,
)  # fmt: skip
"""One of these makes a text a program; without any, "Paris, France" is an expression to Python too."""


class ReplyFormatError(LlxError):
    """A reply is not in the form that was asked for; the text says where it fails."""


class CodeBlock(NamedTuple):
    """One fenced block of code; ``language`` is the empty string where the fence names none."""

    language: str
    text: str


class Code(str):
    """The code of a reply as one text, for ``exec`` and files; ``blocks`` are the blocks that it was made from.

    Where some blocks are Python the text is those alone: beside them models put shell commands and what is printed.
    """

    __slots__ = ("blocks",)
    blocks: tuple[CodeBlock, ...]

    @classmethod
    def of(cls, blocks: tuple[CodeBlock, ...]) -> Self:
        """Return the code that these blocks make."""
        chosen = [block for block in blocks if block.language in PYTHON] or blocks
        code = cls("\n\n".join(block.text.rstrip() for block in chosen))
        code.blocks = blocks
        return code


def code_of(text: str) -> Code:
    """Return the code of a reply: its fenced blocks, or all of it where it is a Python program without a fence."""
    blocks = code_blocks(text)
    return Code.of(blocks or ((CodeBlock("python", text),) if _is_program(text) else ()))


def code_blocks(text: str) -> tuple[CodeBlock, ...]:
    """Return the fenced code blocks of a Markdown text, in order.

    https://spec.commonmark.org/0.31.2/#fenced-code-blocks
    """
    tokens = _parser().parse(text)
    return tuple(
        CodeBlock(token.info.split()[0].lower() if token.info.strip() else "", token.content)
        for token in tokens
        if token.type == "fence"
    )


def fenced(text: str, language: str) -> str:
    """Return a text between fences longer than any run of backticks inside it, which would end the block too early.

    https://spec.commonmark.org/0.31.2/#fenced-code-blocks
    """
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{fence}{language.replace('`', '')}\n{text}{end}{fence}"


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").disable("inline")  # which takes most of the time, and code holds none


def read_json(text: str) -> JsonValue:
    """Return the JSON value that a reply consists of, or that stands in its only fitting code block.

    Raises:
        ReplyFormatError: where there is no JSON, it is broken, or Python cannot hold it; with line and column.
    """
    source = _json_source(text)
    try:
        found: JsonValue = json.loads(source)
    except json.JSONDecodeError as problem:
        line = problem.lineno + text[: max(text.find(source), 0)].count("\n")
        what = "is no JSON" if problem.pos == 0 or not source.strip() else "is broken JSON"
        raise ReplyFormatError(
            f"the reply {what}: {what_json_lacks(problem)}, line {line}, column {problem.colno}"
        ) from None
    except RecursionError:
        raise ReplyFormatError("the reply is JSON that is nested too deeply to read") from None
    except ValueError:
        # Of more than 4,300 digits: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        raise ReplyFormatError("the reply is JSON with a number of too many digits to read") from None
    return found


def write_json(value: JsonValue) -> str:
    """Return a value as JSON for people.

    Raises:
        ReplyFormatError: where it is nested too deeply, which what reads it may allow.
    """
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except RecursionError:
        raise ReplyFormatError("the reply is JSON that is nested too deeply to show") from None


def _is_program(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python finds odd about the model's code, not the user's
            tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, _DOES_SOMETHING) for node in ast.walk(tree))


def json_text(text: str) -> str:
    """Return the JSON of a reply as it is written there, every digit kept; checked as ``read_json`` does.

    Raises:
        ReplyFormatError: where there is no JSON, or it is broken.
    """
    read_json(text)
    return _json_source(text).strip()


def _json_source(text: str) -> str:
    candidates = [block.text for block in code_blocks(text) if block.language in ("", "json")]
    return candidates[0] if len(candidates) == 1 else text
