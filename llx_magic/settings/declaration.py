"""The one declaration of every setting: the fields of ``Settings``.

Validation, help, completion, the README's table and the JSON schema are all made from them.
"""

from __future__ import annotations

import contextlib
import enum
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal, get_args, get_type_hints

from llx_magic.errors import SettingError, brief
from llx_magic.settings.kinds import (
    Choice,
    Kind,
    NewFile,
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
from llx_magic.units import duration, exact


class Scope(enum.Enum):
    """Where a setting can be set, beside the layers in which every one can."""

    REQUEST = "also by a member, and for one request"
    PROMPT = "not by a member, since all are sent the same; also for one request"
    SWITCH_OFF = "not by a member; for one request it can only be switched off"
    PROFILE = "neither by a member nor for one request, since what it governs belongs to the whole profile"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one setting may hold, what it means, and where it can be set.

    ``key``, ``default`` and ``optional`` (whether ``none`` switches it off) are those of the field that it stands at.
    """

    kind: Kind
    meaning: str
    unit: str = ""
    scope: Scope = Scope.REQUEST
    key: str = ""
    default: SettingValue = None
    optional: bool = False

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
        return {**value, "default": self.write(self.default), "description": self.meaning + unit}

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
        if isinstance(written, float):
            return exact(written)
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
TpmBasis = Literal["elapsed", "busy"]


def _ms(meaning: str, *offered: str, least: Literal[0, 1] = 1, scope: Scope = Scope.REQUEST) -> Setting:
    return Setting(Whole("a number of milliseconds", least, offered), meaning, "ms", scope)


def _limit(meaning: str, least: Literal[0, 1] = 1) -> Setting:
    return _ms(meaning, "5000", "30000", "60000", "none", least=least)


def _count(of: str, meaning: str, *offered: str, scope: Scope = Scope.REQUEST) -> Setting:
    return Setting(Whole(f"a number of {of}", offered=offered), meaning, of, scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings by which one request treats one backend, each with its declaration; units are in the names.

    Made without arguments it holds the defaults.
    """

    tpm_threshold: Annotated[
        float | None,
        Setting(
            Number(), "Least tokens per minute over the last 5 minutes; below it the request fails over", "tokens/min"
        ),
    ] = None
    tpm_basis: Annotated[
        TpmBasis,
        Setting(
            Choice(get_args(TpmBasis)),
            "What tokens are divided by: minutes that passed, or minutes the backend was answering (busy), "
            "so that your own pauses do not make it look slow",
        ),
    ] = "elapsed"
    timeout_ms: Annotated[
        int | None, _ms("Limit of one attempt as a whole, from sending to the last byte", "60000", "600000", "none")
    ] = 600_000
    connect_timeout_ms: Annotated[int | None, _limit("Limit until the connection stands")] = 10_000
    first_token_timeout_ms: Annotated[
        int | None, _limit("Limit from sending to the first piece of text or reasoning")
    ] = 120_000
    stall_timeout_ms: Annotated[int | None, _limit("Limit between two pieces of a streamed reply")] = 60_000
    streaming: Annotated[
        bool,
        Setting(
            Switch("enabled", "disabled"),
            "Whether the backend is asked for a stream; disabled asks for the whole reply at once",
        ),
    ] = True
    circuit_breaker_enabled: Annotated[
        bool, Setting(Switch(), "Whether a backend that keeps failing is left alone for a while", "", Scope.SWITCH_OFF)
    ] = True
    circuit_breaker_failure_threshold: Annotated[
        int, _count("failures", "Failures within the window that open the circuit", "2", "3", "5", scope=Scope.PROFILE)
    ] = 3
    circuit_breaker_failure_window_ms: Annotated[
        int, _ms("How long a failure is remembered", "60000", "300000", scope=Scope.PROFILE)
    ] = 60_000
    circuit_breaker_recovery_timeout_ms: Annotated[
        int,
        _ms(
            "How long an open circuit waits before one request probes the backend (half-open)",
            "10000",
            "30000",
            scope=Scope.PROFILE,
        ),
    ] = 30_000
    failover_retry_count: Annotated[
        int, _count("attempts", "Attempts per backend, in all, before the next backend is asked", "1", "2", "3")
    ] = 2
    failover_retry_delay_ms: Annotated[
        int,
        _ms(
            "Wait before the second attempt, lengthened at random by at most a quarter; doubles after that, to 8 s",
            "0",
            "1000",
            least=0,
        ),
    ] = 1000
    failover_status_codes: Annotated[
        frozenset[int],
        Setting(
            StatusCodes(),
            "HTTP statuses that are tried again on the same backend; any other goes straight to the next",
        ),
    ] = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
    failover_on_network_errors: Annotated[
        bool,
        Setting(Switch(), "Whether network errors are tried again on the same backend (they fail over in any case)"),
    ] = True
    failover_on_content_filter: Annotated[
        bool, Setting(Switch(), "Whether a refusal by a content filter goes to the next backend")
    ] = False
    schema_retries: Annotated[
        int,
        Setting(
            Whole("a number of times", 0, ("0", "1", "2")),
            "How often a backend whose reply is not the JSON that was asked for is asked again with what is wrong",
            "times",
        ),
    ] = 2
    hedge_after_ms: Annotated[
        int | None,
        _ms(
            "When nothing of a reply has been shown by then, the next backend is asked as well, and the first to show "
            "text answers",
            "2000",
            "5000",
            "none",
        ),
    ] = None
    cooldown_wait_ms: Annotated[
        int | None,
        _limit(
            "The longest wait for a backend that only a rate limit keeps from answering, where no other answers; "
            "with 0 or none nothing waits",
            least=0,
        ),
    ] = 10_000
    concurrency: Annotated[
        int,
        _count("rows", "Rows under way at one backend, at most; how many it can take is found out", "16", "64"),
    ] = 64
    rpm_limit: Annotated[
        int | None, _count("requests/min", "How many requests may be sent in any minute", "60", "600", "none")
    ] = None
    tpm_limit: Annotated[
        int | None,
        _count(
            "tokens/min",
            "How many tokens may be sent and received in any minute, as far as they can be told before",
            "30000",
            "none",
        ),
    ] = None
    concurrency_limit: Annotated[
        int | None, _count("requests", "How many requests may be under way at once", "1", "8", "none")
    ] = None
    budget_usd: Annotated[
        float | None,
        Setting(
            Number(offered=("1", "5", "20", "none")),
            "The most that may be spent until this process ends; beyond it a request is refused, and a backend whose "
            "price is not known is passed over",
            "USD",
            Scope.PROFILE,
        ),
    ] = None
    row_timeout_ms: Annotated[
        int | None,
        _ms(
            "Limit of one row of a map, from its first sending to its reply, with all waits and further attempts",
            "60000",
            "600000",
            "none",
            scope=Scope.PROMPT,
        ),
    ] = None
    ask_above_usd: Annotated[
        float | None,
        Setting(
            Number(offered=("1", "10", "50", "none")),
            "What a run over rows may cost by its estimate without %%llx_map and llx map asking first; with a budget "
            "they do not ask",
            "USD",
            Scope.PROMPT,
        ),
    ] = 10
    image_max_pixels: Annotated[
        int,
        _count(
            "pixels",
            "How wide and how high an image of a prompt may be; a larger one is scaled",
            "1024",
            "2048",
            scope=Scope.PROMPT,
        ),
    ] = 2048
    keep_prompts: Annotated[
        bool,
        Setting(Switch(), "Whether the store of replies (--cache, rows) keeps the prompts too", scope=Scope.PROMPT),
    ] = False
    history_limit: Annotated[
        int, _count("requests", "Requests kept for history()", "1000", "10000", scope=Scope.PROFILE)
    ] = 10_000
    history_file: Annotated[
        str | None,
        Setting(
            NewFile(".jsonl"),
            "Where every event is appended as it happens, for a replay later; neither prompts nor replies",
            scope=Scope.PROFILE,
        ),
    ] = None

    @property
    def first_word_limit_ms(self) -> int | None:
        """The milliseconds from sending within which something must have come; None where nothing limits that."""
        limits = (self.timeout_ms, self.first_token_timeout_ms if self.streaming else None)
        return min((limit for limit in limits if limit is not None), default=None)


def _declared() -> dict[str, Setting]:
    found, hints = {}, get_type_hints(Settings, include_extras=True)
    for each in fields(Settings):
        holds, declared = get_args(hints[each.name])
        found[each.name] = replace(
            declared, key=each.name, default=each.default, optional=type(None) in get_args(holds)
        )
    return found


SETTINGS: dict[str, Setting] = _declared()
"""Every setting by its key, in the order in which tables show them."""

DEFAULTS: dict[str, SettingValue] = {key: declared.default for key, declared in SETTINGS.items()}
"""The value of each setting where no layer sets it."""


def setting(key: str) -> Setting:
    """Return the declaration of a setting.

    Raises:
        SettingError: for a name that is none; the nearest is offered.
    """
    if found := SETTINGS.get(key):
        return found
    raise SettingError(f"unknown setting {key!r}{nearest(key, SETTINGS)}")
