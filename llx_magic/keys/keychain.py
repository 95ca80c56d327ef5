"""Keys in the operating system's keyring. A keyring cannot list its entries, so the names are kept as files."""

from __future__ import annotations

from pathlib import Path

from llx_magic.errors import LlxError, ProfileError
from llx_magic.files.names import check_name, name_problem
from llx_magic.files.private import private_folder, reason
from llx_magic.install import install_line
from llx_magic.key_shapes import spelling_problem
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.keys.secret import Secret
from llx_magic.text.wording import nearest, shown_path

LONGEST_KEY = 16_384
"""How many characters a key may have; servers take no longer header."""

SERVICE = "llx_magic"
"""The keyring's service under which keys are stored."""

ORIGINAL_SERVICE = "llxprt-code-provider-keys"
"""The service under which the llxprt command line tool keeps its keys. It is read after ours and never written."""


class KeyringProblem(LlxError):
    """The operating system's keyring cannot be used; the text says why and what else serves."""


_OF_THIS_SESSION: dict[str, Secret] = {}
"""Keys by name where there is no keyring: they are in this process's memory only."""


def session_key(name: str) -> Secret | None:
    """Return the key of that name that is kept for this session only, or None."""
    return _OF_THIS_SESSION.get(name)


def session_key_names() -> tuple[str, ...]:
    """Return the names of the keys that are kept for this session only, in order."""
    return tuple(sorted(_OF_THIS_SESSION))


def keep_for_session(name: str, key: Secret) -> None:
    """Keep a key in this process's memory until it ends.

    Raises:
        ProfileError: for a name or a key that is not allowed.
    """
    _OF_THIS_SESSION[name] = _checked(name, key)


class Keychain:
    """The named keys of the user. For each, ``state_folder`` has an empty file of that name in ``keys``."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder / "keys"

    def names(self) -> tuple[str, ...]:
        """Return the names of the keys that llx_magic has stored, in order.

        Raises:
            ProfileError: where the list cannot be read.
        """
        try:
            found = [each.name for each in self._folder.iterdir()]
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise ProfileError(f"{shown_path(self._folder)}: cannot be read ({reason(problem)})") from None
        return tuple(sorted(name for name in found if not name_problem(name)))

    def set(self, name: str, key: Secret) -> bool:
        """Store a key. Return True if llx_magic has stored one of that name before.

        Raises:
            ProfileError: for a name or a key that is not allowed, and where the key is stored but cannot be listed.
            KeyringProblem: where the keyring takes no key.
        """
        key = _checked(name, key)
        is_known = name in self.names()
        if problem := _store(name, key):
            raise KeyringProblem(problem)
        try:
            private_folder(self._folder)
            (self._folder / name).touch(mode=0o600)
        except OSError as trouble:
            where = f"{shown_path(self._folder / name)} cannot be written ({reason(trouble)})"
            raise ProfileError(f"key {name} is stored in the keyring, but not listed: {where}") from None
        _OF_THIS_SESSION.pop(name, None)
        return is_known

    def delete(self, name: str) -> None:
        """Remove a key and its name. A key that is kept for this session only is forgotten.

        Raises:
            ProfileError: where llx_magic has stored none of that name, and where the key is removed but its name
                stays listed.
            KeyringProblem: where the keyring cannot be used, or still has the key afterwards.
        """
        check_name(name, what="key name")
        known = self.names()
        if name not in known and name not in _OF_THIS_SESSION:
            raise ProfileError(f"no key is named {name!r}{nearest(name, known)}")
        if name in known:
            if problem := _remove(name):
                raise KeyringProblem(f"key {name} is not removed: {problem}")
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError as trouble:
                where = f"{shown_path(self._folder / name)} cannot be removed ({reason(trouble)})"
                raise ProfileError(f"key {name} is removed from the keyring, but stays listed: {where}") from None
        _OF_THIS_SESSION.pop(name, None)


def read_key(name: str) -> Secret | None:
    """Return the key of that name: ours, otherwise that of the llxprt tool, otherwise None.

    Raises:
        KeyringProblem: where the keyring cannot be used.
    """
    found = _fetch(name)
    if isinstance(found, str):
        raise KeyringProblem(found)
    return found


def _checked(name: str, key: Secret) -> Secret:
    check_name(name, what="key name")
    if problem := key_problem(key):
        raise ProfileError(f"key {name}: {problem}")
    key = Secret(key.reveal().strip())
    LIVE_KEYS.add(key.reveal())
    return key


def key_problem(key: Secret) -> str | None:
    """Return why a key cannot be sent in a header, as the end of a sentence that does not repeat it, or None."""
    text = key.reveal().strip()
    told = hash(text)
    if told in _SOUND:
        return None
    problem = _problem_of(text)
    if problem is None:
        if len(_SOUND) >= _MOST_SOUND:
            _SOUND.clear()
        _SOUND.add(told)
    return problem


_MOST_SOUND = 256
_SOUND: set[int] = set()
"""The hashes of keys that were found to be sound, since each request reads its key anew; never the keys."""


def _problem_of(text: str) -> str | None:
    if not text:
        return "it is empty"
    if problem := spelling_problem(text):
        return problem
    if len(text.splitlines()) > 1:
        return "it has more than one line; a key is one line"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "it holds a space or a character that no key has"
    return f"it has {len(text)} characters, and none has more than {LONGEST_KEY}" if len(text) > LONGEST_KEY else None


# Keyrings raise whatever their system raises, and their frames hold the key: each function below gives the problem back
# as a text, so that no foreign exception, cause or frame travels on.


def _fetch(name: str) -> Secret | str | None:
    try:
        import keyring

        for service in (SERVICE, ORIGINAL_SERVICE):
            if found := keyring.get_password(service, name):
                if not isinstance(found, str):  # a backend is anybody's code, whatever its annotations say
                    raise TypeError
                return Secret(found)
    except Exception as problem:  # noqa: BLE001
        return _explained(problem)
    return None


def _store(name: str, key: Secret) -> str | None:
    try:
        import keyring

        keyring.set_password(SERVICE, name, key.reveal())
        # keyring.backends.null accepts a key and keeps none: https://github.com/jaraco/keyring#disabling-keyring
        if keyring.get_password(SERVICE, name) != key.reveal():
            return (
                "the operating system's keyring does not keep keys; use an environment variable or a key file instead"
            )
    except Exception as problem:  # noqa: BLE001
        return _explained(problem)
    return None


def _remove(name: str) -> str | None:
    try:
        import keyring

        if keyring.get_password(SERVICE, name) is not None:
            keyring.delete_password(SERVICE, name)
            if keyring.get_password(SERVICE, name) is not None:  # another keyring of the chainer backend has it too
                return "the operating system's keyring still gives it"
    except Exception as problem:  # noqa: BLE001
        return _explained(problem)
    return None


def _explained(problem: Exception) -> str:
    if isinstance(problem, ImportError):
        return f"the keyring package is not installed: type {install_line('keyring')}, or use an environment variable"
    kind = type(problem).__name__
    return f"the operating system's keyring cannot be used ({kind}); use an environment variable or a key file instead"
