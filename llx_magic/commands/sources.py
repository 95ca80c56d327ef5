"""The names and values that completion offers for options and arguments; a session is made when one is asked for."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.commands.command import Option
from llx_magic.errors import LlxError
from llx_magic.files.folders import shipped_folder
from llx_magic.files.names import name_problem
from llx_magic.files.private import SUFFIX, read_file
from llx_magic.profiles.direct import COLON
from llx_magic.providers.find import find_provider
from llx_magic.providers.table import PROVIDERS
from llx_magic.settings.declaration import SETTINGS, Scope

if TYPE_CHECKING:
    from llx_magic.commands.offers import At

_NOTHING: Mapping[str, str | None] = {}
_OF_ROWS = ("columns", "to_frame", "__arrow_c_stream__")
_BALANCER = re.compile(rb'"type"\s*:\s*"loadbalancer"')


def files(_at: At) -> None:
    """Leave the place to file names."""


def profiles(at: At) -> Iterable[str] | None:
    """Every profile, then every provider for ``provider:model``; a path is completed as a file."""
    before, colon, _ = at.word.partition(COLON)
    if colon and find_provider(before) is not None:
        return [f"{before}{COLON}{model}" for model in _offered(before)]
    return None if _is_path(at.word) else [*_profile_files(at), *(f"{name}{COLON}" for name in PROVIDERS)]


ANOTHER_PROFILE = Option("-p --profile", "NAME_OR_PATH", "another profile than the active one", complete=profiles)


def profile_names(at: At) -> Iterable[str]:
    """Every profile, where a path is of no use."""
    return _profile_files(at)


def own_profiles(at: At) -> Iterable[str]:
    """The profiles of the user's own folder."""
    return _profiles_in(at.session.store.folder)


def members(at: At) -> Iterable[str]:
    """The model profiles that are not named yet; whether a file is one is looked up when it has changed."""
    named, found, own = set(at.reading.words), _profile_files(at), at.session.store.folder
    return [name for name in found if name not in named and not _is_balancer_file(found[name], own)]


def trusted(at: At) -> Iterable[str] | None:
    """What was allowed, as KEY@HOST, then every profile."""
    from llx_magic.consent.pairs import listed_pairs

    if _is_path(at.word):
        return None
    allowed, _problem = at.session.store.trust.look_up()
    return [*listed_pairs(allowed), *profile_names(at)]


def backends(at: At) -> Iterable[str]:
    """The backends of the profile that is named on the line, else of the one in force."""
    from llx_magic.profiles.document import LoadBalancerProfile
    from llx_magic.session.session import VARIABLE, embedded_profile

    session, name = at.session, at.last("profile")
    if name is None and session.active is not None:
        return session.active.members
    name = name or os.environ.get(VARIABLE) or session.store.default()
    if name is None:
        return [member.name for member in embedded_profile().members]
    document = session.store.document(name)
    return document.members if isinstance(document, LoadBalancerProfile) else [document.name]


def providers(_at: At) -> Iterable[str]:
    """The known providers."""
    return PROVIDERS


def services(at: At) -> Iterable[str] | None:
    """Every profile and every provider; a path is completed as a file."""
    return None if _is_path(at.word) else dict.fromkeys([*_profile_files(at), *PROVIDERS])


def models(at: At) -> Iterable[str]:
    """The models that the provider which is named on the line offers, as far as they are known soon enough."""
    from llx_magic.commands.connections import option_of
    from llx_magic.profiles.connection import KEYS

    given = {key: at.last(option_of(key)) for key, declared in KEYS.items() if declared.kind == "text"}
    return _offered(at.last("provider") or "", given)


def _offered(provider: str, given: Mapping[str, str | None] = _NOTHING) -> list[str]:
    from llx_magic.profiles.connection import Connection
    from llx_magic.profiles.document import ModelProfile
    from llx_magic.session.model_lists import MODEL_LISTS

    if not provider:
        return []
    member = ModelProfile("completion", provider, "any", connection=Connection.of(given))
    return [each.name for each in MODEL_LISTS.soon(member)]


def key_variables(at: At) -> Iterable[str]:
    """The usual variable of the provider that is named, else of each."""
    chosen = find_provider(at.last("provider") or "")
    found = [each.key_variable for each in ((chosen,) if chosen else PROVIDERS.values())]
    return [name for name in found if name]


def key_names(at: At) -> Iterable[str]:
    """The names of the keys that were stored from here."""
    from llx_magic.keys.keychain import Keychain

    return Keychain(at.session.store.state_folder).names()


def conversations(at: At) -> Iterable[str]:
    """The named conversations."""
    return at.session.conversations.names()


