"""Where the value of a setting comes from: default < member < profile < session < cell."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from llx_magic.errors import SettingError
from llx_magic.hosts import command, is_notebook
from llx_magic.settings.declaration import DEFAULTS, SETTINGS, Scope, Settings, setting
from llx_magic.settings.kinds import SettingValue
from llx_magic.text.values import JsonValue

Values = Mapping[str, SettingValue]
"""Checked values of some settings; a key that is absent is not set in that layer."""


class Layer(enum.StrEnum):
    """Who set a value, from weakest to strongest."""

    DEFAULT = "default"
    MEMBER = "member profile"
    PROFILE = "profile"
    SESSION = "session"
    CELL = "cell"


class Resolved(NamedTuple):
    """The value in force and the layer it comes from."""

    value: SettingValue
    layer: Layer

    def origin(self, profile: str) -> str:
        """Return the layer in words; ``profile`` is the name of the profile in force."""
        return f"profile {profile}" if self.layer is Layer.PROFILE else self.layer


_NO_VALUES: Values = {}


def resolve(layers: Mapping[Layer, Values]) -> dict[str, Resolved]:
    """Return every setting's value in force with its origin; missing layers are empty."""
    resolved = {}
    for key, default in DEFAULTS.items():
        found = Resolved(default, Layer.DEFAULT)
        for layer in Layer:
            values = layers.get(layer, _NO_VALUES)
            if key in values:
                found = Resolved(values[key], layer)
        resolved[key] = found
    return resolved


def settings_of(layers: Mapping[Layer, Values]) -> Settings:
    """Return the settings that the layers add up to."""
    values: dict[str, SettingValue] = dict(DEFAULTS)
    for layer in Layer:
        values.update(layers.get(layer, _NO_VALUES))
    return msgspec.convert(values, Settings)


def read_values(raw: Mapping[str, JsonValue]) -> dict[str, SettingValue]:
    """Check a mapping of settings, as ``--set``, a file, or the Python API give it.

    Raises:
        SettingError: for the first unknown key or value that is not allowed.
    """
    return {key: setting(key).read(value) for key, value in raw.items()}


def read_cell_values(raw: Mapping[str, JsonValue]) -> dict[str, SettingValue]:
    """Check settings that are for one request only.

    Raises:
        SettingError: also for what a single request may not set, or not to this value.
    """
    values = read_values(raw)
    for key, value in values.items():
        scope = SETTINGS[key].scope
        if scope is Scope.PROFILE:
            raise SettingError(f"{key} cannot be set for one request: it governs the whole profile; {_elsewhere(key)}")
        if scope is Scope.SWITCH_OFF and value:
            raise SettingError(f"{key} can only be set to false for one request; {_elsewhere(key)}")
    return values


def _elsewhere(key: str) -> str:
    """Say where a setting of the whole profile is set."""
    return f"use {command(f'set {key}')}" if is_notebook() else f"save the profile with --set {key}=VALUE"


def usable_in_member(key: str) -> bool:
    """Return whether a member profile may set it."""
    return SETTINGS[key].scope is Scope.REQUEST


def write_values(values: Values, *, with_none: bool = True) -> dict[str, JsonValue]:
    """Return the values as a profile file holds them, in the order of the declaration."""
    return {
        key: declared.write(values[key])
        for key, declared in SETTINGS.items()
        if key in values and (with_none or values[key] is not None)
    }
