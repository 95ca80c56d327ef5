"""The one declaration of every setting.

Validation, help, completion, the README's table and the JSON schema are all made from ``SETTINGS``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

from llx_magic.errors import SettingError, brief
from llx_magic.settings.kinds import (
    Choice,
    Kind,
    NotAllowedError,
    Number,
    SettingValue,
    StatusCodes,
    Switch,
    Whole,
    fits,
    text_schema,
)
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import any_case, nearest
from llx_magic.units import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its name, what it may hold, what it means.

    ``optional`` settings can be switched off with ``none``. ``scope`` says where it can be set: "request" anywhere,
    "profile" not for one cell and not by a member, since the state it governs belongs to the whole profile.
    """

    key: str
    kind: Kind
    default: JsonValue
    unit: str
    meaning: str
    optional: bool = False
    scope: Literal["request", "profile"] = "request"

    def read(self, raw: JsonValue) -> SettingValue:
        """Return the checked value of what was typed or found in a file; ``none`` (null in a file) is None.

        Raises:
            SettingError: one line with the key, what is allowed and what was given.
        """
        if raw is None or (isinstance(raw, str) and fits(_NONE, raw)):
            if self.optional:
                return None
            raise SettingError(f"{self.key} must be {self.kind.allowed}, got none")
        try:
            return self.kind.read(raw)
        except NotAllowedError as problem:
            hint = f"; {problem.hint}" if problem.hint else ""
            raise SettingError(f"{self.key} must be {problem.allowed}, got {_shown(raw)}{hint}") from None

    def write(self, value: SettingValue) -> JsonValue:
        """Return the value as a profile file holds it; None is null."""
        return None if value is None else self.kind.write(value)

    def schema(self) -> dict[str, JsonValue]:
        """Return the JSON schema of what ``read`` accepts."""
        value = self.kind.schema()
        if self.optional:
            value = {"anyOf": [value, {"type": "null"}, text_schema(_NONE)]}
        unit = f" ({self.unit})" if self.unit else ""
        return {**value, "default": self.default, "description": self.meaning + unit}

    def show_with_unit(self, value: SettingValue) -> str:
        """Return the value with its unit, as a sentence has it; a long time also as people say it."""
        if value is None or not self.unit:
            return self.show(value)
        unit = self.unit.removesuffix("s") if value == 1 and self.unit != "ms" else self.unit
        told = f"{self.show(value)} {unit}"
        if unit == "ms" and isinstance(value, int) and value >= 60_000:
            told += f" ({duration(value / 1000)})"
        return told

    def show(self, value: SettingValue) -> str:
        """Return the value as a table and a prompt show it."""
        written = self.write(value)
        if written is None:
            return "none"
        if isinstance(written, list):
            return ",".join(str(item) for item in written)
        return str(written).lower() if isinstance(written, bool) else str(written)


def _shown(raw: JsonValue) -> str:
    """Show a number bare and everything else quoted, cut where it is long."""
    text = brief(raw)
    if isinstance(raw, str) and raw.isprintable() and raw == raw.strip():
        with contextlib.suppress(ValueError):
            float(raw)
            text = raw
    return text if len(text) <= 60 else text[:57] + "..."


_NONE = any_case("none")
_MS = "a number of milliseconds"
_DURATIONS = ("5000", "30000", "60000", "none")

