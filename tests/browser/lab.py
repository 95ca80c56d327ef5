r"""A JupyterLab of its own and a browser that looks at it.

    with (
        lab_server({"LLXPRT_CONFIG_HOME": folder}) as server,
        browser() as chromium,
        lab_page(chromium, server, home=folder) as page,
    ):
        notebook = page.open("claim.ipynb", ["%load_ext llx_magic", "%%llx\nWhy?"])
        notebook.run_all()
        notebook.output(1).inner_text()

Nothing of the user's own Jupyter, IPython or llx_magic folders is read or written, and everything listens on loopback.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, sync_playwright
from playwright.sync_api import TimeoutError as BrowserTimeout

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

LABEXTENSION = Path(__file__).resolve().parents[2] / "labextension"
"""What highlights prompt cells, as it is in the sources."""

SECONDS = 120_000
"""How long in milliseconds a step in the browser may take before it counts as failed; no claim is about speed."""

# Every cell and every output is in the document, also those out of sight.
SETTINGS: dict[str, object] = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {
        "windowingMode": "none",
        "maxNumberOutputs": 10_000,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/completer-extension:manager": {"providerTimeout": 5000},
}


@dataclass(frozen=True)
class Server:
    """A JupyterLab that runs: its address, its token and the folder whose notebooks it opens."""

    url: str
    token: str
    root: Path
    log: Path

    def call(self, method: str, path: str) -> Any:
        """Call the server's API and return what it answered."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read() or b"null")


@contextlib.contextmanager
def lab_server(environment: Mapping[str, str], settings: Mapping[str, object] | None = None) -> Iterator[Server]:
    """Run a JupyterLab; ``environment`` is what its kernels get beside what this process has."""
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        root, config = folder / "root", folder / "config" / "labconfig"
        root.mkdir()
        config.mkdir(parents=True)
        shutil.copytree(LABEXTENSION, folder / "data" / "labextensions" / "llx-magic")
        overrides = json.dumps({**SETTINGS, **(settings or {})})
        (config / "default_setting_overrides.json").write_text(overrides)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), root, folder / "lab.log")
        with server.log.open("wb") as lines:
            process = subprocess.Popen(_command(server, port), env=_environment(folder, server, environment), cwd=root,
                                       stdout=lines, stderr=lines)  # fmt: skip
            try:
                _wait_until_up(server, process)
                yield server
            finally:
                _end(server, process)


def _command(server: Server, port: int) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0,
        "ServerApp.root_dir": server.root, "LabApp.expose_app_in_browser": True, "LabApp.extension_manager": "readonly",
        # Ports that are chosen before the kernel binds them can be taken by other tests meanwhile.
        "KernelManager.transport": "ipc",
    }  # fmt: skip
    given = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", *given]


