"""One dashboard as a widget; importing this module imports ipywidgets."""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Literal

import ipywidgets as widgets

from llx_magic.core.breaker import Cause
from llx_magic.core.events import Event
from llx_magic.core.peers import Shared
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard import panel
from llx_magic.dashboard.timeline import Timeline
from llx_magic.dashboard.view import View
from llx_magic.errors import LlxError
from llx_magic.notebook.adviser import Adviser
from llx_magic.notebook.dashboards import key_of
from llx_magic.notebook.onlooker import Onlooker
from llx_magic.notebook.pieces import Pieces, html
from llx_magic.notebook.still import Bundle, live_bundle, live_class, still_bundle
from llx_magic.observe import report
from llx_magic.session.balancer import LoadBalancer
from llx_magic.text.screen import one_line, printable

SPANS = {"1 min": 60.0, "5 min": 300.0, "60 min": 3600.0}
"""The spans of time that can be chosen, in seconds."""

STEPS = 150
"""In how many steps the picture moves through its span, so that it is not sent again for each pixel."""

_FEW, _COARSEST = 4, 4
"""Of more backends the steps are longer, up to so many times, since each has a row to be sent."""

NOT_DRAWN = "the last state of this dashboard could not be drawn; the log says why"

_log = logging.getLogger(__name__)


