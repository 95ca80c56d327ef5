"""What a person sees in JupyterLab while prompts stream, break off, are interrupted and run in the background."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.lab import SECONDS, LabPage, Notebook
from tests.faults.server import Exchange, FaultServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

expect.set_options(timeout=20_000)

MARKDOWN = """# A heading

Some *prose* that costs $5 and $10, and $x_1 * y_2 * z$.

| left | right |
|:-----|------:|
| one  |     1 |

```python
def double(n):  # a comment
    return 2 * n
```

$$\\begin{pmatrix} a_1 & b_1 \\\\ c_1 & d_1 \\end{pmatrix}$$

The last line.
"""


def load(*servers: FaultServer, more: str = "") -> str:
    """Return a cell that loads the extension and a profile over the servers, in their order."""
    names = [f"b{number}" for number in range(len(servers))]
    save = [f"%llx_profile save model {name} --provider vllm --base-url {server.base_url} --model m"
            for name, server in zip(names, servers, strict=True)]  # fmt: skip
    if len(names) > 1:
        save.append(f"%llx_profile save loadbalancer all failover {' '.join(names)}")
    last = "all" if len(names) > 1 else names[0]
    return "\n".join(["%load_ext llx_magic", *save, f"%llx_profile load {last}", more])


def words_then_hold(count: int) -> Callable[[Exchange], None]:
    """Return a mode that sends words, holds until released, and sends the rest."""

    def answer(exchange: Exchange) -> None:
        exchange.begin_stream()
        pieces = exchange.server.pieces
        for number, piece in enumerate(pieces):
            if number == count:
                exchange.hold()
            exchange.event(exchange.delta(content=piece))
        for event in (exchange.delta(finish_reason="stop"), exchange.usage_chunk(), "[DONE]"):
            exchange.event(event)
        exchange.end_stream()

    return answer


def words_then_hold_and_reset(exchange: Exchange) -> None:
    """Send words, hold until released, and reset the connection."""
    exchange.begin_stream()
    exchange.words(3)
    exchange.hold()
    exchange.reset()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as found:
        yield found


def test_a_reply_grows_while_it_streams_and_ends_whole_and_typeset(lab: LabPage, server):
    """Half is on the screen while the server holds back the rest; then all of it, as Markdown."""
    server.text = MARKDOWN
    server.set_default(words_then_hold(5))
    notebook = lab.open("stream.ipynb", [load(server), "%%llx\nGo."])
    notebook.run(0)
    notebook.start(1)
    output = notebook.output(1)
    expect(output).to_contain_text("A heading")
    expect(output).to_contain_text("b0 is answering")
    assert "The last line" not in output.inner_text()
    server.release()
    notebook.finished()
    expect(output).to_contain_text("The last line.")
    expect(output.locator("h1")).to_have_text("A heading")
    assert output.locator("td:visible").all_inner_texts() == ["one", "1"]  # the trace is closed
    coloured = output.locator("pre code span", has_text="def").first
    assert coloured.evaluate("e => getComputedStyle(e).color !== getComputedStyle(e.parentElement).color")
    expect(output.locator("mjx-container")).to_have_count(2)
    expect(output.locator("mjx-mtr")).to_have_count(2)
    expect(output).to_contain_text("costs $5 and $10")
    expect(output.locator(".jp-OutputArea-output")).to_have_count(1)
    assert "is answering" not in output.inner_text()


def test_a_restart_withdraws_what_was_shown_and_says_so(lab: LabPage, server):
    """The first backend breaks off half-way; its text goes, the other's comes, and the line below tells why."""
    server.text = "Half of an answer that never ends."
    server.set_default(words_then_hold_and_reset)
    with FaultServer(words_then_hold(2), text="A whole other answer.") as other:
        notebook = lab.open(
            "restart.ipynb", [load(server, other, more="%llx_set failover_retry_count 1"), "%%llx\nGo."]
        )
        notebook.run(0)
        notebook.start(1)
        output = notebook.output(1)
        expect(output).to_contain_text("Half of an")
        server.release()
        expect(output).to_contain_text("A whole")
        expect(output).to_contain_text("b0 broke off")
        assert "Half of an" not in output.inner_text()
        other.release()
        notebook.finished()
    expect(output).to_contain_text("A whole other answer.")
    assert "Half of an" not in output.inner_text()
    expect(output.locator("summary")).to_contain_text("b0")
    expect(output.locator("summary")).to_contain_text("restarted")


