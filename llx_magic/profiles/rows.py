"""Profile files as rows of a list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llx_magic.profiles.document import SINGLE, Document, LoadBalancerProfile, Profile
from llx_magic.text.wording import listed, with_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """One profile file as a row of a list.

    ``kind`` is the policy of a load balancer, ``model`` or ``broken``. ``detail`` is the members, or provider and
    model; ``problem`` is why it cannot be loaded, or None. ``shipped`` files come with the package. ``profile`` is
    the profile itself, or None where the file is broken.
    """

    name: str
    kind: str
    detail: str
    path: Path
    problem: str | None = None
    is_default: bool = False
    shipped: bool = False
    profile: Profile | None = None


def broken_row(path: Path, problem: str, *, is_default: bool = False, shipped: bool = False) -> ProfileRow:
    """Return the row of a file that cannot be loaded."""
    return ProfileRow(
        name=with_marks(path.stem),
        kind="broken",
        detail="",
        path=path,
        problem=problem,
        is_default=is_default,
        shipped=shipped,
    )


def sound_row(path: Path, profile: Profile, members: tuple[str, ...], *, is_default: bool, shipped: bool) -> ProfileRow:
    """Return the row of a profile; ``members`` are those that its file names, none for a model."""
    first = profile.members[0]
    return ProfileRow(
        name=path.stem,
        kind="model" if profile.policy == SINGLE else profile.policy,
        detail=with_marks(listed(members) if members else f"{first.provider} {first.model}"),
        path=path,
        is_default=is_default,
        shipped=shipped,
        profile=profile,
    )


def members_of(document: Document) -> tuple[str, ...]:
    """Return the names of a load balancer's members; a model has none."""
    return document.members if isinstance(document, LoadBalancerProfile) else ()
