"""A whole profile as one text for another machine: all but its keys, which are looked up there by their names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.settings.layers import read_values, write_values


def pack(profile: Profile) -> str:
    """Return the profile as a text without any key; members from elsewhere must have been allowed their keys."""
    members = [{"name": member.name, "document": write_document(_harmless(member))} for member in profile.members]
    packed = {
        "name": profile.name,
        "policy": profile.policy,
        "path": None if profile.path is None else str(profile.path),
        "settings": write_values(profile.settings),
        "weights": dict(profile.weights),
        "members": members,
    }
    return json.dumps(packed)


def unpack(text: str) -> Profile:
    """Return the profile that ``pack`` made the text of.

    Raises:
        ProfileError: for a member that cannot be read here.
    """
    packed = json.loads(text)
    members = [_member(each["name"], each["document"]) for each in packed["members"]]
    path = None if packed["path"] is None else Path(packed["path"])
    settings = read_values(packed["settings"])
    return Profile(packed["name"], packed["policy"], tuple(members), settings, path, weights=packed["weights"])


def _member(name: str, document: str) -> ModelProfile:
    member = read_document(document, name)
    assert isinstance(member, ModelProfile)
    return member


def _harmless(member: ModelProfile) -> ModelProfile:
    """Return the member without a server of shared facts that a profile from elsewhere names.

    It is not used here, and a worker could not tell where the profile is from.
    """
    if member.foreign is None:
        return member
    return replace(member, connection=replace(member.connection, shared=None))
