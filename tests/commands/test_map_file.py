"""``llx map``: rows of a file in, rows with their replies out, everything else on stderr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands.command import Home

TABLE = 'text,stars\ngood,5\n"bad, really",1\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A configuration with one backend, and a file of two rows."""
    home = Home(tmp_path)
    home.simulated("clerk")
    (tmp_path / "in.csv").write_text(TABLE)
    return home


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_rows_of_a_file_and_their_replies_go_into_another(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "--out", "out.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    found = rows((home.folder / "out.jsonl").read_text())
    assert [each["text"] for each in found] == ["good", "bad, really"]
    assert {each["reply"] for each in found} == {"I am clerk."}


def test_without_out_the_rows_are_on_stdout_in_the_form_of_the_input(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.")
    head, first, second = done.stdout.splitlines()
    assert head.startswith("text,stars,reply,llx_status")
    assert first.startswith("good,5,I am clerk.,answered")
    assert second.startswith('"bad, really",1,I am clerk.,answered')


@pytest.mark.parametrize("named", ["in.csv", "./in.csv", "~/in.csv"])
def test_the_file_that_is_read_is_not_written_over(home, named):
    words = ("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "--out", named)
    done = home.run(*words, HOME=str(home.folder))
    assert done.returncode == 2
    assert "is the file that the rows are read from; name another" in done.stderr
    assert (home.folder / "in.csv").read_text() == TABLE


@pytest.mark.parametrize(
    ("piped", "begins"),
    [(TABLE, "text,stars,reply"), ('{"text": "good"}\n{"text": "bad"}\n', '{"text": "good", "reply"')],
)
def test_what_is_piped_is_told_by_how_it_begins(home, piped, begins):
    done = home.run("map", "-", "-p", "clerk", "--prompt", "Rate {{ text }}.", stdin=piped)
    assert done.returncode == 0
    assert done.stdout.startswith(begins)


def test_the_same_command_again_asks_nothing_and_says_so(home):
    words = ("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "--out", "out.csv")
    assert "2 answered" in home.run(*words).stderr
    assert "2 from the store" in home.run(*words).stderr


def test_nothing_on_stderr_is_a_control_character_where_there_is_no_terminal(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.")
    assert all(each.isprintable() or each == "\n" for each in done.stderr)


def test_a_quiet_run_writes_nothing_to_stderr(home):
    assert home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "-q").stderr == ""


def test_a_dry_run_says_on_stdout_what_would_be_asked(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "--dry-run")
    assert done.returncode == 0
    assert "Rate bad, really." in done.stdout
    assert "2 rows: 2 to ask" in done.stdout


def test_rows_that_failed_are_in_the_file_and_the_status_is_1(home):
    home.simulated("strict", "filter,ok")
    done = home.run("map", "in.csv", "-p", "strict", "--prompt", "Rate {{ text }}.", "--out", "out.jsonl")
    assert done.returncode == 1
    assert "no reply for 1 of 2 rows: filtered by strict" in done.stderr
    assert [each["llx_status"] for each in rows((home.folder / "out.jsonl").read_text())] == ["failed", "answered"]


def test_samples_ask_each_row_of_a_file_so_often(home):
    done = home.run(
        "map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "--samples", "2", "--out", "out.jsonl"
    )
    assert "4 answered" in done.stderr
    found = rows((home.folder / "out.jsonl").read_text())
    assert [(each["stars"], each["llx_sample"]) for each in found] == [(5, 0), (5, 1), (1, 0), (1, 1)]


def test_rows_beyond_the_limit_are_no_failure(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "-n", "1")
    assert done.returncode == 0
    assert "1 not asked" in done.stderr


def test_a_run_that_stops_counts_no_rows_beyond_the_limit_as_missing(home):
    home.simulated("spent", "quota")
    done = home.run("map", "in.csv", "-p", "spent", "--prompt", "Rate {{ text }}.", "-n", "1")
    assert done.returncode == 1
    assert " · stopped: spent: " in done.stderr
    assert "llx: no reply for 1 of 1 row: tried in vain until the run ended: " in done.stderr


def test_rows_that_were_not_asked_have_no_part_in_the_reasons_of_others(home):
    (home.folder / "in.csv").write_text("n\n" + "\n".join(map(str, range(9))) + "\n")
    home.simulated("strict", "filter")
    ends = ("--max-errors", "2", "--set", "concurrency=1", "--out", "out.csv")
    done = home.run("map", "in.csv", "-p", "strict", "--prompt", "Rate {{ n }}.", *ends)
    assert "2 failed, 7 not asked · stopped: max_errors=2 is reached" in done.stderr
    assert "llx: no reply for 9 of 9 rows: 7 rows: not asked (max_errors=2 is reached; only" in done.stderr
    assert "; 2 rows: filtered by strict" in done.stderr


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_run_that_asked_nobody_says_once_how_many_rows_and_why(home, quiet):
    home.run("profile", "save", "model", "keyed", "--provider", "openai", "--model", "m", "--key-env", "NO_SUCH_KEY")
    done = home.run("map", "in.csv", "-p", "keyed", "--prompt", "Rate {{ text }}.", "--out", "out.csv", *quiet)
    assert done.returncode == 1
    told = "llx: no reply for 2 of 2 rows: not asked (no key for keyed: set the environment variable NO_SUCH_KEY)"
    assert done.stderr.splitlines()[-1] == told


@pytest.mark.parametrize(
    ("piped", "says"),
    [("", "standard input is empty; its first line names"), ("a,b\n1\n", "line 2 of standard input has 1 cell")],
)
def test_what_is_wrong_with_what_is_piped_names_standard_input(home, piped, says):
    done = home.run("map", "-", "-p", "clerk", "--prompt", "Rate {{ a }}.", stdin=piped)
    assert done.returncode == 2
    assert done.stderr.startswith(f"llx: {says}")


def test_a_dry_run_in_which_no_row_can_be_asked_ends_with_status_1_and_says_once_that_nothing_was_sent(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text + 1 }}.", "--dry-run")
    assert (done.returncode, done.stdout.count("nothing was sent")) == (1, 1)
    assert "2 rows: 2 that cannot be asked" in done.stdout


def test_a_prompt_that_names_no_column_is_said(home):
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {text}.")
    assert "the prompt names no column, so all rows ask the same; " in done.stderr


def test_a_schema_in_a_file_gives_typed_columns(home):
    home.simulated("clerk", reply='{"label": "bug"}')
    schema = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
    (home.folder / "schema.json").write_text(json.dumps(schema))
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "{{ text }}", "--schema", "schema.json")
    assert done.stdout.splitlines()[1].startswith("good,5,bug,answered")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "missing: --prompt, FILE"),
        (("in.csv",), "missing: --prompt"),
        (("in.csv", "--prompt", " "), "the prompt is empty"),
        (("in.csv", "--prompt", "{{ txt }}"), "the columns are 'text', 'stars'; nothing was sent; did you mean text?"),
        (("in.csv", "--prompt", "{{ text"), "outside of brackets and quotes (nothing was sent)"),
        (("im.csv", "--prompt", "{{ text }}"), "there is no file im.csv; did you mean in.csv?"),
        (("in.txt", "--prompt", "{{ text }}"), "must end in .csv"),
        (("in.csv", "--prompt", "{{ text }}", "--out", "out.txt"), "out.txt must end in .csv"),
        (("in.csv", "--prompt", "{{ text }}", "--out", "no/out.csv"), "there is no folder"),
        (("in.csv", "--prompt", "{{ text }}", "-n", "x"), "--limit must be a whole number, at least 1, got 'x'"),
        (("in.csv", "--prompt", "{{ text }}", "-p", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line_with_status_2(home, words, says):
    done = home.run("map", *words, *(() if "-p" in words else ("-p", "clerk")))
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="needs signals and terminals of POSIX")
class TestInterrupt:
    """Ctrl-C once: what is finished is written, and the same command goes on."""

    def begin(self, home: Home, stderr: int) -> subprocess.Popen[bytes]:
        home.simulated("slow", "ok,ok,stall:1")
        (home.folder / "many.csv").write_text("n\n" + "\n".join(map(str, range(10))) + "\n")
        words = ["map", "many.csv", "-p", "slow", "--prompt", "Say {{ n }}.", "--out", "out.jsonl"]
        for setting in ("concurrency=1", "stall_timeout_ms=none", "timeout_ms=none"):
            words += ["--set", setting]
        return subprocess.Popen(home.command(*words), env=home.env, cwd=home.folder, stderr=stderr)

    def test_what_is_finished_is_written_and_it_says_how_to_go_on(self, home):
        process = self.begin(home, subprocess.PIPE)
        wait_for_replies(home, 2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"2 of 10 rows are finished and kept; the same command asks only what has no reply yet" in said
        statuses = [each["llx_status"] for each in rows((home.folder / "out.jsonl").read_text())]
        assert statuses == ["answered"] * 2 + ["not asked"] * 8

    def test_a_terminal_has_a_bar_on_one_line_that_is_gone_at_the_end(self, home):
        pty = pytest.importorskip("pty")
        ours, theirs = pty.openpty()
        process = self.begin(home, theirs)
        os.close(theirs)
        seen = b""
        while b"2 of 10 rows" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        assert process.wait(60) == 130
        shown = seen.decode()
        assert "\x1b" not in shown
        assert "| 2 of 10 rows · " in shown
        assert "█" in shown
        *_, summary, how, last = screen(shown)
        assert summary.startswith("10 rows · 2 answered, 8 not asked · stopped: interrupted")
        assert how.startswith("llx map: 2 of 10 rows are finished and kept")
        assert last == "llx: interrupted"


@pytest.fixture
def dear(home: Home) -> Home:
    """A profile whose two rows are estimated at about 100."""
    prices = {"price-input": 0, "price-output": 100_000}
    home.write("dear", provider="simulated", model="m", modelParams={}, ephemeralSettings=prices)
    return home


MAP_DEAR = ("map", "in.csv", "-p", "dear", "--prompt", "Rate {{ text }}.", "--out", "out.jsonl")


def test_what_will_cost_much_is_not_sent_unasked_and_it_says_how(dear):
    done = dear.run(*MAP_DEAR)
    assert done.returncode == 2
    assert "the 2 rows to ask will cost about 100 (30 to 200), more than ask_above_usd=10" in done.stderr
    assert done.stderr.endswith("; --yes sends them, --budget USD stops before it costs more; nothing was sent\n")
    assert not (dear.folder / "out.jsonl").exists()


@pytest.mark.parametrize("how", [("--yes",), ("-y",), ("--budget", "1000"), ("--set", "ask_above_usd=none")])
def test_what_will_cost_much_is_sent_where_that_was_said(dear, how):
    assert dear.run(*MAP_DEAR, *how).returncode == 0
    assert dear.run(*MAP_DEAR).returncode == 0  # all of it is in the store


@pytest.mark.skipif(os.name == "nt", reason="needs terminals of POSIX")
@pytest.mark.parametrize(("typed", "status"), [("y", 0), ("n", 2), ("", 2), ("\x04", 2)])
def test_a_terminal_is_asked_before_what_will_cost_much(dear, typed, status):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        dear.command(*MAP_DEAR), env=dear.env, cwd=dear.folder, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while b"send them? [y/N]" not in seen:
        seen += os.read(ours, 4096)
    os.write(ours, typed.encode() + (b"" if typed == "\x04" else b"\n"))
    assert process.wait(60) == status
    os.close(ours)


def test_equal_prompts_count_as_answered(home):
    (home.folder / "in.csv").write_text("text\nsame\nsame\n")
    done = home.run("map", "in.csv", "-p", "clerk", "--prompt", "Rate {{ text }}.", "--out", "out.jsonl")
    assert (done.returncode, done.stderr.count("no reply")) == (0, 0)


def screen(written: str) -> list[str]:
    """Return the lines that a person sees at last; a carriage return goes back to the beginning of a line."""
    lines = []
    for written_line in written.replace("\r\n", "\n").rstrip("\n").split("\n"):
        line: list[str] = []
        for piece in written_line.split("\r"):
            line[: len(piece)] = piece
        lines.append("".join(line).rstrip())
    return lines


def wait_for_replies(home: Home, count: int) -> None:
    """Wait until the store has so many replies."""
    from llx_magic.replies.store import ReplyStore

    path = home.folder / "config" / "llx_magic" / "replies.sqlite"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and sum(share.replies for share in ReplyStore.open(path).shares()) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"there were no {count} replies")
