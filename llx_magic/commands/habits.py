"""What other programs call an option, and how it is said here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from llx_magic.hosts import command
from llx_magic.key_shapes import typed_key
from llx_magic.keys.names import names_a_secret
from llx_magic.session.options import PARAMETERS
from llx_magic.settings.declaration import SETTINGS

_A_MODEL: Final = "a model that no profile is saved for is asked with -p PROVIDER:MODEL"

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("model", "m", "provider", "engine", "deployment"), ("--profile", _A_MODEL)),
    **dict.fromkeys(("reasoning_effort", "reasoning", "thinking", "think"), ("--effort", "give --effort EFFORT")),
    **dict.fromkeys(("api_base", "url", "endpoint", "host"), ("--base-url", "give --base-url URL")),
    **dict.fromkeys(("file", "attach", "attachment", "pdf"), ("--image", "give -i")),
    **dict.fromkeys(("prompt_file", "template", "template_file"), ("--prompt", 'give --prompt "$(cat FILE)"')),
    **{form: ("--format", f"give -f {form}") for form in ("json", "markdown", "text", "code")},
}
"""Other words: the option that does it here, and how to say that."""

_OF_PROFILES: Final = ("base_url", "header", "price_input", "price_output", "api_version", "aws_region")


def meant_by(option: str, value: str, known: Collection[str]) -> str:
    """Return what to do in place of an unknown option, or the empty string; ``known`` are the options that there are.

    ``value`` is what was typed behind its equals sign; it is not repeated where it may be a key.
    """
    name = option.lstrip("-").replace("-", "_").casefold()
    if names_a_secret(name):
        return typed_key()
    if name in PARAMETERS and "--param" in known:
        return f"a parameter of the model is given with --param {name}={value or 'VALUE'}"
    if "--set" in known and (key := next((each for each in (name, f"{name}_ms") if each in SETTINGS), None)):
        return f"a setting is given with --set {key}={value or 'VALUE'}"
    needs, how = _WORDS.get(name, ("", ""))
    if needs in known:
        return how
    if name in _OF_PROFILES and "--profile" in known:
        save = command("profile save model NAME --provider P --model M")
        return f"a profile says that: {save} --{name.replace('_', '-')} VALUE"
    return ""
