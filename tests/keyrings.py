"""Keyrings for tests: one that works, and one whose system is away."""

from __future__ import annotations

import keyring
import keyring.backend
import keyring.errors

KEY = "sk-very-secret"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring as any other, whose entries are in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.entries = {}

    def get_password(self, service, username):
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        self.entries[service, username] = password

    def delete_password(self, service, username):
        if self.entries.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError(username)


class BrokenKeyring(MemoryKeyring):
    """A keyring whose system is away and whose error repeats what it was given."""

    def get_password(self, service, username):
        raise RuntimeError(f"no bus for {service} {KEY}")

    def set_password(self, service, username, password):
        raise RuntimeError(f"no bus for {password}")
