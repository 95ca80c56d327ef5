"""In IPython's terminal: text as it comes, a ruled line where it is withdrawn, Ctrl-C, no control of the model's."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import IPython
import pexpect
import pytest

from tests.notebook.kit import ROOT, wait_until

pytestmark = pytest.mark.posix("Windows has no terminals of this kind")

INTERRUPTED = "KeyboardInterrupt: the prompt was interrupted"


class Terminal:
    """IPython in a terminal of its own; what is typed is echoed, so claims are about what comes after a mark."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit", "--colors=NoColor"],
            cwd=str(folder),
            env={**os.environ, "PYTHONPATH": path, "TERM": "dumb"},
            encoding="utf-8",
            dimensions=(50, 300),
            timeout=60,
        )
        self.child.setecho(False)
        self.child.expect(r"In \[1\]: ")

    def begin(self, line: str) -> None:
        self.child.sendline(line)

    def wait_for(self, text: str) -> str:
        """Return what is written until the text, that included."""
        self.child.expect_exact(text)
        return self.child.before + self.child.after

    def finish(self) -> str:
        """Return what is written until the next prompt."""
        self.child.expect(r"\r\nIn \[\d+\]: ")
        return self.child.before.replace("\r\n", "\n")

    def run(self, line: str) -> str:
        self.begin(line)
        return self.finish()

    def interrupt(self) -> None:
        self.child.sendintr()

    def close(self) -> None:
        self.child.close(force=True)


@pytest.fixture
def terminal(tmp_path: Path, pair: str) -> Iterator[Terminal]:
    """IPython with the two backends loaded."""
    opened = Terminal(tmp_path)
    try:
        opened.run("%load_ext llx_magic")
        opened.run(f"%llx_profile load {pair}")
        yield opened
    finally:
        opened.close()


def test_the_terminal_runs_the_same_ipython_as_these_tests(terminal):
    assert IPython.__version__ in terminal.run("import IPython; IPython.__version__")


def test_a_reply_is_printed_once_with_the_line_that_says_who_answered(terminal):
    written = terminal.run("%llx why is it so?")
    assert written.count("First **says** hello.") == 1
    assert re.search(r"First \*\*says\*\* hello\.\nfirst \(first-model\) · \d", written)
    assert "Out[" not in written
    assert "Markdown object" not in written


def test_text_is_printed_while_it_comes(terminal, first):
    first.set_default("stall")
    terminal.begin("%llx hello")
    terminal.wait_for("First **says** ")
    first.release()
    assert terminal.finish().startswith("hello.\n")


@pytest.mark.parametrize(
    ("form", "reply", "shown"),
    [("code", "Sure:\n```python\nx = 1\n```", "x = 1"), ("json", 'Here:\n```json\n{"a": 1}\n```', '{"a": 1}')],
)
def test_what_is_asked_for_is_shown_alone(terminal, first, form, reply, shown):
    first.text = reply
    said = terminal.run(f"%llx -f {form} Write it.")
    assert shown in said
    assert "Sure" not in said
    assert "Here" not in said
    assert "```" not in said


def test_a_reply_that_breaks_off_is_withdrawn_by_a_ruled_line(terminal, first):
    first.set_default("text-then-reset")
    terminal.begin("%llx hello")
    terminal.wait_for("First **says** ")
    first.release()
    written = terminal.finish()
    ruled = next(line for line in written.splitlines() if line.startswith("----"))
    assert "first broke off" in ruled
    assert "the text above is withdrawn, asking second" in ruled
    assert written.index(ruled) < written.index("Second says hello.")


def test_ctrl_c_ends_the_prompt_in_one_line_and_the_next_one_is_answered(terminal, first):
    first.set_default("stall")
    terminal.begin("%llx hello")
    terminal.wait_for("First **says** ")
    terminal.interrupt()
    written = terminal.finish()
    assert "interrupted: the text above is incomplete" in written
    assert INTERRUPTED in written
    assert "Traceback" not in written
    assert first.requests[0].disconnected.wait(30)
    assert "First **says** '" in terminal.run("_llx.text")
    first.set_default("ok")
    assert "First **says** hello." in terminal.run("%llx hello")


def test_ctrl_c_before_any_text_ends_the_prompt_in_one_line(terminal, first, second):
    first.set_default("no-headers")
    terminal.begin("%llx hello")
    assert first.reached.wait(30)
    terminal.interrupt()
    assert terminal.finish().strip() == INTERRUPTED
    assert first.requests[0].disconnected.wait(30)
    assert not second.requests


def test_no_control_sequence_of_the_model_reaches_the_terminal(terminal, first):
    first.text = "one \x1b[31mred\x1b[0m \x1b]0;title\x07two \x9b2Jthree\x08\x08 \u202efour\rfive"
    written = terminal.run("%llx hello")
    assert "one red two three four" in written
    assert not set(written) & set("\x1b\x07\x08\x9b\u202e\r")


def test_a_sequence_that_is_split_between_two_pieces_does_not_reach_the_terminal(terminal, first):
    def split(exchange):
        exchange.begin_stream()
        for piece in ("one \x1b", "[31mred\x1b]0;ti", "tle\x07 two"):
            exchange.event(exchange.delta(content=piece))
        exchange.event(exchange.delta(finish_reason="stop"))
        exchange.event("[DONE]")
        exchange.end_stream()

    first.set_default(split)
    written = terminal.run("%llx hello")
    assert not set(written) & set("\x1b\x07")


def test_an_error_has_a_line_for_each_backend_and_no_traceback(terminal, first, second):
    first.set_default("503")
    second.set_default("503")
    written = terminal.run("%llx hello").strip()
    assert written.startswith("AllBackendsFailed: ")
    assert [line.split()[0] for line in written.splitlines()] == ["AllBackendsFailed:", "first", "second"]


def test_tables_are_plain_text(terminal):
    terminal.run("%llx hello")
    assert "<table" not in terminal.run("%llx_set")
    assert "<table" not in terminal.run("%llx_stats lb")
    assert "failed" not in terminal.run("%llx_jobs")


def test_a_background_prompt_writes_nothing_into_the_terminal_and_is_shown_when_asked_for(terminal, first):
    first.set_default("ok-when-released")
    assert "job 1 is running" in terminal.run("%llx --bg hello")
    assert first.reached.wait(30)
    first.release()
    assert wait_until(lambda: "answered" in terminal.run("%llx_jobs"))
    assert terminal.run("%llx_jobs show 1").strip() == "First **says** hello."


def test_leaving_ipython_closes_a_background_prompt(terminal, first):
    first.set_default("stall")
    terminal.run("%llx --bg hello")
    assert first.reached.wait(30)
    terminal.begin("exit")
    terminal.child.expect(pexpect.EOF)
    assert first.requests[0].disconnected.wait(30)
