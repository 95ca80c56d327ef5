"""The state of a notebook or a command line: the active profile and the session's settings."""

from __future__ import annotations

import enum
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llx_magic.backends.local.modelfile import MODEL
from llx_magic.core.ports import Clock
from llx_magic.engine.background import BACKGROUND
from llx_magic.engine.budget import Purse
from llx_magic.errors import LlxError, ProfileError, brief
from llx_magic.hosts import command, use_of
from llx_magic.locks import ForkSafeLock
from llx_magic.observe.bars import MapView, view_on
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile, Profile
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.consent import Asker, Consent
from llx_magic.session.conversations import Conversations
from llx_magic.session.members import remarks
from llx_magic.session.sharing import SharedProblem
from llx_magic.settings.declaration import DEFAULTS, setting
from llx_magic.settings.kinds import SettingValue
from llx_magic.settings.layers import Layer, Resolved, Values, resolve
from llx_magic.text.values import JsonValue

VARIABLE = "LLX_PROFILE"
EMBEDDED_PARAMS: Mapping[str, JsonValue] = {"max_tokens": 400}
"""The embedded model gets a limit, since so small a model does not know when to stop."""

_UNSET = object()


class Origin(enum.StrEnum):
    """Why a profile is in force where a prompt names none."""

    LOADED = "loaded"
    VARIABLE = VARIABLE
    DEFAULT = "default"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of loading a profile: the session's values that were dropped, and remarks for the user."""

    balancer: LoadBalancer
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def _without_needless_none(values: Values) -> dict[str, SettingValue]:
    return {key: value for key, value in values.items() if value is not None or DEFAULTS[key] is not None}


def embedded_profile() -> Profile:
    """Return the profile of the embedded model by itself."""
    return Profile.single(ModelProfile("local", "local", MODEL, params=EMBEDDED_PARAMS))


