"""A model that is named as ``provider:model``, without a profile: it is asked at the provider's usual address."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from llx_magic.errors import ProfileError, brief
from llx_magic.files.folders import absolute
from llx_magic.files.private import SUFFIX
from llx_magic.hosts import command
from llx_magic.profiles.document import ModelProfile
from llx_magic.providers.find import find_provider, provider
from llx_magic.text.wording import nearest

COLON = ":"


def what_is_there(name: str, profiles: Iterable[str]) -> str:
    """Return what to say beside a name of no profile: how a provider is asked, the nearest name, or those there are."""
    if (known := find_provider(name)) is None:
        return nearest(name, profiles)
    models = command(f"models {known.name}")
    return f"; a model of the provider {known.name} is asked with -p {known.name}{COLON}MODEL ({models} lists them)"


def names_a_model(text: str) -> bool:
    """Return whether a text is written as ``provider:model`` and is no path; a file of that path comes first."""
    before, colon, after = text.partition(COLON)
    is_drive = len(before) == 1 and after[:1] in ("/", "\\")
    is_path = is_drive or text.endswith(SUFFIX) or any(mark in before for mark in "/\\~")
    return bool(colon) and not is_path and not _is_file(text)


def _is_file(text: str) -> bool:
    return "/" in text and any(os.path.lexists(absolute(each)) for each in (text, text + SUFFIX))


def direct_model(text: str, folders: Iterable[Path] = ()) -> ModelProfile:
    """Return the model that ``provider:model`` names; its key is the one in the provider's usual variable.

    ``folders`` hold the profiles, one of which may have been meant.

    Raises:
        ProfileError: for a provider that is not known or has no address of its own, and where no model is named.
    """
    before, _, model = text.partition(COLON)
    if model.startswith("//"):
        save = command("profile save model NAME --provider P --model M --base-url URL")
        raise ProfileError(f"an address is no profile; {save} makes one of it")
    if find_provider(before) is None and any(os.path.lexists(each / f"{before}{SUFFIX}") for each in folders):
        raise ProfileError(f"{brief(text)}: {before} is a profile, and its name stands alone, without {COLON!r}")
    known = provider(before)
    if not model.strip():
        raise ProfileError(f"{brief(text)} names no model; {command(f'models {known.name}')} lists them")
    if known.base_url is None and not known.regional and known.key_variable is not None:
        save = command(f"profile save model NAME --provider {known.name} --model {model.strip()} --base-url URL")
        raise ProfileError(f"provider {known.name} needs a base-url, so that it needs a profile: {save}")
    return ModelProfile(known.name, known.name, model.strip())