class Dashboard:
    """A profile's live view: the picture piece by piece, and controls.

    ``profiles`` returns what can be chosen, ``wake`` asks for an early ``push``, ``closed`` is told of the end with
    the still picture that stands from then on. Its methods may be called from any thread.
    """

    def __init__(
        self,
        key: str,
        profiles: Callable[[], Sequence[LoadBalancer]],
        wake: Callable[[], None],
        closed: Callable[[Dashboard, Bundle], None],
    ) -> None:
        self.key = key
        self._mark = uuid.uuid4().hex[:12]
        self._profiles = profiles
        self._wake = wake
        self._closed = closed
        self._lock = threading.RLock()
        self._balancer: LoadBalancer | None = None
        self._onlooker: Onlooker | None = None
        self._adviser: Adviser | None = None
        self._timeline = Timeline()
        self._subscriber = partial(self._on_event, self._timeline)
        self._offering = False
        self._offered: tuple[str, ...] = ()
        self._choices: dict[str, LoadBalancer] = {}
        self._dirty = True
        self._ended = False
        self._seen: tuple[tuple[BackendSnapshot, ...], Shared | None, str] = ((), None, "")
        self._pieces = Pieces()
        self._make_controls()
        self.box = widgets.VBox(self._rows())
        self.box.add_class("llx-dashboard")
        self.box.add_class(live_class(self._mark))

    @property
    def balancer(self) -> LoadBalancer:
        """The profile that is shown."""
        assert self._balancer is not None
        return self._balancer

    @property
    def message(self) -> str:
        """What the last control has done, as HTML."""
        return str(self._message.value)

    def follow(self, balancer: LoadBalancer) -> None:
        """Show a profile from now on, with what is remembered of its past."""
        with self._lock:
            if self._ended or balancer is self._balancer:
                return
            self._leave()
            self._balancer, self._onlooker, self._adviser = balancer, Onlooker(balancer), Adviser(balancer)
            timeline = self._timeline = Timeline(self._basis(), balancer.epoch)
            self._subscriber = partial(self._on_event, timeline)
            balancer.subscribe(self._subscriber)
            timeline.catch_up(balancer.decisions, balancer.remembered_since)
            self._backend.options = balancer.members
            self._backend.value = balancer.members[0]
            self._offer()
            self._dirty = True
            while self.push():  # all of it at once, so that nothing is first shown without its height
                pass

    def push(self) -> bool:
        """Send what has changed, at most so much at once; return whether there is more to send."""
        with self._lock:
            if self._ended or self._balancer is None or self._pause.value:
                return False
            if self._pieces.is_waiting:
                return self._pieces.send() or self._dirty
            self._follow_reloaded()
            snapshot, shared = self.balancer.snapshot(), self._shared()
            seen = (snapshot.backends, shared, self._advice(snapshot))
            if self._dirty or _is_moving(snapshot) or seen != self._seen:
                self._dirty, self._seen = False, seen
                self._pieces.take(panel.pieces(snapshot, self._view(snapshot), *seen[1:]))
            return self._pieces.send(at_most=0)  # to look costs as much as to send two pieces

    def resume(self) -> None:
        """End a pause, if there is one."""
        self._pause.value = False

    def live(self) -> Bundle:
        """Return what shows the widget."""
        return live_bundle(self.box._repr_mimebundle_())

    def still(self) -> Bundle:
        """Return what shows the present state, with its date, where there are no widgets.

        Where it cannot be drawn it says so instead: neither a cell nor the end of a dashboard fails of it.
        """
        now, plain, picture = dt.datetime.now().astimezone(), NOT_DRAWN, ""
        try:
            snapshot, plain = self.balancer.snapshot(), self.plain()
            picture = panel.whole(snapshot, self._view(snapshot), self._shared(), self._advice(snapshot))
        except Exception:  # noqa: BLE001 - whatever the fault is, it is in a picture
            _log.warning("a dashboard's still picture could not be drawn", exc_info=True)
        return still_bundle(self._mark, now, plain, picture or f"<pre>{escape(plain)}</pre>")

    def plain(self) -> str:
        """Return the present state in words."""
        return printable(report.plain(self.balancer.snapshot()))

    def close(self) -> None:
        """Stop following; where it was shown, the last state stays as a table and a picture."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._leave()
            last = self.still()
        try:
            self._closed(self, last)
        finally:
            for widget in (*self._pieces.box.children, *self.box.children, self.box):
                widget.close()

    # What is drawn

    @property
    def _step(self) -> float:
        many = max(1.0, len(self.balancer.members) / _FEW)
        return float(self._span.value) / STEPS * min(many, _COARSEST)

    def _basis(self) -> Literal["elapsed", "busy"]:
        return next(iter(self.balancer.settings().values())).tpm_basis

    def _view(self, snapshot: Snapshot) -> View:
        self._timeline.basis = self._basis()
        until = math.ceil(snapshot.at / self._step) * self._step
        return self._timeline.view(snapshot, float(self._span.value), until)

    def _shared(self) -> Shared | None:
        return None if self._onlooker is None else self._onlooker.latest()

    def _advice(self, snapshot: Snapshot) -> str:
        return "" if self._adviser is None else self._adviser.latest(snapshot)

    # What is followed

    def _on_event(self, timeline: Timeline, event: Event) -> None:
        timeline.fold(event)
        self._dirty = True
        self._wake()

    def _leave(self) -> None:
        if self._balancer is not None:
            self._balancer.unsubscribe(self._subscriber)
        if self._adviser is not None:
            self._adviser.stop()

    def _follow_reloaded(self) -> None:
        """Go on with the profile's new version where its file was changed and loaded again, and offer what is new."""
        loaded = {key_of(balancer): balancer for balancer in self._profiles()}
        if tuple(loaded) != self._offered:
            self._offer()
        if (fresh := loaded.get(key_of(self.balancer))) is not None and fresh is not self._balancer:
            self.follow(fresh)

    def _offer(self) -> None:
        """Let the loaded profiles be chosen, the one shown among them."""
        loaded = {key_of(balancer): balancer for balancer in self._profiles()}
        self._offered = tuple(loaded)
        loaded.setdefault(key_of(self.balancer), self.balancer)
        self._choices = loaded
        self._offering = True
        try:
            self._profile.options = [(balancer.name, key) for key, balancer in loaded.items()]
            self._profile.value = key_of(self.balancer)
        finally:
            self._offering = False

    # The controls

    def _make_controls(self) -> None:
        small = widgets.Layout(width="auto")
        self._profile = widgets.Dropdown(description="Profile", layout=widgets.Layout(width="230px"))
        self._profile.style.description_width = "62px"
        self._span = widgets.ToggleButtons(options=SPANS, value=300.0, tooltips=[f"show the last {s}" for s in SPANS])
        self._span.style.button_width = "66px"
        self._pause = widgets.ToggleButton(description="Pause", icon="pause", tooltip="stop redrawing", layout=small)
        self._close = _button("Close", "times", "end the dashboard; its last state stays")
        self._backend = widgets.Dropdown(description="Backend", layout=widgets.Layout(width="230px"))
        self._backend.style.description_width = "62px"
        self._open_circuit = self._button("Open circuit", "", "skip this backend until it has recovered", self._open)
        self._close_circuit = self._button("Close circuit", "", "ask this backend again at once", self._shut)
        self._reset = self._button("Reset statistics", "", "forget counts and history; circuits stay", self._forget)
        what = "write the picture (PNG, SVG), its words, plots and tables into the working folder"
        self._export = self._button("Export", "download", what, self.export)
        self._message, self._paused = html(), html()
        self._paused.layout = widgets.Layout(width="auto", margin="0 8px", flex="0 0 auto")
        self._profile.observe(self._choose, "value")
        self._span.observe(lambda _change: self._redraw(), "value")
        self._pause.observe(self._on_pause, "value")
        self._close.on_click(lambda _button: self.close())

    def _button(self, text: str, icon: str, tooltip: str, action: Callable[[], str]) -> widgets.Button:
        """Return a button whose action says below the dashboard what it has done."""
        button = _button(text, icon, tooltip)
        button.on_click(lambda _button: self._carry_out(action))
        return button

    def _rows(self) -> list[object]:
        wrap = widgets.Layout(flex_flow="row wrap", align_items="center")
        style = widgets.HTML(f"<style>{panel.SHEET}</style>", layout=widgets.Layout(display="none"))
        watching = widgets.HBox(
            [self._profile, self._span, self._pause, self._paused, self._export, self._close], layout=wrap
        )
        acting = widgets.HBox([self._backend, self._open_circuit, self._close_circuit, self._reset], layout=wrap)
        return [style, watching, self._pieces.box, acting, self._message]

    def _choose(self, _change: object) -> None:
        with self._lock:
            chosen = self._choices.get(self._profile.value)
            if chosen is not None and not self._offering:
                self.follow(chosen)

    def _on_pause(self, _change: object) -> None:
        paused = bool(self._pause.value)
        self._pause.description, self._pause.icon = ("Resume", "play") if paused else ("Pause", "pause")
        since = dt.datetime.now().astimezone().strftime("%H:%M:%S")
        self._paused.value = f"<b role='status' style='white-space:nowrap'>paused at {since}</b>" if paused else ""
        self._redraw()

    def _redraw(self) -> None:
        self._dirty = True
        self._wake()

    def _carry_out(self, action: Callable[[], str]) -> None:
        try:
            said = action()
        except (LlxError, OSError) as problem:
            said = f"{type(problem).__name__}: {problem}"
        self._message.value = f"<span role='status'>{escape(one_line(said, 1000))}</span>"
        self._redraw()

    def _open(self) -> str:
        self.balancer.open_circuit(self._backend.value)
        return f"the circuit of {self._backend.value} was opened {Cause.BY_HAND}; it recovers as any other"

    def _shut(self) -> str:
        self.balancer.close_circuit(self._backend.value)
        return f"the circuit of {self._backend.value} was closed {Cause.BY_HAND}"

    def _forget(self) -> str:
        self.balancer.reset_statistics()
        self._timeline.reset()
        return f"the statistics of {self.balancer.name} are reset; circuits and tokens per minute stay"

    def export(self) -> str:
        """Write pictures, words and tables into the working folder; return in a line what was written, or why not.

        No file is replaced.
        """
        from llx_magic.dashboard.export import export, picture, plots, tables
        from llx_magic.dashboard.markdown import markdown

        lb, snapshot, now = self.balancer, self.balancer.snapshot(), dt.datetime.now().astimezone()
        view = self._view(snapshot)
        svg = panel.standalone_svg(snapshot, view, self._advice(snapshot))
        makes = {
            ".png": lambda: picture(svg),
            ".svg": svg.encode,
            "-plots.png": lambda: plots(report.caption(snapshot), [lb.plot_circuit, lb.plot_latency, lb.plot_tpm]),
            ".md": lambda: markdown(snapshot, view, f"{now:%Y-%m-%d %H:%M:%S %Z}").encode(),
            **tables({"stats": lb.stats, "history": lb.history}),
        }
        return str(export(Path.cwd(), f"llx-dashboard-{lb.name}-{now:%Y%m%d-%H%M%S}", makes))


def _is_moving(snapshot: Snapshot) -> bool:
    """Return whether something changes by itself with time: a countdown, a request under way, tokens per minute."""
    return any(
        each.seconds_until_probe or each.cooling_down or each.in_flight or each.tpm is not None
        for each in snapshot.backends
    )


def _button(text: str, icon: str, tooltip: str) -> widgets.Button:
    return widgets.Button(description=text, icon=icon, tooltip=tooltip, layout=widgets.Layout(width="auto"))