def test_an_interrupt_stops_the_cell_and_run_all_and_keeps_the_partial_text(lab: LabPage, server):
    """The kernel is interrupted from the browser; the server sees the connection close; the next cell works."""
    server.text = "A first part and then nothing for a long time."
    server.script(words_then_hold(3))
    cells = [load(server), "%%llx\nGo.", "ran = 'yes'\nprint('ran')", "%%llx\nOnce more."]
    notebook = lab.open("interrupt.ipynb", cells)
    notebook.start_all()
    output = notebook.output(1)
    expect(output).to_contain_text("A first part")
    notebook.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:interrupt-kernel'); }")
    assert server.requests[0].disconnected.wait(10)
    notebook.finished()
    notebook.settle()
    expect(output).to_contain_text("A first part")
    expect(output).to_contain_text("interrupted: the text above is incomplete")
    expect(output.locator('[data-mime-type="application/vnd.jupyter.stderr"], .jp-RenderedText').last).to_contain_text(
        "KeyboardInterrupt: the prompt was interrupted"
    )
    assert "ran" not in notebook.output(2).inner_text()
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("nothing for a long time.")


def test_a_background_prompt_goes_on_in_its_own_cell_while_another_runs(lab: LabPage, server):
    """The cell returns at once; its output changes while the next cell runs, whose output is its own."""
    server.text = "One two three four five."
    server.set_default(words_then_hold(3))
    busy = "import time\nprint('busy', flush=True)\nwhile not go: time.sleep(0.02)\nprint('done')"
    lines = ["import threading, pathlib", "class Gate:", "    def __bool__(self): return pathlib.Path('go').exists()",
             "go = Gate()"]  # fmt: skip
    cells = [load(server, more="\n".join(lines)), "%%llx --bg -o kept\nGo.", busy, "kept.text"]
    notebook = lab.open("background.ipynb", cells)
    flag = lab.server.root / "go"
    notebook.run(0)
    notebook.run(1)
    mine, other = notebook.output(1), notebook.output(2)
    expect(mine).to_contain_text("job 1 is running")
    expect(mine).to_contain_text("One two three")
    notebook.start(2)
    expect(other).to_contain_text("busy")
    server.release()
    expect(mine).to_contain_text("One two three four five.")
    expect(mine.locator("summary")).to_contain_text("b0")
    assert other.inner_text().strip() == "busy"
    flag.touch()
    notebook.finished()
    expect(other).to_have_text("busy\ndone\n")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("One two three four five.")
    flag.unlink()


def test_a_click_on_the_footer_opens_the_trace(lab: LabPage, server):
    """The waterfall is there, hidden until it is asked for."""
    notebook = lab.open("footer.ipynb", [load(server), "%%llx\nGo."])
    notebook.run_all()
    trace = notebook.output(1).locator("details table")
    expect(trace).to_be_hidden()
    notebook.output(1).locator("summary").click()
    expect(trace).to_be_visible()
    expect(trace).to_contain_text("attempt 1/2 answered")


def test_the_saved_notebook_holds_the_final_state_alone(lab: LabPage, server):
    """One output of plain text and HTML; no trace of the drawings in between."""
    server.text = "First, second and third."
    server.chunk_delay = 0.15
    notebook = lab.open("saved.ipynb", [load(server), "%%llx\nGo."])
    notebook.run_all()
    saved = notebook.save()
    (output,) = saved.cells[1].outputs
    assert output.output_type == "display_data"
    assert {"text/plain", "text/html"} <= set(output.data)
    assert "First, second and third." in output.data["text/plain"]
    assert "First, second and third." in output.data["text/html"]
    assert "is answering" not in json.dumps(saved)
    assert "asking" not in json.dumps(saved.cells[1].outputs)


def completions(notebook: Notebook, index: int) -> list[str]:
    """Press Tab at the end of a cell, and return what is offered."""
    editor = notebook.cell(index).locator(".cm-content")
    editor.click()
    notebook.page.keyboard.press("Control+End")
    notebook.page.keyboard.press("Tab")
    items = notebook.page.locator(".jp-Completer-item")
    items.first.wait_for(timeout=SECONDS)
    found = items.locator(".jp-Completer-match").all_inner_texts()
    notebook.page.keyboard.press("Escape")
    return found


def test_tab_offers_our_options_settings_and_profiles(lab: LabPage, server):
    """In the editor of a cell, from the same grammar that reads the line."""
    lines = ["%llx_set t", "%%llx --", "%llx_profile load "]
    notebook = lab.open("tab.ipynb", [load(server), *lines])
    notebook.run(0)
    assert {"timeout_ms", "tpm_threshold", "tpm_basis"} <= set(completions(notebook, 1))
    assert {"--no-stream", "--bg", "--chat"} <= set(completions(notebook, 2))
    assert "b0" in completions(notebook, 3)


def test_tables_fit_the_page_beside_an_open_sidebar(lab: LabPage, server: FaultServer) -> None:
    notebook = lab.open("wide.ipynb", [load(server), "%%llx\nHello", "%llx_stats", "%llx_set", "%llx_profile list"])
    notebook.run_all()
    for cell in (2, 3, 4):
        for table in notebook.output(cell).locator("table").all():
            assert table.evaluate("e => e.scrollWidth <= e.parentElement.clientWidth")
