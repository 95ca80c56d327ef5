"""The frozen settings by which one request treats one backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Every setting in force for one backend during one request; units are in the names.

    A field is named as the setting it holds; defaults and meanings are in ``llx_magic.settings``, the one place
    where a setting is declared.
    """

    tpm_threshold: float | None
    tpm_basis: Literal["elapsed", "busy"]
    timeout_ms: int | None
    connect_timeout_ms: int | None
    first_token_timeout_ms: int | None
    stall_timeout_ms: int | None
    streaming: bool
    circuit_breaker_enabled: bool
    circuit_breaker_failure_threshold: int
    circuit_breaker_failure_window_ms: int
    circuit_breaker_recovery_timeout_ms: int
    failover_retry_count: int
    failover_retry_delay_ms: int
    failover_status_codes: frozenset[int]
    failover_on_network_errors: bool
    failover_on_content_filter: bool
    cooldown_wait_ms: int | None
    history_limit: int

    @property
    def first_word_limit_ms(self) -> int | None:
        """The milliseconds from sending within which something must have come; None where nothing limits that."""
        limits = (self.timeout_ms, self.first_token_timeout_ms if self.streaming else None)
        return min((limit for limit in limits if limit is not None), default=None)