def pictures(at: At) -> Iterable[str] | None:
    """The notebook's variables that are pictures and begin so; where there are none, the place is a file's."""
    from llx_magic.pieces.sources import is_picture

    found = at.here.variables().items()
    return [name for name, value in found if name.startswith(at.word) and is_picture(value)] or None


def rows(at: At) -> Iterable[str] | None:
    """The notebook's variables that hold rows and begin so; where there are none, the place is a file's."""
    found = at.here.variables().items()
    return [name for name, value in found if name.startswith(at.word) and _holds_rows(value)] or None


def _holds_rows(value: object) -> bool:
    """Return whether a value looks like a frame, a column or a list, by its type alone."""
    kind = type(value)
    return issubclass(kind, list | tuple | dict) or any(hasattr(kind, name) for name in _OF_ROWS)


def schemas(at: At) -> Iterable[str]:
    """The notebook's variables that may be a schema: classes, dictionaries and lists."""
    return [name for name, value in at.here.variables().items() if isinstance(value, type | dict | list)]


def weights(at: At) -> Iterable[str]:
    """``member=`` for each member that is named and has no weight yet."""
    found, own = _profile_files(at), at.session.store.folder
    given = {word.partition("=")[0] for word in at.reading.given.get("weight", [])}
    named = dict.fromkeys(name for name in at.reading.words if name in found and name not in given)
    return [] if "=" in at.word else [f"{name}=" for name in named if not _is_balancer_file(found[name], own)]


def settings(at: At) -> Iterable[str]:
    """``key=`` for each setting that is not given yet, or ``key=value`` once the key is typed."""
    return _assignments(at, tuple(Scope))


def member_settings(at: At) -> Iterable[str]:
    """The same for what a member may set."""
    return _assignments(at, (Scope.REQUEST,))


def request_settings(at: At) -> Iterable[str]:
    """The same for what one request may set; some of it can only be switched off."""
    key, equals, _ = at.word.partition("=")
    if equals and key in SETTINGS and SETTINGS[key].scope is Scope.SWITCH_OFF:
        return [f"{key}=false"]
    return _assignments(at, (Scope.REQUEST, Scope.PROMPT, Scope.SWITCH_OFF))


def setting_and_value(at: At) -> Iterable[str]:
    """A setting, then its values."""
    words = at.reading.words
    return [*SETTINGS] if not words else _examples(words[0]) if len(words) == 1 else []


def setting_names(_at: At) -> Iterable[str]:
    """Every setting."""
    return SETTINGS


def set_here(at: At) -> Iterable[str]:
    """The settings of the session that are not named yet."""
    return [key for key in at.session.values if key not in at.reading.words]


def _assignments(at: At, scopes: Collection[Scope]) -> list[str]:
    key, equals, _ = at.word.partition("=")
    if equals:
        return [f"{key}={value}" for value in _examples(key)]
    given = {word.partition("=")[0] for word in at.reading.given.get("set", [])}
    return [f"{name}=" for name, each in SETTINGS.items() if each.scope in scopes and name not in given]


def _examples(key: str) -> list[str]:
    declared = SETTINGS.get(key)
    if declared is None:
        return []
    values = [value for value in declared.kind.offered if value != "none"]
    return [*values, "none"] if declared.optional else values


def _is_path(typed: str) -> bool:
    return typed.startswith(("~", ".")) or any(mark in typed for mark in (os.sep, "/"))


def _profile_files(at: At) -> dict[str, Path]:
    """Return the files by their names: the user's own, then the examples that none of those hides."""
    own, shipped = _profiles_in(at.session.store.folder), shipped_folder()
    return own | {name: path for name, path in (_profiles_in(shipped) if shipped else own).items() if name not in own}


def _profiles_in(folder: Path) -> dict[str, Path]:
    """Return the files by the names under which they can be loaded; none is opened."""
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}")) if not name_problem(path.stem)}


def _is_balancer_file(path: Path, own_folder: Path) -> bool:
    """Return whether a file is a load balancer's; one that cannot be read cannot be a member either."""
    try:
        facts = path.stat()
        return _is_balancer(path, facts.st_mtime_ns, facts.st_size, from_installer=path.parent != own_folder)
    except (LlxError, OSError):
        return True


@functools.lru_cache(maxsize=1024)
def _is_balancer(path: Path, _changed: int, _size: int, *, from_installer: bool) -> bool:
    # No variable holds the content: it may have a literal key, and a verbose traceback shows variables.
    return _BALANCER.search(read_file(path, follow_links=from_installer)) is not None
