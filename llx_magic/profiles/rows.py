"""Profile files as rows of a list."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    path: Path
    kind: str = "broken"
    detail: str = ""
    problem: str | None = None
    is_default: bool = False
    shipped: bool = False
    profile: Profile | None = None

    def with_profile(self, profile: Profile, members: tuple[str, ...]) -> ProfileRow:
        """Return the row of a file that can be loaded; ``members`` are those that it names, none for a model."""
        first = profile.members[0]
        kind = "model" if profile.policy == SINGLE else profile.policy
        detail = with_marks(listed(members) if members else f"{first.provider} {first.model}")
        return replace(self, kind=kind, detail=detail, profile=profile)


def members_of(document: Document) -> tuple[str, ...]:
    """Return the names of a load balancer's members; a model has none."""
    return document.members if isinstance(document, LoadBalancerProfile) else ()
