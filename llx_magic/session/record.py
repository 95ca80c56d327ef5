"""Everything that can be read about a loaded profile: settings in force, statistics, frames, plots and traces."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from llx_magic.core.archive import Block
from llx_magic.core.circuits import COOL_DOWN_MOMENTS, MOMENTS
from llx_magic.core.events import Event, VisitSucceeded, VisitWithoutReply
from llx_magic.core.ledger import Ledger
from llx_magic.core.peers import Shared
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.trace import Trace
from llx_magic.engine.budget import Budget, Purse
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.peers import look
from llx_magic.errors import UsageProblem
from llx_magic.files.folders import absolute
from llx_magic.hosts import command, is_notebook
from llx_magic.observe.frames import frames, remembered
from llx_magic.observe.plots import plots
from llx_magic.observe.plots.waterfall import plot_waterfall
from llx_magic.observe.status.status import Status, status_of
from llx_magic.observe.trouble import own_trouble_in_words
from llx_magic.profiles.document import Profile
from llx_magic.replay import history as history_files
from llx_magic.session.history_file import write_history
from llx_magic.session.members import limits_of_rows
from llx_magic.session.replaying import Replayer, change_of
from llx_magic.session.sharing import why_not_shared
from llx_magic.session.wiring import Places, purse_of
from llx_magic.settings.declaration import Settings
from llx_magic.settings.layers import Layer, Values, settings_of
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NO_VALUES: Values = {}

_BUDGET = "budget_usd"


class ProfileRecord:
    """A profile and what has happened to it; ``places`` are its members', ``session`` gives the session's values.

    Times are UTC in frames; rows are of what is still remembered.
    """

    def __init__(self, profile: Profile, live: LiveProfile, places: Places, session: Callable[[], Values]) -> None:
        self.profile = profile
        self._live = live
        self._backends = places
        self._gates = {gate.name: gate for _backend, gate in places}
        self.remarks: tuple[str, ...] = ()
        self._session = session
        self._purse = purse_of(profile)
        self._session_purse: Purse | None = None
        self._rows_at_once = limits_of_rows(profile.members)
        self._settings: tuple[Values, dict[str, Settings]] | None = None
        self._of_cell: tuple[Values, Values, dict[str, Settings]] | None = None
        self._budgets: tuple[Values, tuple[Budget, ...]] | None = None
        self._history_file: str | None = None

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name

    def said(self) -> tuple[str, ...]:
        """Return what the next reply says of the profile: its remarks, and what is said once of shared facts."""
        return (*self.remarks, *self._live.news())

    @property
    def members(self) -> tuple[str, ...]:
        """The backends' names, in order of priority; a backend with several places is named once, at the first."""
        return tuple(dict.fromkeys(member.name for member in self.profile.members))

    def settings(self, cell: Values = NO_VALUES) -> dict[str, Settings]:
        """Return the settings in force for each backend, with a cell's values on top."""
        session = self._session()
        if self._settings is None or self._settings[0] is not session:
            self._settings = session, self._add_up(session, NO_VALUES)
            in_force = next(iter(self._settings[1].values()))
            self._live.with_ledger(Ledger.resize, in_force.history_limit)
            self._keep_history(in_force.history_file)
        if not cell:
            return self._settings[1]
        known = self._of_cell
        if known is None or known[0] is not session or known[1] != cell:
            known = self._of_cell = session, cell, self._add_up(session, cell)
        return known[2]

    def _keep_history(self, named: str | None) -> None:
        """Write what happens from now on into the file that is named; only who began that ends it."""
        if named != self._history_file:
            self._history_file = named
            write_history(self._live, None if named is None else absolute(named))

    def _add_up(self, session: Values, cell: Values) -> dict[str, Settings]:
        above = {Layer.PROFILE: self.profile.settings, Layer.SESSION: session, Layer.CELL: cell}
        added = {
            member.name: settings_of({Layer.MEMBER: member.member_settings, **above}) for member in self.profile.members
        }
        for name, most in self._rows_at_once.items():
            added[name] = replace(added[name], concurrency=min(most, added[name].concurrency))
        return added

    def snapshot(self) -> Snapshot:
        """Return the state and the counts of every backend at this moment."""
        taken = self._live.snapshot((self._gates[name], settings) for name, settings in self.settings().items())
        budget = next((each for each in self.budgets() if each.limit is not None), Budget(self._purse))
        return replace(taken, spent=budget.purse.spent, budget=budget.limit, policy=self.profile.policy)

    def spend_from(self, purse: Purse) -> None:
        """Spend from the session's purse, too; the session's budget is a limit of that one."""
        self._session_purse, self._budgets = purse, None

    def budgets(self) -> tuple[Budget, ...]:
        """Return the purses that pay for a prompt, with the limits in force: the session's outweighs the profile's."""
        session = self._session()
        if self._budgets is None or self._budgets[0] is not session:
            self._budgets = session, self._budgeted(session)
        return self._budgets[1]

    def _budgeted(self, session: Values) -> tuple[Budget, ...]:
        here, saved = command(f"set {_BUDGET} {{}}"), f"--set {_BUDGET}={{}} where the profile is saved"
        how = here if is_notebook() else saved
        if _BUDGET not in session:
            own = Budget(self._purse, self.settings()[self.members[0]].budget_usd, how)
            return (own, Budget(self._session_purse)) if self._session_purse else (own,)
        limited = Budget(self._session_purse or self._purse, self.settings()[self.members[0]].budget_usd, how)
        return (limited, Budget(self._purse)) if self._session_purse else (limited,)

    def status(self) -> Status:
        """Return how the profile is: a sentence on who answers, who does not and why, and a line for each backend."""
        return status_of(self.snapshot())

    @own_trouble_in_words
    def stats(self) -> pd.DataFrame:
        """Return a row per backend, indexed by its name: its circuit, counts, latencies, tokens and rates.

        Columns: state, requests (visits), successes, failures, cancelled, in_flight, success_rate (0 to 1),
        mean_latency_seconds, p50_latency_seconds, p95_latency_seconds and ttft_seconds (median time to first token) of
        the answered visits, all from a visit's first sending,
        tokens, prompt_tokens, completion_tokens, cached_tokens and cache_written_tokens (of the prompts'),
        reasoning_tokens (of the completions'), cost (where it is known), tokens_per_second, tpm (tokens per minute),
        tpm_threshold, attempts, timeouts, seconds_until_probe, cooling_down_seconds, hedges (times asked beside a
        silent backend), outrun (times that another was first), last_error.
        """
        return frames.stats_frame(self.snapshot())

    async def shared(self, *, reads_keys: bool = True) -> Shared:
        """Return which processes share the backends now; the server of shared facts is asked, and no backend.

        A backend that has not been asked yet is known to the others by its key, which is read unless ``reads_keys`` is
        False.
        """
        if self._live.sharing is None:
            return Shared(self.name, why=why_not_shared(self.profile))
        return await look(self._live, self._backends, reads_keys=reads_keys)

    async def peers(self) -> pd.DataFrame:
        """Return a row per backend and process that shares it now, this process first; empty where nothing is shared.

        Columns: backend, host, process (its number there), name (the notebook's or the program's), is_here, since
        (UTC), requests (of the last minute), in_flight, state (its own opinion of the circuit), seconds_until_probe,
        cooling_down_seconds, has_probe, level (how many rows at once it has found the backend to bear), rpm_limit,
        tpm_limit and concurrency_limit (its own settings), rpm_used,
        tpm_used and concurrency_used (what counts of all processes together), heard_seconds (how long ago it said so).
        One of another version may not say who it is.
        """
        return own_trouble_in_words(frames.peers_frame)(await self.shared(), self.now(), self.epoch)

    @own_trouble_in_words
    def history(self) -> pd.DataFrame:
        """Return a row per request that has ended, in the order of their ends; at most ``history_limit``.

        A row of a map that was put back and asked again has one for each time, all with the same number; started and
        seconds are of the first time on.

        Columns: request, started (UTC), policy, outcome, seconds, backend, model, attempts, ttft_seconds (from the call
        to the first token of the answer, as seconds to its end), prompt_tokens, completion_tokens, cached_tokens and
        cache_written_tokens (of the prompt's), reasoning_tokens (of the completion's), cost, tokens_per_second (after
        the first piece), finish_reason, restarts, decisions (joined by semicolons), error.
        """
        return remembered.history_frame(self._blocks(), self.epoch)

    @own_trouble_in_words
    def attempts(self) -> pd.DataFrame:
        """Return a row per attempt that is still remembered, in the order in which they began.

        Columns: request, backend, attempt (from 1), started (UTC), seconds, ttft_seconds (from its own
        sending to the first token), outcome, and of a failure its kind, HTTP status and message.
        """
        return remembered.attempts_frame(self._blocks(), self.epoch)

    @own_trouble_in_words
    def events(self) -> pd.DataFrame:
        """Return a row per event, oldest first: every decision that is still remembered.

        The first columns are at (UTC), request, event and backend; the others are the facts of one kind of event or
        another, missing elsewhere, with the unit in the name.
        """
        return remembered.events_frame(self._blocks(), self.epoch)

    @own_trouble_in_words
    def tpm(self) -> pd.DataFrame:
        """Return a row per reply that reported its usage, oldest first: at (UTC), backend, tpm (tokens per minute)."""
        return remembered.tpm_frame(self._blocks(), self.epoch)

    @own_trouble_in_words
    def circuit(self) -> pd.DataFrame:
        """Return a row per interval of a backend's circuit: backends in priority order, each one's oldest first.

        Columns: backend, state, began (UTC), ended (UTC, NaT while it lasts), seconds (so far, while it lasts), cause.
        """
        since, events, snapshot = self.remembered_since, self.decisions(*MOMENTS), self.snapshot()
        states = {backend.name: backend.state for backend in snapshot.backends}
        return frames.circuit_frame(events, states, since, snapshot.at, self.epoch)

    @own_trouble_in_words
    def cool_downs(self) -> pd.DataFrame:
        """Return a row per cool-down after a rate limit, by backend, each one's oldest first.

        Columns: backend, began (UTC), ended (UTC, ahead while it lasts), seconds.
        """
        return frames.cool_downs_frame(self.decisions(*COOL_DOWN_MOMENTS), self.epoch)

    @own_trouble_in_words
    def replay(
        self,
        settings: Mapping[str, JsonValue] | None = None,
        policy: str | None = None,
        *,
        history: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Return a row per prompt: what it would have come to under other settings or another policy.

        The prompts are those that are still remembered, or those of a ``history`` that ``save_history`` or the setting
        ``history_file`` wrote. The settings in force hold for all that is not given. What a prompt met at a backend is
        played back; what it never met is drawn from what that backend answered, by ``seed``, in several courses: the
        rows are those of the course whose p95 is the middle. Nothing is sent.

        Columns: request, started (UTC), outcome, backend, seconds, ttft_seconds, attempts, drawn (how many of the
        attempts met what was drawn), prompt_tokens, completion_tokens, cost, decisions, error, and of what happened
        was_outcome, was_backend, was_seconds, was_cost. ``attrs["drawn_share"]`` is the share of all attempts;
        ``attrs["answered_from_to"]`` and ``attrs["p95_from_to"]`` are the least and the greatest in the courses, and
        ``attrs["cannot_be_told"]`` names each figure in which they differ too much, with the reason.

        Raises:
            SettingError: for a setting that does not exist, or a value that is not allowed.
            ProfileError: for a policy that does not exist.
            UsageProblem: for a history that cannot be read, or without a prompt that has ended.
        """
        change = change_of(settings, policy)
        replayer = Replayer(self, history, seed)
        return replayer.frame(replayer.try_out(change))

    def save_history(self, path: str | os.PathLike[str]) -> None:
        """Write every event that is still remembered into a new file, ``.parquet`` or ``.jsonl``, to be replayed.

        It holds neither prompts nor replies. A Parquet file has the columns of ``events``, and one more.

        Raises:
            UsageProblem: where the file is there already, or cannot be written.
        """
        history_files.save(absolute(path), self.decisions(), f"{os.getpid()}", self.epoch)

    @own_trouble_in_words
    def plot_circuit(self, *, ax: Axes | None = None) -> Axes:
        """Draw each backend's circuit and cool-downs over time; return the Axes, which a notebook shows as a value."""
        return plots.plot_circuit(self.circuit(), self.cool_downs(), self.members, epoch=self.epoch, ax=ax)

    @own_trouble_in_words
    def plot_latency(self, *, ax: Axes | None = None) -> Axes:
        """Draw the seconds of every visit over time, over what kept backends out, with each ``timeout_ms`` in force.

        Returns the Axes.
        """
        limits = {name: settings.timeout_ms for name, settings in self.settings().items()}
        visits = frames.visits_frame(self.decisions(VisitSucceeded, VisitWithoutReply), self.epoch)
        return plots.plot_latency(visits, self.circuit(), self.cool_downs(), limits, epoch=self.epoch, ax=ax)

    @own_trouble_in_words
    def plot_tpm(self, *, ax: Axes | None = None) -> Axes:
        """Draw each backend's tokens per minute over time, with each ``tpm_threshold`` in force; return the Axes."""
        thresholds = {name: settings.tpm_threshold for name, settings in self.settings().items()}
        basis = {name: settings.tpm_basis for name, settings in self.settings().items()}
        curves = frames.curves_frame(self.decisions(VisitSucceeded), basis, self.now(), self.epoch)
        return plots.plot_tpm(self.tpm(), curves, thresholds, epoch=self.epoch, ax=ax)

    @own_trouble_in_words
    def plot_waterfall(self, request: int | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw how a request (the last one, unless its number is given) was decided; return the Axes.

        Raises:
            UsageProblem: for a request that is not remembered.
        """
        return plot_waterfall(self.trace(request), ax=ax)

    def trace(self, request: int | None = None) -> Trace:
        """Return how a request (the last one, unless its number is given) was decided; empty before the first.

        Raises:
            UsageProblem: for a request that is not remembered.
        """
        kept = self._live.with_ledger(Ledger.remembered)
        numbers = kept.requests()
        if request is None:
            return Trace(kept.of(max(numbers))) if numbers else Trace(())
        if request not in numbers:
            there_are = f"there are {min(numbers)} to {max(numbers)}" if numbers else "there is none yet"
            raise UsageProblem(f"no request {request} is remembered of {self.name}; {there_are}")
        return Trace(kept.of(request))

    def decisions(self, *kinds: type[Event]) -> tuple[Event, ...]:
        """Return the events themselves, or those of some kinds, oldest first."""
        return self._live.with_ledger(Ledger.remembered).events(*kinds)

    def _blocks(self) -> list[Block]:
        return self._live.with_ledger(Ledger.remembered).blocks()

    @property
    def remembered_since(self) -> float | None:
        """The time from which on every event is kept, on the events' clock; None before the first."""
        return self._live.with_ledger(lambda ledger: ledger.since)

    @property
    def times_reset(self) -> int:
        """How often the statistics were reset."""
        return self._live.with_ledger(lambda ledger: ledger.times_reset)

    @property
    def epoch(self) -> float:
        """The Unix time, in seconds, at which the events' clock was zero."""
        return self._live.clock.epoch

    def now(self) -> float:
        """Return the seconds of the clock that the events' ``at`` is in."""
        return self._live.clock.now()
