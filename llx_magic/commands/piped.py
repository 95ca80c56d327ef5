"""Text from a shell: standard input and arguments, which are the same text in every locale."""

from __future__ import annotations

import codecs
import os
import select
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from llx_magic.commands.sharing import sharers, somebody_reads_commands
from llx_magic.errors import UsageProblem
from llx_magic.pieces.reading import kind_of

LIMIT_BYTES = 16 * 1024 * 1024
"""How much standard input is read; more than any model takes."""

SILENT_SECONDS = 1.0
"""How long a standard input that may not be meant for us is given to say something."""

PATIENCE_SECONDS = 2.0
"""After how long the user is told what is waited for."""

# https://www.unicode.org/faq/utf_bom.html#bom4
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = "\ufeff"

Say = Callable[[str], None]
"""Takes a remark for the user."""


def standard_input(say: Say) -> str:
    """Return standard input, read to its end, as text; a byte order mark is dropped.

    Raises:
        UsageProblem: where it is closed, too long, or no text in UTF-8 (or in UTF-16 or UTF-32 behind a mark).
    """
    if sys.stdin is None:
        raise UsageProblem("standard input is closed; nothing was sent")
    waiting = threading.Timer(PATIENCE_SECONDS, say, ["waiting for the end of standard input (< /dev/null gives none)"])
    waiting.daemon = True
    if not sys.stdin.isatty():
        waiting.start()
    try:
        return decoded(_read())
    except OSError as problem:
        raise UsageProblem(f"standard input cannot be read ({problem.strerror}); nothing was sent") from None
    finally:
        waiting.cancel()


def is_piped(say: Say) -> bool:
    """Return whether standard input is there to be read together with a prompt, so that nobody waits for ever.

    A file and a pipe are; a terminal and a device are not, nor what a shell reads its own commands from. A socket, and
    what our parent only passed on, may belong to somebody else, so it must say something at once.
    """
    kind = _kind()
    if kind not in (stat.S_IFIFO, stat.S_IFREG, stat.S_IFSOCK) or somebody_reads_commands():
        return False
    is_ours = kind != stat.S_IFSOCK and next(sharers(), None) is None
    if is_ours or select.select([sys.stdin], [], [], SILENT_SECONDS)[0]:
        return True
    say("standard input is silent, so it is no part of the prompt (an argument - waits for it)")
    return False


def _kind() -> int | None:
    """Return what standard input is, as ``stat.S_IFMT`` tells; None where it is closed or no file at all."""
    if sys.stdin is None:
        return None
    with suppress(OSError, ValueError):
        return stat.S_IFMT(os.fstat(sys.stdin.fileno()).st_mode)
    return None


def decoded(raw: bytes) -> str:
    """Return bytes as text, in UTF-8 or as their byte order mark says; line ends become LF.

    Raises:
        UsageProblem: for anything else; it names the first byte that is wrong and what converts the text.
    """
    if kind := kind_of(raw):
        raise UsageProblem(
            f"standard input is {'an image' if kind == 'image' else 'a PDF'}, and no text; give the file: llx -i FILE "
            '"QUESTION"; nothing was sent'
        )
    mark, encoding = next(((mark, name) for mark, name in _MARKS if raw.startswith(mark)), (b"", "utf-8"))
    if encoding == "utf-8" and (nul := raw.find(b"\0")) >= 0:
        wide = "utf-16le" if nul % 2 else "utf-16be"
        raise _no_text(f"byte 0x00 at position {nul}", f"if it is UTF-16: iconv -f {wide} -t utf-8")
    try:
        text = raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError as problem:
        at = problem.start + len(mark)
        where = f"byte {raw[at]:#04x} at position {at}"
        raise _no_text(where, "convert it first, for example: iconv -f latin1 -t utf-8", encoding) from None
    return text.replace(_MARK, "").replace("\r\n", "\n").replace("\r", "\n")


def argument(word: str, name: str) -> str:
    """Return an argument as the text that its bytes are in UTF-8, else as the text that the locale says.

    Raises:
        UsageProblem: where it is neither.
    """
    if word.isascii():
        return word
    text = word
    with suppress(UnicodeError):
        text = os.fsencode(word).decode()
    if not text.isprintable() and any("\ud800" <= each <= "\udfff" for each in text):
        at = next(place for place, each in enumerate(text) if "\ud800" <= each <= "\udfff")
        raise UsageProblem(f"{name} is not text in UTF-8: character {at + 1} cannot be read; nothing was sent")
    return text.replace(_MARK, "")


def _no_text(where: str, advice: str, encoding: str = "utf-8") -> UsageProblem:
    name = encoding.removesuffix("-le").removesuffix("-be").upper()
    return UsageProblem(f"standard input is not text in {name}: {where}; nothing was sent; {advice}")


def _read() -> bytes:
    if sys.stdin.isatty():
        return sys.stdin.buffer.read(LIMIT_BYTES)
    pieces: list[bytes] = []
    size = 0
    while piece := _next_piece(sys.stdin.fileno()):
        pieces.append(piece)
        size += len(piece)
        if size > LIMIT_BYTES:
            raise UsageProblem(f"standard input is longer than {LIMIT_BYTES >> 20} MiB; nothing was sent")
    return b"".join(pieces)


def _next_piece(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, 1 << 16)
        except BlockingIOError:  # whoever has the pipe too has set it so
            select.select([descriptor], [], [])
