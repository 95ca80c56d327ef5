"""The live dashboards of a shell: one for each profile, and the one thread that keeps them up to date."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands.command import Command
from llx_magic.commands.sources import ANOTHER_PROFILE
from llx_magic.notebook.frontend import front_end
from llx_magic.notebook.still import NOTHING, Bundle
from llx_magic.observe import report
from llx_magic.session.balancer import LoadBalancer
from llx_magic.text.screen import printable

if TYPE_CHECKING:
    from llx_magic.commands.reading import Asked
    from llx_magic.notebook.dashboard_widget import Dashboard
    from llx_magic.notebook.notebook import Notebook

AT_MOST_EVERY = 0.25
"""The shortest time between two updates, in seconds."""

LOOKS_EVERY = 0.5
"""How often, in seconds, countdowns and what tells no event are looked at."""

NO_WIDGETS = "the live dashboard needs ipywidgets, which is not installed; here are the statistics as they are now"
NO_FRONT_END = "the live dashboard needs a notebook; here are the statistics as they are now"

_log = logging.getLogger(__name__)


class Painter:
    """One daemon thread that lets every dashboard push its changes; it runs while there is a dashboard."""

    def __init__(self, push: Callable[[], bool]) -> None:
        self._push = push
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start unless it runs."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name="llx_magic dashboard", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Let what has changed be pushed soon; may be called from any thread and returns at once."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread and wait for it, unless it is the one that calls."""
        self._stopped.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _run(self) -> None:
        stopped = self._stopped
        while not stopped.is_set():
            self._wake.wait(LOOKS_EVERY)
            self._wake.clear()
            if self._push():
                self._wake.set()
            stopped.wait(AT_MOST_EVERY)


class _Places(NamedTuple):
    """The names of the two displays of one cell."""

    live: str
    still: str


class Dashboards:
    """The dashboards of a shell.

    ``profiles`` returns the profiles that are loaded in the session; a dashboard offers them for choice.
    """

    def __init__(self, shell: InteractiveShell, profiles: Callable[[], Sequence[LoadBalancer]]) -> None:
        self._shell = shell
        self._profiles = profiles
        self._open: dict[str, Dashboard] = {}
        self._shown: dict[str, dict[str, _Places]] = {}
        """Where each dashboard is shown, by the front end's name of the cell: one that runs again shows it anew."""
        self._saved: dict[str, str] = {}
        self._lock = threading.Lock()
        self._painter = Painter(self._push)

    def show(self, balancer: LoadBalancer) -> None:
        """Display the dashboard of a profile, the same one however often.

        In a terminal, and where ipywidgets is not installed, say so in one line and print the statistics.
        """
        if not hasattr(self._shell, "kernel"):
            self._print(NO_FRONT_END, balancer)
            return
        try:
            dashboard = self._of(balancer)
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] != "ipywidgets":
                raise
            self._print(NO_WIDGETS, balancer)
            return
        places = _Places(uuid.uuid4().hex, uuid.uuid4().hex)
        self._shown[dashboard.key][front_end(self._shell).cell or places.still] = places
        self._saved[dashboard.key] = dashboard.plain()
        self._publish(dashboard.live(), places.live)
        self._publish(dashboard.still(), places.still)

    def get(self, balancer: LoadBalancer) -> Dashboard | None:
        """Return the dashboard that was opened for a profile, or None."""
        return self._open.get(key_of(balancer))

    def close(self) -> None:
        """Close all dashboards and end the thread; their cells keep the last state as a table and a picture."""
        for dashboard in tuple(self._open.values()):
            dashboard.close()
        self._painter.stop()

    def _save(self, _result: object = None) -> None:
        """Bring what a saved notebook shows up to date, at the end of each cell that changed anything."""
        for key, dashboard in tuple(self._open.items()):
            if (plain := dashboard.plain()) == self._saved.get(key):
                continue
            self._saved[key] = plain
            still = dashboard.still()
            for places in tuple(self._shown.get(key, {}).values()):
                self._publish(still, places.still, update=True)

    def _publish(self, bundle: Mapping[str, object], display: str, *, update: bool = False) -> None:
        self._shell.display_pub.publish(dict(bundle), transient={"display_id": display}, update=update)

    def _of(self, balancer: LoadBalancer) -> Dashboard:
        from llx_magic.notebook.dashboard_widget import Dashboard

        key = key_of(balancer)
        with self._lock:
            if (known := self._open.get(key)) is None:
                known = self._open[key] = Dashboard(key, self._profiles, self._painter.wake, self._closed)
                self._shown[key] = {}
                if len(self._open) == 1:
                    self._shell.events.register("post_run_cell", self._save)
        known.follow(balancer)
        known.resume()
        self._painter.start()
        return known

    def _closed(self, dashboard: Dashboard, last: Bundle) -> None:
        """Put the last state where the dashboard was shown, and forget it."""
        with self._lock:
            self._open.pop(dashboard.key, None)
            shown = self._shown.pop(dashboard.key, {})
            ended = not self._open
            if ended:
                self._shell.events.unregister("post_run_cell", self._save)
        for places in shown.values():
            self._publish(NOTHING, places.live, update=True)
            self._publish(last, places.still, update=True)
        if ended:
            self._painter.stop()

    def _push(self) -> bool:
        """Let each dashboard push; True where one has more to push."""
        more = False
        for dashboard in tuple(self._open.values()):
            try:
                more = dashboard.push() or more
            except Exception:  # noqa: BLE001 - one fault must not end the updates of all
                _log.warning("a dashboard could not be updated", exc_info=True)
        return more

    def _print(self, why: str, balancer: LoadBalancer) -> None:
        print(f"{why}\n\n{printable(report.plain(balancer.snapshot()))}")  # noqa: T201 - plain text is what it is


COMMAND = Command(
    run="llx_magic.notebook.dashboards:run",
    options=(ANOTHER_PROFILE,),
)


def run(here: Notebook, asked: Asked) -> None:
    """Show the dashboard. The error for a profile that does not exist is the session's."""
    here.dashboards.show(here.session.balancer(asked.get("profile")))


def key_of(balancer: LoadBalancer) -> str:
    """Return what a profile is known by in this process: its file, else its name."""
    return str(balancer.profile.path or balancer.name)
