"""Profiles as values: a model, several models behind a routing, and a profile that is ready to be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from llx_magic.consent.trust import Foreign
from llx_magic.core.routing import check_weights, routing_named
from llx_magic.errors import ProfileError
from llx_magic.files.names import check_name
from llx_magic.key_shapes import begins_like_a_key, not_repeated
from llx_magic.profiles.connection import Connection
from llx_magic.providers.address import base_url
from llx_magic.providers.find import find_provider
from llx_magic.providers.provider import FORMS, Provider
from llx_magic.settings.kinds import SettingValue
from llx_magic.settings.layers import read_values, usable_in_member
from llx_magic.text.values import JsonValue

SINGLE = "single"
"""The policy of a model profile that is loaded by itself."""

RawSetting = SettingValue | JsonValue
"""The value of a setting as callers may give it: checked already, or as it stands in a file or a prompt."""


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One model at one provider.

    ``params`` go to the model as they are. ``settings`` are the load-balancer settings that this profile suggests; a
    load balancer's own override them. ``extra`` and ``extra_settings`` are unknown keys of the file (at the top and
    inside ``ephemeralSettings``); they are kept when the profile is saved again. ``notes`` are remarks from reading
    the file; comparing profiles ignores them. ``foreign`` is set where the file is not the user's own, so that it
    gets no key without consent.

    Raises:
        ProfileError: for a name that is not allowed, or where provider or model is missing.
        SettingError: for an unknown setting or a value that is not allowed.
    """

    name: str
    provider: str
    model: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    connection: Connection = field(default_factory=Connection)
    extra: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    extra_settings: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    foreign: Foreign | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        for what, given in (("provider", self.provider), ("model", self.model)):
            if not given.strip():
                raise ProfileError(f"profile {self.name}: {what} is missing")
            if begins_like_a_key(given):
                raise ProfileError(f"profile {self.name}: {what} is no name, it looks like a key{not_repeated()}")
        object.__setattr__(self, "settings", checked(self.settings))
        if self.connection.base_url is not None:
            meant = base_url(self.connection.base_url, self._asked)
            object.__setattr__(self, "connection", replace(self.connection, base_url=meant))

    @property
    def _asked(self) -> Provider | None:
        """The provider in the form that the profile names, or in its own; None where neither is known."""
        known, form = find_provider(self.provider), self.connection.form
        return replace(known or Provider(name=self.provider, base_url=None), wire=FORMS[form]) if form else known

    @property
    def member_settings(self) -> dict[str, SettingValue]:
        """The settings that count when this profile is a member of a load balancer."""
        return {key: value for key, value in self.settings.items() if usable_in_member(key)}

    @property
    def ignored_in_member(self) -> tuple[str, ...]:
        """The settings that do not count in a member, since they govern the whole load balancer."""
        return tuple(key for key in self.settings if not usable_in_member(key))


