"""The places where something is shown or kept, and how each of them is read."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import json
import logging
import os
import pickle
import threading
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import matplotlib as mpl
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import llx_magic as llx
from llx_magic.observe.otel import instrument
from llx_magic.observe.prometheus import exposition
from tests.notebook.kit import Ran, RedrawingShell, User, opened
from tests.secrets.scene import FAULTS, Scene, text
from tests.secrets.sweep import attributes

XMODES = ("Plain", "Context", "Verbose", "Minimal", "Docs")

FRAMES = ("stats", "history", "attempts", "events", "tpm", "circuit")

ANSWERS = (
    "all-ways",
    "all-ways --no-stream",
    "all-ways --set streaming=disabled",
    "all-ways --chat kept",
    "all-ways --cache --set keep_prompts=true",
)
"""How an answer is asked for."""

COMMANDS = {
    "%llx_profile": (
        "list",
        "test all-ways",
        "show all-ways",
        "show {member}",
        "save loadbalancer copy failover {two}",
        "load copy",
    ),
    "%llx_profile (not allowed)": ("load {member}x", "show {member}x", "delete {member}x"),
    "%llx_stats": ("lb -p all-ways",),
    "%llx_log": ("-p all-ways -n 500",),
    "%llx_trace": ("-p all-ways",),
    "%llx_key": ("list", "delete {member}x"),
    "%llx_circuit": ("-p all-ways", "close {member} -p all-ways"),
    "%llx_chat": ("list", "show kept", "export kept"),
    "%llx_jobs": ("list", "show 1"),
    "%%llx --dry-run": ("-p all-ways --dry-run\nwhy",),
}
"""Every command whose output has anything to do with a backend, and what is typed after it."""

FAILING = {
    "a failed cell": "%%llx -p all-ways\nwhy",
    "llx.ask": "import llx_magic as llx\nllx.ask('why', profile='all-ways')",
    "an error made of ours": "try:\n    llx.ask('why', profile='all-ways')\n"
    "except llx.AllBackendsFailed as problem:\n    raise ValueError(f'of the user: {problem}') from problem",
    "a subscriber that raises": "lb = llx.load('all-ways', isolated=True)\n"
    "def watch(event):\n    if type(event).__name__ == 'AttemptFailed':\n        raise Stop(event.backend)\n"
    "lb.subscribe(watch)\nawait lb.ask('why')",
    "a reader that raises": "async for part in llx.load('all-ways', isolated=True).stream('why', backend=member):\n"
    "    raise LookupError(part.text, part.failed)",
}
"""Cells that fail, each in its own way; ``Stop`` is an exception of the user's that nobody is to catch."""

STALLED = {
    "a cancelled request": "task = asyncio.ensure_future(llx.load('all-ways').ask('why', backend=member))\n"
    "await asyncio.to_thread(server.reached.wait, 10)\ntask.cancel('because of ' + member)\nawait task",
    "an interrupted call": "interrupter()\nllx.ask('why', profile='all-ways', backend=member)",
    "an interrupted cell": "interrupter()\nget_ipython().run_cell_magic('llx', f'-p all-ways -b {member}', 'why')",
    "a subscriber that raises within the connection": "lb = llx.load('all-ways', isolated=True)\n"
    "def watch(event):\n    if type(event).__name__ == 'FirstTokenReceived':\n        raise Stop(event.backend)\n"
    "lb.subscribe(watch)\nawait lb.ask('why', backend=member)",
}
"""Cells that end while a backend is being waited for, with the HTTP library's frames on the stack."""

Found = dict[str, list[str | bytes]]
"""What stands in each place."""