_DECLARED = (
    Setting(
        key="tpm_threshold",
        kind=Number(),
        default=None,
        optional=True,
        unit="tokens/min",
        meaning="Least tokens per minute over the last 5 minutes; below it the request fails over",
    ),
    Setting(
        key="tpm_basis",
        kind=Choice(("elapsed", "busy")),
        default="elapsed",
        unit="",
        meaning="What tokens are divided by: minutes that passed, or minutes the backend was answering (busy), "
        "so that your own pauses do not make it look slow",
    ),
    Setting(
        key="timeout_ms",
        kind=Whole(_MS, offered=("60000", "600000", "none")),
        default=600_000,
        optional=True,
        unit="ms",
        meaning="Limit of one attempt as a whole, from sending to the last byte",
    ),
    Setting(
        key="connect_timeout_ms",
        kind=Whole(_MS, offered=_DURATIONS),
        default=10_000,
        optional=True,
        unit="ms",
        meaning="Limit until the connection stands",
    ),
    Setting(
        key="first_token_timeout_ms",
        kind=Whole(_MS, offered=_DURATIONS),
        default=120_000,
        optional=True,
        unit="ms",
        meaning="Limit from sending to the first piece of text or reasoning",
    ),
    Setting(
        key="stall_timeout_ms",
        kind=Whole(_MS, offered=_DURATIONS),
        default=60_000,
        optional=True,
        unit="ms",
        meaning="Limit between two pieces of a streamed reply",
    ),
    Setting(
        key="streaming",
        kind=Switch("enabled", "disabled"),
        default="enabled",
        unit="",
        meaning="Whether the backend is asked for a stream; disabled asks for the whole reply at once",
    ),
    Setting(
        key="circuit_breaker_enabled",
        kind=Switch(),
        default=True,
        unit="",
        meaning="Whether a backend that keeps failing is left alone for a while",
    ),
    Setting(
        key="circuit_breaker_failure_threshold",
        kind=Whole("a number of failures", offered=("2", "3", "5")),
        default=3,
        unit="failures",
        scope="profile",
        meaning="Failures within the window that open the circuit",
    ),
    Setting(
        key="circuit_breaker_failure_window_ms",
        kind=Whole(_MS, offered=("60000", "300000")),
        default=60_000,
        unit="ms",
        scope="profile",
        meaning="How long a failure is remembered",
    ),
    Setting(
        key="circuit_breaker_recovery_timeout_ms",
        kind=Whole(_MS, offered=("10000", "30000")),
        default=30_000,
        unit="ms",
        scope="profile",
        meaning="How long an open circuit waits before one request probes the backend (half-open)",
    ),
    Setting(
        key="failover_retry_count",
        kind=Whole("a number of attempts", offered=("1", "2", "3")),
        default=2,
        unit="attempts",
        meaning="Attempts per backend, in all, before the next backend is asked",
    ),
    Setting(
        key="failover_retry_delay_ms",
        kind=Whole(_MS, minimum=0, offered=("0", "1000")),
        default=1000,
        unit="ms",
        meaning="Wait before the second attempt, lengthened at random by at most a quarter; doubles after that, to 8 s",
    ),
    Setting(
        key="failover_status_codes",
        kind=StatusCodes(),
        default=[408, 409, 425, 429, 500, 502, 503, 504, 529],
        unit="",
        meaning="HTTP statuses that are tried again on the same backend; any other goes straight to the next",
    ),
    Setting(
        key="failover_on_network_errors",
        kind=Switch(),
        default=True,
        unit="",
        meaning="Whether network errors are tried again on the same backend (they fail over in any case)",
    ),
    Setting(
        key="failover_on_content_filter",
        kind=Switch(),
        default=False,
        unit="",
        meaning="Whether a refusal by a content filter goes to the next backend",
    ),
    Setting(
        key="cooldown_wait_ms",
        kind=Whole(_MS, offered=_DURATIONS),
        default=10_000,
        optional=True,
        unit="ms",
        meaning="The longest wait for a rate limit to end, where nothing but rate limits keeps every backend from "
        "answering",
    ),
    Setting(
        key="history_limit",
        kind=Whole("a number of requests", offered=("1000", "10000")),
        default=10_000,
        unit="requests",
        scope="profile",
        meaning="Requests kept for history()",
    ),
)

SETTINGS: dict[str, Setting] = {setting.key: setting for setting in _DECLARED}
"""Every setting by its key, in the order in which tables show them."""

DEFAULTS: dict[str, SettingValue] = {setting.key: setting.read(setting.default) for setting in _DECLARED}
"""The value of each setting where no layer sets it."""


def setting(key: str) -> Setting:
    """Return the declaration of a setting.

    Raises:
        SettingError: for a name that is none; the nearest is offered.
    """
    if found := SETTINGS.get(key):
        return found
    raise SettingError(f"unknown setting {key!r}{nearest(key, SETTINGS)}")


def json_schema() -> dict[str, JsonValue]:
    """Return the JSON schema of the settings in ``ephemeralSettings``: exactly what reading accepts, texts included."""
    properties: dict[str, JsonValue] = {key: declared.schema() for key, declared in SETTINGS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ephemeralSettings of a profile",
        "type": "object",
        "properties": properties,
        "additionalProperties": True,
    }
