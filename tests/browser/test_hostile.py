"""Whatever a backend says, in whatever place it is shown, nothing runs, loads, overlays or links elsewhere."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.browser.hostile import PWN, Liar, hostile_texts
from tests.browser.lab import LabPage, Notebook
from tests.faults.server import FaultServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


class Recorder:
    """Takes connections on loopback and counts them."""

    def __init__(self) -> None:
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return
            self.connections += 1

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    yield found
    found.close()


@pytest.fixture
def liar(recorder: Recorder) -> Iterator[FaultServer]:
    with FaultServer(Liar(hostile_texts(recorder.url))) as server:
        yield server


def setup(server: FaultServer) -> str:
    """Return a cell that loads the extension and a profile of two members that the liar serves."""
    return (
        "%load_ext llx_magic\nip = get_ipython()\n"
        f"%llx_profile save model liar --provider vllm --base-url {server.base_url} --model m\n"
        f"%llx_profile save model other --provider vllm --base-url {server.base_url} --model m\n"
        "%llx_profile save loadbalancer pair failover liar other\n"
        "%llx_profile load pair\n"
        "%llx_set circuit_breaker_enabled false\n%llx_set failover_retry_count 1"
    )


ACT = r"""panel => {
    const found = [];
    const say = (what, node) => found.push([what, node.closest('.jp-OutputArea-output')?.className,
                                            node.outerHTML.slice(0, 300)]);
    const elements = new Set(`script iframe object embed link meta base style form input video audio source img image
        template portal`.split(/\s+/));
    for (const details of panel.querySelectorAll('.jp-OutputArea details')) details.open = true;
    for (const node of panel.querySelectorAll('.jp-OutputArea-output, .jp-OutputArea-output *')) {
        const typeset = node.closest('mjx-container') !== null;
        if (elements.has(node.tagName.toLowerCase())) say('element', node);
        for (const {name, value} of node.attributes) {
            if (/^on|commandlinker/i.test(name)) say('handler', node);
            if (!/^(xlink:)?(href|src|srcdoc|srcset|action|formaction|background|poster)$/i.test(name)) continue;
            // JupyterLab itself makes links of addresses and paths in plain text; they say where they lead.
            const plain = node.closest('.jp-RenderedText') && node.textContent === value
                && /^((data|file):|[^:]*$)/.test(value);
            if (!plain && !/^(https?:\/\/|mailto:)/i.test(value)) say('link', node);
        }
        const style = getComputedStyle(node);
        if (!typeset && /fixed|sticky|absolute/.test(style.position) && !node.classList.contains('lm-Widget'))
            say('overlay', node);
        if (/url\(/.test(style.backgroundImage)) say('image', node);
        for (const kind of ['mouseover', 'toggle', 'error', 'load', 'focus', 'pointerdown'])
            node.dispatchEvent(new Event(kind));
        if (node.tagName !== 'A' && !node.closest('a')) node.dispatchEvent(new MouseEvent('click'));
    }
    const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;
    for (const output of panel.querySelectorAll('.jp-OutputArea-output'))
        if (controls.test(output.textContent)) say('control', output);
    return found;
}"""
"""Opens and touches every element of the outputs, and returns what should not be there."""

COVERED = """panel => [...panel.querySelectorAll('.jp-InputArea-editor')].filter(editor => {
    editor.scrollIntoView({block: 'center'});
    const box = editor.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + 20, box.y + box.height / 2);
    return top?.closest('.jp-OutputArea-output');
}).length"""
"""Counts the cells whose source is covered by an output."""


TRUSTED = """() => {
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    return [...Array(cells.length).keys()].every(i => cells.get(i).trusted);
}"""


def assert_harmless(notebook: Notebook, recorder: Recorder) -> None:
    page, lab = notebook.page, notebook.lab
    page.wait_for_timeout(600)  # mathematics is typeset, and images would have been asked for
    found = notebook.evaluate(ACT)
    assert not found, found[:12]
    assert notebook.evaluate(COVERED) == 0
    page.wait_for_timeout(200)
    assert page.evaluate("() => window.__pwned") is None
    assert (lab.dialogs, lab.windows, lab.stray_requests(), recorder.connections) == ([], [], [], 0)
    assert page.locator("#jp-top-panel").is_visible()


def assert_harmless_live_and_reopened(notebook: Notebook, recorder: Recorder) -> None:
    """Claim it now, and again when the saved file is opened, which JupyterLab trusts as its own."""
    assert_harmless(notebook, recorder)
    notebook.save()
    opened = notebook.reopen()
    assert opened.page.evaluate(TRUSTED)
    assert_harmless(opened, recorder)


def each(numbers: int, body: str) -> str:
    """Return a cell that runs ``body`` for each number ``i``, showing errors and going on."""
    return f"for i in range({numbers}):\n    try:\n        {body}\n    except Exception:\n        ip.showtraceback()"


def count(recorder: Recorder) -> int:
    return len(hostile_texts(recorder.url))


def test_what_is_claimed_here_would_be_seen_if_it_happened(lab: LabPage, recorder):
    """The same texts as a cell's own HTML do run, load and link: the watch is not blind."""
    shown = [f"from IPython.display import HTML, display\ndisplay(HTML({text!r}))" for text in
             (f"<img src=x onerror='{PWN}'>", f"<img src='{recorder.url}/leak'>", "$\\href{file:///x}{x}$",
              "<div style='position:fixed'>x</div>", "<a href='/logout'>x</a>", "a\u202eb")]  # fmt: skip
    notebook = lab.open("seen.ipynb", shown)
    notebook.run_all()
    notebook.page.wait_for_timeout(600)
    found = {what for what, _where, _html in notebook.evaluate(ACT)}
    assert found == {"element", "handler", "link", "overlay", "control"}
    assert notebook.page.evaluate("() => window.__pwned") == 1
    assert lab.stray_requests()
    assert recorder.connections


