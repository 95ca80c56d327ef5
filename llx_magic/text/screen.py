"""A model's text is untrusted: what of it may reach a terminal or a plain-text output."""

from __future__ import annotations

import re

# https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
_WHOLE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands: titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # device control and other strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # cursor, colour, erase
    r"|\x1b[ -/]*(?![PX\[\]^_])[0-~]"  # the short ones
)
SEQUENCES = re.compile(_WHOLE.pattern + r"|\x1b[PX\[\]^_]")  # or what opens one that never ends

_OPENING = re.compile("[\x1b\x9b]")
_CONTROL = (*(code for code in range(0x20) if code not in (0x09, 0x0A)), *range(0x7F, 0xA0))
# What turns the order of the text around, and so what a reader takes it for: https://trojansource.codes/
_BIDIRECTIONAL = (0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # a mark, embeddings, overrides, isolates
_TAGS = range(0xE0000, 0xE0080)  # letters that nobody sees and programs read
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # of surrogate pairs, which no encoding can write
_FORBIDDEN = {**dict.fromkeys((*_CONTROL, *_BIDIRECTIONAL, *_TAGS)), **_HALVES}


def printable(text: str) -> str:
    """Return the text without control sequences, control characters and bidirectional overrides.

    Tabs and line ends stay; CR LF becomes LF and a lone CR is dropped, so that no line can overwrite another. Half of a
    surrogate pair becomes U+FFFD, so that what is returned can be written in UTF-8.
    """
    return SEQUENCES.sub("", text).translate(_FORBIDDEN)


LONGEST_SEQUENCE = 256
"""How long a control sequence may be for its end to be waited for."""


def split_at_open_sequence(text: str) -> tuple[str, str]:
    """Split off a control sequence whose end has not come yet, so that pieces of a stream can be cleaned one by one."""
    at = 0
    while opening := _OPENING.search(text, at):
        whole = _WHOLE.match(text, opening.start())
        if whole is None:
            begin = opening.start() if len(text) - opening.start() <= LONGEST_SEQUENCE else len(text)
            return text[:begin], text[begin:]
        at = whole.end()
    return text, ""


def one_line(text: str, limit: int = 300) -> str:
    """Return the printable text on one line, cut to ``limit`` characters."""
    folded = " ".join(printable(text).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"