@dataclass(frozen=True, slots=True)
class LoadBalancerProfile:
    """Several model profiles, by name. A name that stands there twice is asked at both of its places.

    ``policy`` names the routing by which they are asked; ``weights`` are those of members that have another than 1, for
    a routing that weighs. ``params`` override those of every member, but where
    ``foreign`` says that the file is not the user's own, only of members that are not the user's own either: it may say
    nothing else to a host than the user's profile does. The other fields are those of ``ModelProfile``.

    Raises:
        ProfileError: for a name or policy that is not allowed, too few members, or itself as a member.
        SettingError: for an unknown setting or a value that is not allowed.
    """

    name: str
    policy: str
    members: tuple[str, ...]
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    extra_settings: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    foreign: Foreign | None = field(default=None, repr=False, compare=False)
    weights: Mapping[str, float] = field(default_factory=dict)

    def reaches(self, member: ModelProfile) -> bool:
        """Return whether ``params`` go to this member."""
        return self.foreign is None or member.foreign is not None

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "members", tuple(self.members))
        for member in self.members:
            check_name(member, what=f"profile {self.name}: member")
        if problem := members_problem(self.name, self.policy, self.members):
            raise ProfileError(f"profile {self.name}: {problem}")
        check_weights(self.members, self.weights)
        object.__setattr__(self, "settings", checked(self.settings))


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that is ready to be loaded: its members in order of priority, and the settings of its own layer.

    ``policy`` names the routing; it is ``SINGLE`` for a model profile loaded by itself. ``path`` is the file it came
    from, or None. ``notes`` are one-line remarks for the user, such as a setting that does not count where it stands.
    ``weights`` are those of members that have another than 1.
    """

    name: str
    policy: str
    members: tuple[ModelProfile, ...]
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    path: Path | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    weights: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def failover(
        cls, name: str, members: Sequence[ModelProfile], settings: Mapping[str, RawSetting] | None = None
    ) -> Self:
        """Build a profile that asks its members in the given order, without any file.

        Raises:
            ProfileError: for a name that is not allowed, or fewer than two members.
            SettingError: for an unknown setting or a value that is not allowed.
        """
        return cls.balanced(name, "failover", members, settings)

    @classmethod
    def roundrobin(
        cls, name: str, members: Sequence[ModelProfile], settings: Mapping[str, RawSetting] | None = None
    ) -> Self:
        """Build a profile that begins with each member in turn, without any file.

        Raises:
            ProfileError: for a name that is not allowed, or no member.
            SettingError: for an unknown setting or a value that is not allowed.
        """
        return cls.balanced(name, "roundrobin", members, settings)

    @classmethod
    def single(cls, model: ModelProfile, path: Path | None = None) -> Self:
        """Build the profile of one model by itself; all of its settings count."""
        notes = tuple(f"{model.name}: {note}" for note in model.notes)
        return cls(model.name, SINGLE, (model,), model.settings, path, notes)

    @classmethod
    def assemble(cls, balancer: LoadBalancerProfile, members: Sequence[ModelProfile], path: Path | None = None) -> Self:
        """Build the profile of a load balancer whose members have been found, in the balancer's order."""
        notes = [f"{balancer.name}: {note}" for note in balancer.notes]
        for member in {member.name: member for member in members}.values():
            notes += [f"{member.name}: {note}" for note in member.notes]
            notes += [f"{member.name}: {key} in a member is ignored" for key in member.ignored_in_member]
        if balancer.params:
            own = dict.fromkeys(member.name for member in members if not balancer.reaches(member))
            notes += [f"{balancer.name}: its modelParams do not go to {name}, a profile of your own" for name in own]
            members = [
                replace(member, params={**member.params, **balancer.params}) if balancer.reaches(member) else member
                for member in members
            ]
        return cls(
            balancer.name, balancer.policy, tuple(members), balancer.settings, path, tuple(notes), balancer.weights
        )

    def trusted(self) -> Self:
        """Return the profile with all keys allowed that its members ask for, as they are now."""
        return replace(self, members=tuple(replace(member, foreign=None) for member in self.members))

    @classmethod
    def balanced(
        cls,
        name: str,
        policy: str,
        members: Sequence[ModelProfile],
        settings: Mapping[str, RawSetting] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
    ) -> Self:
        """Build a profile that asks its members by the routing that ``policy`` names, without any file.

        ``weights`` are those of members that have another than 1, by name.

        Raises:
            ProfileError: for a name or policy that is not allowed, too few members, or two of the same name.
            SettingError: for an unknown setting or a value that is not allowed.
        """
        names = tuple(member.name for member in members)
        known: dict[str, ModelProfile] = {}
        for member in members:
            if known.setdefault(member.name, member) != member:
                raise ProfileError(
                    f"profile {name}: different members must have different names, got {member.name} twice"
                )
        balancer = LoadBalancerProfile(name, policy, names, checked(settings or {}), weights=weights or {})
        return cls.assemble(balancer, members)


Document = ModelProfile | LoadBalancerProfile
"""What one profile file holds."""


def members_problem(name: str, policy: str, members: Sequence[str]) -> str | None:
    """Return why the policy cannot work with the members, as a sentence, or None.

    Raises:
        ProfileError: for a policy that names no routing.
    """
    if name in members:
        return f"{name} cannot be a member of itself"
    return routing_named(policy).members_problem(members)


def checked(settings: Mapping[str, RawSetting]) -> dict[str, SettingValue]:
    """Return checked settings; values that are checked already stay as they are.

    Raises:
        SettingError: for an unknown setting or a value that is not allowed.
    """
    # A set of statuses is how a checked value is held; the declaration reads the list that a file holds.
    return read_values(
        {key: [*sorted(value)] if isinstance(value, AbstractSet) else value for key, value in settings.items()}
    )


FIRST_PIECE_NOTE: Final = (
    "timeout_ms limits a whole attempt here, and the wait for its first piece in the llxprt command line tool; "
    "the setting for that is first_token_timeout_ms here"
)
"""The remark for a file whose ``timeout_ms`` was probably meant as the llxprt tool means it."""

_OTHER_LIMITS: Final = frozenset({"connect_timeout_ms", "first_token_timeout_ms", "stall_timeout_ms"})
"""Limits that only llx_magic has: a load balancer that was saved here names them."""


def means_first_piece(document: Document, *, by_path: bool) -> bool:
    """Return whether ``timeout_ms`` in a file was probably written for the llxprt command line tool.

    Such a file names none of our own limits. A model profile must also hold keys of that tool, or have been loaded
    by its path: a model that was saved here names only the settings that were given.
    """
    if document.settings.get("timeout_ms") is None or _OTHER_LIMITS & document.settings.keys():
        return False
    is_foreign = by_path or bool(document.extra or document.extra_settings)
    return is_foreign or isinstance(document, LoadBalancerProfile)