def _environment(folder: Path, server: Server, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment; the token goes here because a command line can be read by every user."""
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
           "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLX", "JUPYTER"))}
    return {**kept, **{name: str(folder / value) for name, value in own.items()}, "JUPYTER_TOKEN": server.token,
            **environment}  # fmt: skip


def _wait_until_up(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            server.call("GET", "status")
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{server.log.read_text()[-2000:]}")


def _end(server: Server, process: subprocess.Popen[bytes]) -> None:
    """End the kernels, then the server, however they are."""
    with contextlib.suppress(OSError, ValueError):
        for kernel in server.call("GET", "kernels"):
            server.call("DELETE", f"kernels/{kernel['id']}")
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Run one headless chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield chromium
        finally:
            chromium.close()


@dataclass
class LabPage:
    """JupyterLab in one page, with all that the page did which a reply must not cause."""

    page: Page
    server: Server
    home: Path
    """The folder of profiles that the kernels use."""
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, name: str, cells: Sequence[str | dict[str, object]] = ()) -> Notebook:
        """Write a notebook of code cells, open it, and wait for its kernel; without cells open what is there."""
        if cells:
            write_notebook(self.server.root / name, cells)
        self.page.evaluate(
            "path => { window.jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'}); }", name
        )
        self.wait(_READY, name)
        return Notebook(self, name)

    def wait(self, condition: str, argument: object = None) -> None:
        """Wait for a condition in the page, asked on a timer since a page that is not drawn has no frames.

        Raises:
            AssertionError: it did not become true; says what the page looked like
        """
        try:
            self.page.wait_for_function(condition, arg=argument, timeout=SECONDS, polling=100)
        except BrowserTimeout as error:
            seen, log = self.page.evaluate(_SEEN), self.server.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"waited for {condition}\n{seen}\n{self.errors}\n{log}") from error

    def reload(self) -> None:
        """Reload the page, and wait until JupyterLab is back."""
        self.page.reload()
        self.wait(_RESTORED)

    def forget(self) -> None:
        """Forget what was observed so far."""
        for seen in (self.requests, self.dialogs, self.windows, self.errors):
            seen.clear()
        self.page.evaluate("() => { delete window.__pwned; }")

    def close_all(self) -> None:
        """Close every notebook, saved or not, and end the kernels."""
        self.page.evaluate(_CLOSE_ALL)
        for kernel in self.server.call("GET", "kernels"):
            with contextlib.suppress(urllib.error.HTTPError):  # it has ended by itself
                self.server.call("DELETE", f"kernels/{kernel['id']}")

    def stray_requests(self) -> list[str]:
        """Return the requests that went elsewhere than to JupyterLab itself."""
        own = (self.server.url, self.server.url.replace("http:", "ws:"), "data:", "blob:")
        return [url for url in self.requests if not url.startswith(own) or "leak" in url]


_READY = """path => {
    const widget = window.jupyterapp.shell.currentWidget, context = widget?.context;
    const kernel = widget?.sessionContext?.session?.kernel;
    return context?.path === path && context.isReady && widget.sessionContext.isReady
        && kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
"""The toolbar says idle before there is a kernel, so the session itself is asked."""


_RESTORED = "() => window.jupyterapp?.restored.then(() => true)"

_SEEN = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.context, session = context?.sessionContext;
    const dialogs = [...document.querySelectorAll('.jp-Dialog')].map(each => each.innerText);
    const kernel = [session?.session?.kernel?.connectionStatus, session?.session?.kernel?.status];
    return JSON.stringify({dialogs, path: context?.path, kernel, visible: document.visibilityState});
}"""


_CLOSE_ALL = """async () => {
    for (const widget of [...window.jupyterapp.shell.widgets('main')]) {
        if (!widget.context) continue;
        await widget.sessionContext.shutdown().catch(() => {});
        widget.context.model.dirty = false;
        widget.dispose();
    }
}"""


@contextlib.contextmanager
def lab_page(
    chromium: Browser, server: Server, *, home: Path, width: int = 1280, height: int = 1000
) -> Iterator[LabPage]:
    """Open JupyterLab in a page of its own, with no cookie or workspace of another, and watch what it does."""
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    lab = LabPage(page, server, home)

    def on_request(request: Request) -> None:
        lab.requests.append(request.url)

    def on_dialog(dialog: Dialog) -> None:
        lab.dialogs.append(dialog.message)
        dialog.dismiss()

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            lab.errors.append(message.text)

    context.on("request", on_request)
    page.on("dialog", on_dialog)
    page.on("console", on_console)
    context.on("page", lambda window: lab.windows.append(window.url))
    page.goto(f"{server.url}/lab?reset&token={server.token}")
    lab.wait(_RESTORED)
    try:
        yield lab
    finally:
        context.close()


def write_notebook(path: Path, cells: Sequence[str | dict[str, object]]) -> None:
    """Write code cells as a notebook; a dictionary is a cell's ``source`` with other fields, such as ``metadata``."""
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    for cell in cells:
        fields = {"source": cell} if isinstance(cell, str) else cell
        notebook.cells.append(nbformat.v4.new_code_cell(**fields))
    nbformat.write(notebook, path)


@dataclass
class Notebook:
    """One open notebook; cells are counted from 0."""

    lab: LabPage
    name: str

    @property
    def page(self) -> Page:
        return self.lab.page

    @property
    def panel(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def cell(self, index: int) -> Locator:
        return self.panel.locator(".jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return all that a cell shows below its source."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def rendered(self, index: int) -> Locator:
        """Return the HTML outputs of a cell."""
        return self.cell(index).locator(".jp-RenderedHTML")

    def execute(self, command: str, arguments: object = None) -> None:
        """Start a command of JupyterLab; see ``finished`` for its end."""
        self.page.evaluate(
            """([command, given]) => { window.__ran = undefined;
                window.jupyterapp.commands.execute(command, given ?? undefined)
                    .then(() => window.__ran = true, () => window.__ran = true); }""",
            [command, arguments],
        )

    def finished(self) -> None:
        """Wait for the end of the last command."""
        self.lab.wait("() => window.__ran === true")

    def start_all(self) -> None:
        self.execute("notebook:run-all-cells")

    def run_all(self) -> None:
        """Run all cells, and wait until the kernel is idle and everything is drawn."""
        self.start_all()
        self.finished()
        self.settle()

    def start(self, index: int) -> None:
        """Start one cell and return at once."""
        self.page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index)
        self.execute("notebook:run-cell")

    def run(self, index: int) -> None:
        """Run one cell to its end."""
        self.start(index)
        self.finished()
        self.settle()

    def settle(self) -> None:
        """Wait until the kernel is idle and mathematics is typeset."""
        self.lab.wait("() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
        self.page.wait_for_timeout(150)  # the last outputs are drawn in the next frames

    def interrupt(self) -> None:
        self.execute("notebook:interrupt-kernel")

    def save(self) -> nbformat.NotebookNode:
        """Save, and return the file."""
        self.execute("docmanager:save")
        self.finished()
        return nbformat.read(self.lab.server.root / self.name, as_version=4)

    def reopen(self) -> Notebook:
        """Close the notebook with its kernel and open the file again, as the next day does."""
        self.close()
        return self.lab.open(self.name)

    def close(self) -> None:
        """Close all notebooks and end their kernels; what is not saved is dropped."""
        self.lab.close_all()

    def evaluate(self, script: str, argument: object = None) -> Any:
        """Run a function of the notebook's panel in the page."""
        return self.panel.evaluate(script, argument)