class Collector:
    """Lives in a scene as a user does and reads every place."""

    def __init__(self, scene: Scene, shell: User) -> None:
        self.scene = scene
        self.shell = shell
        self.found: Found = defaultdict(list)
        self.replies: list[object] = []
        self.errors: list[BaseException] = []

    def put(self, place: str, *texts: str | bytes) -> None:
        self.found[place] += texts

    def ran(self, cell: str, printed_in: str) -> Ran:
        """Run a cell and put what it shows where it belongs."""
        ran = self.shell(cell.replace("all-ways", self.scene.name))
        self.put(printed_in, ran.printed)
        self.put("standard error", ran.complained)
        for bundle in ran.shown:
            for mime, data in bundle["data"].items():
                place = "dashboard: state of its widgets" if "widget" in mime else f"outputs of cells: {mime}"
                self.put(place, data if isinstance(data, str) else json.dumps(data, default=str))
        if ran.error is not None:
            self.errors.append(ran.error)
        if ran.value is not None:
            self.shown("values of cells", ran.value)
        return ran

    def shown(self, place: str, thing: object) -> None:
        """Put every form in which Python and a notebook show a value."""
        self.put(place, repr(thing), str(thing), f"{thing}", f"{thing!r}", ascii(thing))
        for name in ("_repr_html_", "_repr_markdown_", "_repr_latex_", "_repr_mimebundle_", "_render_traceback_"):
            if callable(method := getattr(thing, name, None)):
                self.put(place, str(method()))

    def ask_everything(self) -> None:
        """Ask each member for each fault and for an answer, in each form."""
        for fault in FAULTS:
            self.scene.server.set_default(fault)
            self.ran("%%llx -p all-ways\nwhy", "printed by cells")
            self.ran("%%llx -p all-ways --no-stream --set streaming=disabled\nwhy", "printed by cells")
        self.scene.server.set_default(text)
        for how in ANSWERS:
            for member in self.scene.members:
                self.ran(f"%%llx -b {member} -p {how}\nwhy", "printed by cells")
                self.replies.append(self.shell.last)
        self.ran("%llx_cache", "printed by cells")
        self.ran("%%llx -p all-ways --bg\nwhy", "printed by cells")
        self.ran("_llx", "printed by cells")

    def run_commands(self) -> None:
        words = {"member": self.scene.members[0], "two": " ".join(self.scene.members[:2])}
        for command, lines in COMMANDS.items():
            for line in lines:
                self.ran(f"{command.partition(' ')[0]} {line.format(**words)}", f"output of {command}")
        for line in ("%llx_profile load ", "%%llx -b ", "%llx_trace -p "):
            self.put("completions", *self.shell.shell.complete(line, line, len(line))[1])

    def fail_everywhere(self, xmodes: tuple[str, ...]) -> None:
        """Show the traceback of every failing cell in every mode; cells that stall only where there are several."""
        names = self.shell.shell.user_ns
        names |= {"member": self.scene.members[1], "server": self.scene.server, "llx": llx, "asyncio": asyncio}
        names |= {"Stop": type("Stop", (BaseException,), {}), "interrupter": self._interrupt_when_reached}
        self.scene.server.set_default(FAULTS[0])
        for cell in FAILING.values():
            self._fail(cell, xmodes, FAULTS[-1] if "async for" in cell else FAULTS[0])
        for cell in STALLED.values() if len(xmodes) > 1 else ():
            self._fail(cell, xmodes, "stall" if "FirstToken" in cell else "no-headers")

    def _fail(self, cell: str, xmodes: tuple[str, ...], mode: Any) -> None:
        self.scene.server.set_default(mode)
        self.shell(f"%xmode {xmodes[0]}").fine()
        self.scene.server.hold_again()
        error = self.ran(cell, f"traceback: {xmodes[0]}").error
        assert error is not None, f"the cell did not fail: {cell}"
        for xmode in xmodes[1:]:
            self.ran(f"%tb {xmode}", f"traceback: {xmode}")

    def _interrupt_when_reached(self) -> None:
        import _thread

        def wait() -> None:
            self.scene.server.reached.wait(10)
            _thread.interrupt_main()

        threading.Thread(target=wait, daemon=True).start()

    def read_errors(self) -> None:
        for error in self.errors:
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            self.put("tracebacks with all local variables", "".join(trace.format()))
            self.put("exceptions, their chains and attributes", *attributes(error))
            self.shown("exceptions, as values", error)
            with contextlib.suppress(Exception):
                self.put("pickles and copies", pickle.dumps(error), *attributes(copy.copy(error)))

    def read_values(self) -> None:
        """Read all public values: replies, load balancers, profiles, backends, key sources, settings."""
        lb = llx.load(self.scene.name)
        for reply in self.replies:
            self.shown("Reply", reply)
            self.put("Reply, attributes", *attributes(reply, public=True))
            self.put("pickles and copies", pickle.dumps(reply), *attributes(copy.deepcopy(reply)))
        self.shown("LoadBalancer", lb)
        self.put("LoadBalancer", *attributes(lb, public=True), *attributes(vars(lb)))
        self.shown("Profile", lb.profile)
        self.put("Profile, attributes", *attributes(lb.profile, 5, public=True))
        for backend in lb._backends:
            self.shown("backends", backend)
            self.put("backends", *attributes(backend, 5))
        self.shown("Trace", lb.trace())
        for event in lb.decisions():
            self.shown("events", event)
        self.put("events", *attributes(lb.snapshot()))

    def read_observations(self, folder: Path) -> None:
        lb = llx.load(self.scene.name)
        for name in FRAMES:
            frame = getattr(lb, name)()
            self.put(f"DataFrame: {name}()", frame.to_csv(), frame.to_string(), frame.to_json(default_handler=str))
            self.put(f"DataFrame: {name}()", frame.to_html(), repr(frame))
        self.put("Prometheus", exposition(lb))
        for name in ("plot_circuit", "plot_latency", "plot_waterfall"):
            with mpl.rc_context({"svg.fonttype": "none"}):
                file = io.StringIO()
                getattr(lb, name)().figure.savefig(file, format="svg")
            self.put("plots", file.getvalue())
        self._read_dashboard(folder)

    def _read_dashboard(self, folder: Path) -> None:
        self.ran("%llx_dashboard -p all-ways", "printed by cells")
        magics = self.shell.shell.magics_manager.registry["LlxMagics"]
        dashboard = magics.notebook.dashboards.get(magics.notebook.session.balancer(self.scene.name))
        while dashboard.push():
            pass
        with contextlib.chdir(folder):
            self.put("dashboard: its messages", dashboard.export(), dashboard.message)
        self.put("dashboard: exported files", *(file.read_bytes() for file in sorted(folder.iterdir())))
        for widget in list(ipywidgets.Widget.widgets.values()):
            self.put("dashboard: state of its widgets", json.dumps(widget.get_state(), default=str))
        self.put("dashboard: state of its widgets", json.dumps([dashboard.live(), dashboard.still()], default=str))

    def read_files(self) -> None:
        for path in sorted(self.scene.home.rglob("*")):
            if path.is_file() and path not in self.scene.users_own:
                self.put("files of the configuration folder", str(path), path.read_bytes())


