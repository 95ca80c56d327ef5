"""The names and values that can stand for each argument of the magics."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from llx_magic.commands import chat
from llx_magic.consent.pairs import listed_pairs
from llx_magic.core.routing import ROUTINGS
from llx_magic.errors import LlxError
from llx_magic.files.folders import shipped_folder
from llx_magic.files.names import name_problem
from llx_magic.files.private import SUFFIX, read_file
from llx_magic.keys.keychain import Keychain
from llx_magic.notebook.completion_place import Place
from llx_magic.profiles.document import LoadBalancerProfile
from llx_magic.providers.table import PROVIDERS, find_provider
from llx_magic.session.session import VARIABLE, Session, embedded_profile
from llx_magic.settings.declaration import SETTINGS, Scope
from llx_magic.settings.layers import usable_in_member

_BALANCER = re.compile(rb'"type"\s*:\s*"loadbalancer"')

Candidates = list[str] | None
"""What may stand at the cursor; None leaves it to IPython, which completes file names."""

Source = Callable[[Place, str], Candidates]
"""Takes the place and what is typed of the word there, which need not be looked at."""


class Sources:
    """What is known about each argument, by its name alone or after the magic and action it belongs to.

    ``names`` adds sources of names that do not depend on the place, in the same form.
    """

    def __init__(self, session: Callable[[], Session], names: Mapping[str, Callable[[], Iterable[str]]]) -> None:
        self._session = session
        self._balancers: dict[Path, tuple[tuple[int, int], bool]] = {}
        self._by_argument: dict[str, Source] = {
            "profile": lambda _place, typed: None if _is_path(typed) else self._profile_names(),
            "llx_profile show profile": _fixed(self._profile_names),
            "llx_profile set-default profile": _fixed(self._profile_names),
            "llx_profile untrust profile": self._trusted,
            "llx_profile delete profile": _fixed(lambda: _profiles_in(session().store.folder)),
            "policy": _fixed(lambda: ROUTINGS),
            "members": self._members,
            "provider": _fixed(lambda: PROVIDERS),
            "key_env": _key_variables,
            "key_file": lambda _place, _typed: None,
            "key_name": _fixed(self._key_names),
            "llx_key name": _fixed(self._key_names),
            "llx_chat format": _fixed(lambda: chat.FORMATS),
            "file": lambda _place, _typed: None,
            "backend": self._backends,
            "sets": _assignments,
            "llx_set words": self._setting_words,
            **{argument: _fixed(each) for argument, each in names.items()},
        }

    def of(self, place: Place, slot: argparse.Action, typed: str) -> Candidates:
        """Return what may stand for an argument, most useful first; empty where nothing is known.

        Raises:
            LlxError: where a profile or a list of names that has to be looked at is broken.
            OSError: where a folder cannot be read.
        """
        if slot.choices is not None:
            return [str(choice) for choice in slot.choices]
        for owner in ((place.magic, *place.path), (place.magic,), ()):
            if source := self._by_argument.get(" ".join((*owner, slot.dest))):
                return source(place, typed)
        return []

    def _profile_names(self) -> list[str]:
        return sorted(self._profile_files())

    def _profile_files(self) -> dict[str, Path]:
        shipped = shipped_folder()
        return (_profiles_in(shipped) if shipped else {}) | _profiles_in(self._session().store.folder)

    def _members(self, place: Place, _typed: str) -> Candidates:
        """Return the model profiles that are not named yet; whether a file is one is looked up when it has changed."""
        named = {*place.given.get("members", []), place.last("name")}
        files = self._profile_files()
        return [name for name in sorted(files) if name not in named and not self._is_balancer(files[name])]

    def _is_balancer(self, path: Path) -> bool:
        """Return whether a file is a load balancer's; one that cannot be read cannot be a member either."""
        from_installer = path.parent != self._session().store.folder
        try:
            facts = path.stat()
            state = (facts.st_mtime_ns, facts.st_size)
            known = self._balancers.get(path)
            if known is None or known[0] != state:
                # No variable holds the content: it may have a literal key, and a verbose traceback shows variables.
                known = state, _BALANCER.search(read_file(path, follow_links=from_installer)) is not None
                self._balancers[path] = known
        except (LlxError, OSError):
            return True
        return known[1]

    def _backends(self, place: Place, _typed: str) -> Candidates:
        session = self._session()
        name = place.last("profile")
        if name is None and session.active is not None:
            return list(session.active.members)
        name = name or os.environ.get(VARIABLE) or session.store.default()
        if name is None:
            return [member.name for member in embedded_profile().members]
        document = session.store.document(name)
        return list(document.members) if isinstance(document, LoadBalancerProfile) else [document.name]

    def _trusted(self, _place: Place, typed: str) -> Candidates:
        if _is_path(typed):
            return None
        allowed, _problem = self._session().store.trust.look_up()
        return [*listed_pairs(allowed), *self._profile_names()]

    def _key_names(self) -> list[str]:
        return list(Keychain(self._session().store.state_folder).names())

    def _setting_words(self, place: Place, _typed: str) -> Candidates:
        words = place.given.get("words", [])
        if not words:
            return [*SETTINGS, "unset"]
        if words[0] == "unset":
            return [key for key in self._session().values if key not in words]
        return _examples(words[0]) if len(words) == 1 else []


def _is_path(typed: str) -> bool:
    return typed.startswith(("~", ".")) or any(mark in typed for mark in (os.sep, "/"))


def _profiles_in(folder: Path) -> dict[str, Path]:
    """Return the files by the names under which they can be loaded; none is opened."""
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}")) if not name_problem(path.stem)}


def _key_variables(place: Place, _typed: str) -> Candidates:
    chosen = find_provider(place.last("provider") or "")
    variables = [each.key_variable for each in ((chosen,) if chosen else PROVIDERS.values())]
    return [name for name in variables if name]


def _assignments(place: Place, typed: str) -> Candidates:
    """Return ``key=`` for each setting that can be set here, or ``key=value`` once the key is typed."""
    key, equals, _ = typed.partition("=")
    if equals:
        only_off = place.magic == "llx" and key in SETTINGS and SETTINGS[key].scope is Scope.SWITCH_OFF
        return [f"{key}={value}" for value in (["false"] if only_off else _examples(key))]
    given = {word.partition("=")[0] for word in place.given.get("sets", [])}
    keys_here = [name for name in SETTINGS if name not in given]
    if place.magic == "llx":
        keys_here = [name for name in keys_here if SETTINGS[name].scope is not Scope.PROFILE]
    elif place.path == ("save", "model"):
        keys_here = [name for name in keys_here if usable_in_member(name)]
    return [f"{name}=" for name in keys_here]


def _examples(key: str) -> list[str]:
    declared = SETTINGS.get(key)
    if declared is None:
        return []
    values = [value for value in declared.kind.examples() if value != "none"]
    return [*values, "none"] if declared.optional else values


def _fixed(names: Callable[[], Iterable[str]]) -> Source:
    return lambda _place, _typed: list(names())