class Session:
    """The active profile, the session's settings, and every profile that was asked by name.

    ``clock`` replaces real time for all profiles, which then have a state of their own; it is for tests. With ``eager``
    a profile gets ready to send in the background as soon as it is known, so that the first prompt is quick. ``asker``
    asks the user what a profile from elsewhere may do; without one nothing is asked and what is not allowed is refused.
    ``read`` shows any other question and returns what the user types; None where nobody can be asked.
    ``map_view`` makes what shows a run over rows; without one it is a bar in a terminal, and lines elsewhere.
    """

    def __init__(
        self,
        store: ProfileStore | None = None,
        clock: Clock | None = None,
        *,
        eager: bool = False,
        asker: Asker | None = None,
        read: Callable[[str], str] | None = None,
        map_view: Callable[[], MapView] = lambda: view_on(sys.stderr),
    ) -> None:
        self.store = store or ProfileStore()
        self.conversations = Conversations(self.store.state_folder / "conversations")
        self.consent = Consent(asker)
        self.read = read
        self.map_view = map_view
        self._clock = clock
        self._eager = eager
        self._lock = ForkSafeLock()
        self.values: Values = {}
        """The session's own settings."""
        self.active: LoadBalancer | None = None
        """The loaded profile."""
        self.asked_last: LoadBalancer | None = None
        self._purse = Purse()
        self._loaded_as = ""
        self._balancers: dict[str, LoadBalancer] = {}
        self._retired: weakref.WeakSet[LoadBalancer] = weakref.WeakSet()

    def loaded(self) -> tuple[LoadBalancer, ...]:
        """Return every profile that was asked or loaded in this session, in that order."""
        with self._lock:
            return tuple(self._balancers.values())

    def load(self, name_or_path: str) -> Loaded:
        """Load a profile and make it the active one. The session's values of settings that it sets are dropped.

        Raises:
            ProfileError: where there is none of that name, or it cannot be used; the active profile stays.
        """
        balancer = self.balancer(name_or_path)
        with self._lock:
            dropped = tuple(key for key in self.values if key in balancer.profile.settings)
            self.values = {key: value for key, value in self.values.items() if key not in dropped}
            self.active, self._loaded_as, self.asked_last = balancer, name_or_path, None
        return Loaded(balancer, dropped, (*balancer.profile.notes, *remarks(balancer.profile)))

    def trusted_balancer(self, name_or_path: str | None) -> LoadBalancer:
        """Return the named profile, or the one in force, with consent to every key that it asks for.

        Raises:
            ProfileError: where there is none of that name, or it cannot be used.
        """
        return self._balancer_of(self.balancer(name_or_path).profile.trusted())

    def balancer(self, name_or_path: str | None = None) -> LoadBalancer:
        """Return the named profile ready to answer, or the active one.

        Where none is loaded it is the profile of ``LLX_PROFILE``, else the default profile, else the embedded model.

        Raises:
            ProfileError: where there is none of that name, or it cannot be used.
        """
        return self._balancer_of(self.store.load(name_or_path)) if name_or_path else self.in_force()[0]

    def take_up_saved(self, name: str) -> str | None:
        """Use at once what was saved of the active profile or a member of it; return a line for the user, or None.

        It is not used if the session has another value for a setting that the save changes, or if the profile cannot
        be loaded any more. Then the line says so, and what to type.
        """
        active = self.active
        if active is None or active.profile.path is None or name not in (active.name, *active.members):
            return None
        try:
            saved = self.store.load(self._loaded_as)
            if saved == active.profile:
                return None
            before, after, values = active.profile.settings, saved.settings, self.values
            changed = (key for key in values if before.get(key, _UNSET) != after.get(key, _UNSET))
            if held := [key for key in changed if values[key] != after.get(key)]:
                return (
                    f"{active.name} is in use with this session's {', '.join(held)}: type "
                    f"{command(f'profile load {self._loaded_as}')} to use what was saved"
                )
            balancer = self._balancer_of(saved)
        except LlxError as problem:
            return f"{active.name} stays in use as it was: {problem}"
        self.active = balancer
        return f"{active.name} is in use: what was saved counts from the next prompt on"

    def in_force(self) -> tuple[LoadBalancer, Origin]:
        """Return what is asked where no profile is named, and why it is that.

        Raises:
            ProfileError: where the profile that ``LLX_PROFILE`` or the default names cannot be used.
        """
        if self.active is not None:
            return self.active, Origin.LOADED
        if (named := self._named()) is None:
            stand_in = f"a stand-in, not to be relied on: no profile is loaded ({use_of('NAME')})"
            return self._balancer_of(embedded_profile(), replies_say=(stand_in,)), Origin.EMBEDDED
        wanted, origin = named
        try:
            return self._balancer_of(self.store.load(wanted)), origin
        except SharedProblem:
            raise  # the environment's fault, whatever profile is asked
        except ProfileError as problem:
            by = f"{VARIABLE} names" if origin is Origin.VARIABLE else "the default profile is"
            raise ProfileError(f"{by} {brief(wanted)}: {problem}") from None

    def _named(self) -> tuple[str, Origin] | None:
        """Return the profile that is used where none is loaded, and why it is that; None where none is named."""
        if wanted := os.environ.get(VARIABLE):
            return wanted, Origin.VARIABLE
        default = self.store.default()
        return None if default is None else (default, Origin.DEFAULT)

    def _profile(self) -> Profile | None:
        """Return the profile in force, where one is loaded or named that can be read."""
        if self.active is not None:
            return self.active.profile
        try:
            named = self._named()
            return None if named is None else self.store.load(named[0])
        except ProfileError:  # a prompt says what is wrong with it
            return None

    @property
    def profile_name(self) -> str:
        """The name of the profile whose settings are in force, empty where there is none."""
        profile = self._profile()
        return "" if profile is None else profile.name

    def last_asked(self) -> LoadBalancer:
        """Return the profile that was asked last since one was loaded, else the one in force. Errors: ``in_force``."""
        return self.asked_last or self.in_force()[0]

    def set(self, key: str, raw: JsonValue) -> SettingValue:
        """Check a value and set it for the session.

        Raises:
            SettingError: for an unknown setting or a value that is not allowed; nothing changes.
        """
        value = setting(key).read(raw)
        with self._lock:
            self.values = {**self.values, key: value}
        return value

    def unset(self, key: str) -> bool:
        """Remove the session's value; False where there was none.

        Raises:
            SettingError: for an unknown setting.
        """
        setting(key)
        with self._lock:
            had = key in self.values
            self.values = {known: value for known, value in self.values.items() if known != key}
        return had

    def unset_all(self) -> tuple[str, ...]:
        """Remove all of the session's values and return their keys."""
        with self._lock:
            keys, self.values = tuple(self.values), {}
        return keys

    def resolved(self) -> dict[str, Resolved]:
        """Return every setting's value in force, with the layer it comes from."""
        return self._with_session(self._profile())

    def resolved_here(self) -> dict[str, Resolved]:
        """Return what a load balancer is saved with: of profiles that one counts which is loaded here."""
        return self._with_session(None if self.active is None else self.active.profile)

    def _with_session(self, profile: Profile | None) -> dict[str, Resolved]:
        return resolve({Layer.PROFILE: {} if profile is None else profile.settings, Layer.SESSION: self.values})

    def settings_to_save(self) -> dict[str, SettingValue]:
        """Return all settings in force here, so that a saved profile behaves the same after defaults change.

        A setting that is off by default and is off is left out; one that is switched off against its default is
        kept.
        """
        return _without_needless_none({key: found.value for key, found in self.resolved_here().items()})

    def balancer_document(
        self, name: str, policy: str, members: tuple[str, ...], settings: Values
    ) -> LoadBalancerProfile:
        """Return a load-balancer profile with the settings in force, ``settings`` on top.

        Raises:
            ProfileError: for a policy, a name or members that are not allowed.
        """
        values = {**self.settings_to_save(), **settings}
        return LoadBalancerProfile(name, policy, members, _without_needless_none(values))

    def close(self) -> None:
        """Close all connections and forget which profile is loaded; the session can go on being used."""
        with self._lock:
            balancers = [*self._balancers.values(), *self._retired]
            self._balancers, self.active, self.asked_last = {}, None, None
            self._retired.clear()
        for balancer in balancers:
            if BACKGROUND.running:
                BACKGROUND.run(balancer.aclose())

    def _balancer_of(self, profile: Profile, replies_say: tuple[str, ...] = ()) -> LoadBalancer:
        key = str(profile.path or f"{profile.members[0].provider}:{profile.members[0].model}")
        with self._lock:
            known = self._balancers.get(key)
            if known is not None and known.profile == profile:
                return known
            if known is not None:
                self._retired.add(known)  # a request in flight may still be using its connections
            made = LoadBalancer(profile, clock=self._clock, session=lambda: self.values, remarks=replies_say)
            made.spend_from(self._purse)
            self._balancers[key] = made
        if self._eager:
            made.warm_up()
        return made