class _Kept(logging.Handler):
    """Keeps every record, formatted, with its arguments and exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [self.format(record), repr(record.args), repr(record.__dict__)]


@contextlib.contextmanager
def _logged(collector: Collector) -> Iterator[None]:
    handler, root, level = _Kept(), logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    collector.put("logging, every logger at DEBUG", *handler.lines)


@contextlib.contextmanager
def _spans(collector: Collector) -> Iterator[None]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    handle = instrument(llx.load(collector.scene.name), tracers, meters)
    yield
    collector.put("OpenTelemetry: spans", *(span.to_json() for span in exporter.get_finished_spans()))
    data = reader.get_metrics_data()
    collector.put("OpenTelemetry: metrics", data.to_json() if data else "")
    handle.stop()


def live_in(scene: Scene, folder: Path, xmodes: tuple[str, ...] = XMODES) -> Found:
    """Use everything in a scene, and return what stood in each place."""
    exports = folder / "exports"
    exports.mkdir()
    with opened(RedrawingShell) as shell, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        collector = Collector(scene, shell)
        with _logged(collector), _spans(collector):
            collector.ask_everything()
            collector.run_commands()
            collector.fail_everywhere(xmodes)
        collector.read_errors()
        collector.read_values()
        collector.read_observations(exports)
        collector.read_files()
        warnings.warn(f"of {scene.name}, by a user: {os.fspath(scene.home)}", stacklevel=1)
    collector.put("warnings", *(str(each.message) for each in warned))
    return collector.found
