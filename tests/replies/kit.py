"""Stored replies as the tests write and find them."""

from __future__ import annotations

from collections.abc import Mapping

from llx_magic.core.message import Message
from llx_magic.errors import LlxError
from llx_magic.replies.key import Key, Keys, asked_of
from llx_magic.replies.record import Stored
from llx_magic.replies.store import ReplyStore
from llx_magic.replies.writer import Writer

ASKED = asked_of("m", {})
"""Whom the replies of these tests were asked of, unless they say another."""


def stored(text: str = "yes", *, at: float = 1_000.0, profile: str = "p", asked: bytes = ASKED, **more) -> Stored:
    """Return a reply of a backend ``a`` with the model ``m``."""
    return Stored(text=text, backend="a", asked_model="m", model="m-1", at=at, profile=profile, asked=asked, **more)


def key(prompt: str, occurrence: int = 0) -> Key:
    """Return the key of a plain prompt."""
    return Keys(schema=None, effort=None, as_json=False).of((Message("user", prompt),)), occurrence


def write(store: ReplyStore, rows: Mapping[Key, Stored]) -> list[LlxError | None]:
    """Write replies and wait until each is on the disk; return how each went."""
    went: list[LlxError | None] = []
    writer: Writer[None] = store.writer(lambda tokens, problem: went.extend(problem for _ in tokens))
    for each, reply in rows.items():
        writer.put(each, reply, None)
    writer.close()
    return went


def text_of(store: ReplyStore, prompt: str, occurrence: int = 0) -> str | None:
    """Return the text that is stored for a plain prompt, None where there is none."""
    wanted = key(prompt, occurrence)
    found = store.find([wanted], {ASKED}).get(wanted)
    return None if found is None else found.text
