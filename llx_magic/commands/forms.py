"""What of a reply is written where only code or only JSON was asked for."""

from __future__ import annotations

from llx_magic.commands.ask import Format
from llx_magic.text.blocks import ReplyFormatError, code_of, json_text


def in_form(text: str, form: Format) -> str:
    """Return the reply's code, its JSON as the model wrote it, or the reply as it is.

    Raises:
        ReplyFormatError: where the reply has no code or no valid JSON.
    """
    match form:
        case "code":
            if not (code := code_of(text)):
                raise ReplyFormatError("the reply holds no code")
            return code
        case "json":
            return json_text(text)
        case "markdown" | "text":
            return text