def test_a_hostile_reply_does_nothing_in_any_format_nor_as_a_value(lab: LabPage, liar, recorder):
    """Streamed Markdown, the other formats, the value of a cell, its code and its printed form."""
    n = count(recorder)
    shown = [f"%%llx\ntext {i}" for i in range(n)]
    formats = [each(n, f'ip.run_cell_magic("llx", "--no-stream -f {form}", f"text {{i}}")') for form in
               ("markdown", "text", "code", "json")]  # fmt: skip
    value = each(n, 'display(ip.run_line_magic("llx", f"--no-stream text {i}")); display(_llx.code); print(repr(_llx))')
    notebook = lab.open("replies.ipynb", [setup(liar), *shown, *formats, value, "_llx"])
    notebook.run_all()
    assert len(liar.requests) == n * 11  # none of them is JSON, for which both members are asked three times
    assert notebook.panel.locator(".jp-RenderedHTML").count() >= n * 4
    assert_harmless_live_and_reopened(notebook, recorder)


COVERING = r"$\smash{\lower 200pt{\rlap{\color{red}\rule{600pt}{250pt}}}}$"


def test_a_formula_draws_over_nothing_that_is_not_the_replys(lab: LabPage):
    with FaultServer() as server:
        server.text = f"Over {COVERING}"
        notebook = lab.open("covering.ipynb", [setup(server), "%%llx\nGo."])
        notebook.run_all()
        notebook.output(1).locator("mjx-container").first.wait_for(state="attached")
        line = notebook.output(1).locator("summary")
        line.scroll_into_view_if_needed()
        assert line.evaluate(ON_TOP)


ON_TOP = """node => {
    const {left, top, height} = node.getBoundingClientRect();
    return [5, 60, 120].every(x => node.contains(document.elementFromPoint(left + x, top + height / 2)));
}"""


def test_hostile_names_and_errors_do_nothing_wherever_they_are_shown(lab: LabPage, liar, recorder):
    """Footers, traces, restarts, errors with partial text, statistics, log lines, jobs and previews."""
    n = count(recorder)
    ask = 'ip.run_cell_magic("llx", "", f"{} {{i}}")'
    notebook = lab.open(
        "names.ipynb",
        [
            setup(liar),
            each(n, ask.format("model") + "; display(ip.run_line_magic('llx_trace', ''))"),
            each(n, ask.format("error")),
            each(n, ask.format("cut") + "; display(ip.run_line_magic('llx_stats', ''))"),
            each(n, 'display(_llx); display(ip.run_line_magic("llx_stats", "lb")); '
                    'display(ip.run_line_magic("llx_trace", str(2 * i + 1)))'),
            "%llx_log -n 1000",
            each(n, 'ip.run_cell_magic("llx", "--bg", texts[i]); ip.run_cell_magic("llx", "--dry-run --raw", texts[i])')
            .replace("for i", f"texts = {hostile_texts(recorder.url)!r}\nfor i", 1),
            "%llx_jobs",
            each(n, 'ip.run_cell_magic("llx", "--chat", f"text {i}")') + "\n%llx_chat show",
        ],
    )  # fmt: skip
    notebook.run_all()
    assert "onerror" in notebook.output(1).locator("summary").nth(2).inner_text()
    for index in (2, 3):
        assert notebook.output(index).locator(".jp-RenderedText", has_text="AllBackendsFailed").count() == n
    assert "onerror" in notebook.output(4).inner_text()
    assert "onerror" in notebook.output(7).inner_text()
    assert_harmless_live_and_reopened(notebook, recorder)


def test_hostile_profile_files_do_nothing_where_profiles_are_listed(lab: LabPage, liar, recorder):
    """Profile files come from elsewhere too: models, addresses, members and broken text are shown, and only shown."""
    texts = hostile_texts(recorder.url)
    profiles = lab.home / "profiles"
    profiles.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        model = {"version": 1, "provider": "vllm", "model": text, "modelParams": {text: text}, "ephemeralSettings": {}}
        balancer = {"version": 1, "type": "loadbalancer", "policy": text, "profiles": [text, "b"], "provider": "",
                    "model": "", "modelParams": {}, "ephemeralSettings": {text: text}}  # fmt: skip
        (profiles / f"model{number}.json").write_text(json.dumps(model))
        (profiles / f"balancer{number}.json").write_text(json.dumps(balancer))
        (profiles / f"broken{number}.json").write_text(text)
    commands = [
        "ip.run_line_magic('llx_profile', f'show model{i}')", "ip.run_line_magic('llx_profile', f'load balancer{i}')",
        "ip.run_line_magic('llx_profile', f'load model{i}')", "ip.run_line_magic('llx_profile', f'load broken{i}')",
        "ip.run_line_magic('llx_set', texts[i])", "ip.run_line_magic('llx_set', 'tpm_threshold ' + texts[i])",
    ]  # fmt: skip
    cells = [setup(liar), "%llx_profile list", f"texts = {texts!r}", *(each(len(texts), each_) for each_ in commands)]
    try:
        notebook = lab.open("profiles.ipynb", cells)
        notebook.run_all()
        assert re.search("onerror", notebook.output(1).inner_text())
        assert_harmless_live_and_reopened(notebook, recorder)
    finally:
        for path in profiles.glob("*.json*"):
            path.unlink()
