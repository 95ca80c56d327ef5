"""A keyring in a file, for this process and for those that are started from it (``PYTHON_KEYRING_BACKEND``)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import keyring.backend
import keyring.errors

VARIABLE = "LLX_TEST_VAULT"
"""Names the file."""

NAME = "tests.secrets.vault.FileKeyring"


class FileKeyring(keyring.backend.KeyringBackend):
    """A keyring as any other, whose entries are in a file."""

    priority = 1

    def get_password(self, service, username):
        return self._entries().get(f"{service}\n{username}")

    def set_password(self, service, username, password):
        self._keep({**self._entries(), f"{service}\n{username}": password})

    def delete_password(self, service, username):
        entries = self._entries()
        if entries.pop(f"{service}\n{username}", None) is None:
            raise keyring.errors.PasswordDeleteError(username)
        self._keep(entries)

    def _entries(self):
        path = Path(os.environ[VARIABLE])
        return json.loads(path.read_text()) if path.exists() else {}

    def _keep(self, entries):
        Path(os.environ[VARIABLE]).write_text(json.dumps(entries))
