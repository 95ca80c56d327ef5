"""Text from a shell: real processes, real locales, real pipes, files, sockets and terminals on standard input."""

from __future__ import annotations

import codecs
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llx_magic.commands.piped import decoded
from llx_magic.errors import UsageProblem
from tests.commands.command import Home
from tests.faults.server import FaultServer

pytestmark = pytest.mark.posix("the shells, locales and terminals are those of POSIX systems")

TEXT = "naïve → 日本 😀 ½\n"

LOCALES = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX"},
    "C.UTF-8": {"LC_ALL": "C.UTF-8"},
    "truly ASCII": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "unknown": {"LC_ALL": "tlh_KX.ISO-8859-1"},
    "none": {"LC_ALL": "", "LANG": ""},
    "latin-1 streams": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1"},
    "ASCII streams": {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"},
    "UTF-16 streams": {"LC_ALL": "C", "PYTHONIOENCODING": "utf-16"},
}

in_every_locale = pytest.mark.parametrize("locale", LOCALES)

MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}

NO_TEXT = {
    "latin-1": "café".encode("latin-1"),
    "cp1252 quotes": b"say \x93hello\x94",
    "shift-jis": "日本".encode("shift-jis"),
    "utf-16-le without a mark": "why?".encode("utf-16-le"),
    "utf-16-be without a mark": "why?".encode("utf-16-be"),
    "utf-16 without a mark, no ASCII": "日本".encode("utf-16-le") + b"\n\0",
    "utf-16 with half a character": codecs.BOM_UTF16_LE + "why?".encode("utf-16-le")[:-1],
    "utf-16 with half a pair": codecs.BOM_UTF16_LE + "😀".encode("utf-16-le")[:2],
    "utf-8 cut in a character": "日本".encode()[:-1],
    "surrogate in utf-8": b"a\xed\xa0\x80b",
    "overlong": b"\xc0\xaf",
    "marked utf-8 with latin-1 behind": codecs.BOM_UTF8 + b"caf\xe9",
    "gzip": b"\x1f\x8b\x08\0",
    "a NUL in text": b"a\0b",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    home.env.pop("PYTHONIOENCODING")
    home.simulated("good")
    home.simulated("foreign", reply=TEXT)
    home.simulated("json", reply='Here:\n```json\n{"id": 12345678901234567890.10, "é": [1]}\n```\nDone.')
    home.simulated("code", reply="First:\n```python\nx = 1\n```\nthen\n```\ny = 2\n```\n")
    home.env["LLX_PROFILE"] = "good"
    return home


def sent(home: Home, *words: str, stdin: bytes = b"", **env: str) -> str:
    """The prompt that would be sent."""
    done = home.run(*words, "--dry-run", stdin=stdin, **env)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return shown(done.stdout)


def shown(preview: str) -> str:
    return preview.removeprefix("[user]\n").partition("\n\nwould be asked")[0]


def refused(home: Home, *words: str, stdin: bytes, **env: str) -> str:
    """The one line of what was refused before anything was sent."""
    done = home.run(*words, stdin=stdin, **env)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("llx: ")
    return done.stderr


# --- the same text in every locale -----------------------------------------------------------------------------------


@in_every_locale
def test_piped_text_is_utf_8_whatever_the_locale(home, locale):
    assert sent(home, "-", stdin=TEXT.encode(), **LOCALES[locale]) == TEXT.rstrip()


@in_every_locale
def test_piped_text_that_is_not_utf_8_is_refused_whatever_the_locale(home, locale):
    said = refused(home, "-q", "--prompt", "-", stdin=b"caf\xe9", **LOCALES[locale])
    assert "byte 0xe9 at position 3; nothing was sent" in said


@in_every_locale
def test_a_prompt_that_is_typed_is_utf_8_whatever_the_locale(home, locale):
    assert sent(home, TEXT.strip(), **LOCALES[locale]) == TEXT.strip()
    assert TEXT.strip() in sent(home, "why", "-s", TEXT.strip(), **LOCALES[locale])


@in_every_locale
def test_a_reply_in_a_pipe_is_utf_8_whatever_the_locale(home, locale):
    done = home.run("-p", "foreign", "why", **LOCALES[locale])
    assert (done.returncode, done.stdout) == (0, TEXT)


@pytest.mark.parametrize("encoding", MARKED)
def test_a_byte_order_mark_says_how_to_read_and_is_dropped(home, encoding):
    assert sent(home, "-", stdin=MARKED[encoding] + TEXT.encode(encoding), LC_ALL="C") == TEXT.rstrip()


def test_the_marks_of_files_that_were_joined_are_dropped_too(home):
    parts = [codecs.BOM_UTF8 + part for part in (b"one\n", b"two\n", b"three")]
    assert sent(home, "-", stdin=b"".join(parts)) == "one\ntwo\nthree"


def test_a_mark_in_a_prompt_that_is_typed_is_dropped(home):
    assert sent(home, "\ufeffwhy") == "why"


@pytest.mark.parametrize("case", NO_TEXT)
def test_what_is_no_text_is_one_line_that_names_the_byte_and_nothing_is_sent(case):
    with pytest.raises(UsageProblem) as refusal:
        decoded(NO_TEXT[case])
    said = str(refusal.value)
    assert "standard input is not text in UTF-" in said
    assert " at position " in said
    assert "nothing was sent" in said


@pytest.mark.parametrize(
    ("beginning", "what"),
    [(b"\x89PNG\r\n\x1a\n\0", "an image"), (b"\xff\xd8\xff\xe0", "an image"), (b"RIFF\0\0\0\0WEBPVP8 ", "an image"),
     (b"%PDF-1.7\n%\xe2", "a PDF")],
)  # fmt: skip
def test_an_image_or_a_pdf_that_is_piped_is_told_of_the_option(beginning, what):
    with pytest.raises(UsageProblem, match=f"standard input is {what}, .* llx -i FILE"):
        decoded(beginning)


@pytest.mark.parametrize("words", [["-"], ["--prompt", "-"], ["summarise"], ["--prompt", "summarise"], []], ids=str)
def test_however_it_is_piped_text_that_is_not_utf_8_is_refused(home, words):
    assert "byte 0xe9 at position 3" in refused(home, *words, stdin=b"caf\xe9")


def test_no_request_reaches_the_server(home):
    with FaultServer() as server:
        home.write("real", provider="openai", model="m", ephemeralSettings={"base-url": server.base_url})
        refused(home, "-p", "real", "summarise", stdin=b"caf\xe9")
        assert server.requests == []


def test_utf_16_without_a_mark_is_named_with_what_converts_it(home):
    assert "iconv -f utf-16le -t utf-8" in refused(home, "-", stdin="why?".encode("utf-16-le"))
    assert "iconv -f utf-16be -t utf-8" in refused(home, "-", stdin="why?".encode("utf-16-be"))


def test_line_ends_of_windows_and_of_old_macs_become_those_of_unix(home):
    assert sent(home, "-", stdin=b"one\r\ntwo\rthree") == "one\ntwo\nthree"


def raw(home: Home, *words: bytes) -> bytes:
    """The one line of what was refused, where the arguments are bytes."""
    done = subprocess.run(
        [*map(os.fsencode, home.command()), *words], capture_output=True, check=False, cwd=home.folder,
        env=home.env | {"LC_ALL": "C"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "words", [[b"caf\xe9"], [b"--prompt", b"caf\xe9"], [b"why", b"-s", b"caf\xe9"], [b"x", b"--param", b"a=\xe9"]]
)
def test_an_argument_that_is_not_utf_8_is_one_line(home, words):
    assert b"is not text in UTF-8" in raw(home, *words)


@pytest.mark.parametrize("words", [[b"-p", b"caf\xe9", b"why"], [b"profile", b"show", b"caf\xe9"], [b"caf\xe9", b"b"]])
def test_a_name_that_is_not_utf_8_is_one_line(home, words):
    assert raw(home, *words).startswith(b"llx: ")


def test_an_empty_standard_input_is_an_empty_prompt(home):
    assert "the prompt is empty; nothing was sent" in refused(home, "-", stdin=b"")
    assert "the prompt is empty; nothing was sent" in refused(home, "--prompt", "-", stdin=codecs.BOM_UTF8 + b" \n")


def test_more_than_any_model_takes_is_refused(home):
    assert "longer than 16 MiB; nothing was sent" in refused(home, "-", stdin=b"x" * (16 * 1024 * 1024 + 1))


# --- a question and what is piped ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (["why is it so?"], "", "why is it so?"),
        (["--prompt", "why"], "", "why"),
        (["summarise"], "a\n  b\n", "summarise\n\na\n  b"),
        (["--prompt", "summarise:\n"], "a\n", "summarise:\n\na"),
        (["summarise", "-"], "a", "summarise\n\na"),
        (["-", "summarise"], "a", "summarise\n\na"),
        (["--prompt", "summarise", "-"], "a", "summarise\n\na"),
        (["--prompt", "-", "summarise"], "a", "summarise\n\na"),
        ([], "a question\n", "a question"),
        (["-"], "a question\n", "a question"),
        (["why"], " \n", "why"),
        (["--prompt", ""], "a", "a"),
        (["-s", "Be brief.", "--no-stream", "why"], "", None),
        (["--", "- is a dash"], "", "- is a dash"),
    ],
    ids=str,
)
def test_the_prompt_is_the_question_a_blank_line_and_the_piped_text(home, words, stdin, prompt):
    done = home.run("--dry-run", *words, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert shown(done.stdout) == prompt or (prompt is None and "[user]\nwhy\n" in done.stdout)


def test_what_was_joined_is_said_on_stderr_unless_quiet(home):
    said = home.run("summarise", stdin="abc").stderr
    assert said.startswith("3 characters of standard input follow the question\ngood (m) · ")
    assert home.run("-q", "summarise", stdin="abc").stderr == ""


def test_a_file_is_joined_too(home, tmp_path):
    (tmp_path / "text").write_text("from a file")
    with (tmp_path / "text").open() as file:
        done = subprocess.run(
            home.command("summarise", "--dry-run"), stdin=file, capture_output=True, env=home.env, text=True, check=True
        )
    assert shown(done.stdout) == "summarise\n\nfrom a file"


def shell(home: Home, script: str, program: str = "sh", **how) -> subprocess.CompletedProcess[str]:
    """A script for a shell, in which ``llx`` is the command."""
    llx = f'llx() {{ {shlex.join(home.command())} "$@"; }}\n'
    return subprocess.run(
        [program, "-c", llx + script], capture_output=True, text=True, env=home.env, cwd=home.folder, check=False,
        timeout=120, **how,
    )  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        'llx "why" < /dev/null',
        'llx "why" <&-',
        'llx --prompt "why" <&-',
        'nohup llx "why" < /dev/null',
        ': | llx "why"',
        'llx "why" < /dev/zero',
    ],
)
def test_a_question_does_not_wait_for_a_standard_input_that_holds_nothing(home, script):
    done = shell(home, script.replace("nohup llx", f"nohup {shlex.join(home.command())}"), stdin=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, "I am good.\n"), done.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("llx - <&-", "standard input is closed; nothing was sent"),
        ("llx --prompt - <&-", "standard input is closed; nothing was sent"),
        ("llx <&-", "no prompt"),
        ('llx "why" >&-', "standard output is closed"),
    ],
)
def test_a_closed_stream_is_one_line(home, script, said):
    done = shell(home, script)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr


def test_a_closed_standard_error_costs_nothing_but_the_footer(home):
    done = shell(home, 'llx "why" 2>&-')
    assert (done.returncode, done.stdout) == (0, "I am good.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", ["why", "why --stats", "why --set timeout_ms=5000", "-q why"])
def test_a_full_disk_behind_standard_error_costs_nothing_but_the_footer(home, words):
    done = shell(home, f"llx {words} 2> /dev/full")
    assert (done.returncode, done.stdout) == (0, "I am good.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", ["why", "set --list", "--help"])
def test_a_full_disk_is_one_line_and_exit_status_1(home, words):
    done = shell(home, f"llx -q {words} > /dev/full" if words == "why" else f"llx {words} > /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "No space left on device" in done.stderr


def test_a_pipe_whose_writer_takes_its_time_is_read_to_its_end_and_the_wait_is_said(home):
    with subprocess.Popen(
        home.command("summarise", "--dry-run"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=home.env, text=True,
    ) as process:  # fmt: skip
        assert process.stderr.readline() == "waiting for the end of standard input (< /dev/null gives none)\n"
        process.stdin.write("late")
        process.stdin.close()
        assert shown(process.stdout.read()) == "summarise\n\nlate"


def test_a_pipe_that_another_program_made_non_blocking_is_read_to_its_end(home):
    read, write = os.pipe()
    os.set_blocking(read, False)
    with subprocess.Popen(
        home.command("-", "--dry-run"),
        stdin=read,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=home.env,
        text=True,
    ) as process:
        os.close(read)
        process.stderr.readline()  # it waits
        os.write(write, b"late")
        os.close(write)
        assert shown(process.stdout.read()) == "late"


def test_a_pipe_that_a_parent_passes_on_and_nobody_writes_into_does_not_hold_a_question_up(home):
    """A service, or a kernel, whose own standard input stays open for as long as it lives."""
    code = f"import subprocess; subprocess.run({home.command('why')})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=home.env, text=True,
    ) as parent:  # fmt: skip
        answered, said = parent.stdout.read(), parent.stderr.read()
        parent.stdin.close()
    assert answered == "I am good.\n"
    assert said.startswith("standard input is silent, so it is no part of the prompt")


@pytest.mark.parametrize("wrapper", ["timeout 60", "env", "nice"])
def test_a_pipe_through_another_program_is_joined(home, wrapper):
    done = shell(home, f"echo text | {wrapper} {shlex.join(home.command('summarise', '--dry-run'))}")
    assert shown(done.stdout) == "summarise\n\ntext"


def test_a_script_of_its_own_is_joined_with_what_the_script_was_piped(home, tmp_path):
    script = tmp_path / "ask.sh"
    script.write_text(shlex.join(home.command("summarise", "--dry-run")) + "\n")
    done = shell(home, f"echo text | sh {script}")
    assert shown(done.stdout) == "summarise\n\ntext"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who else has a standard input")
@pytest.mark.parametrize("program", ["sh", "bash"])
def test_a_shell_that_reads_its_commands_from_standard_input_keeps_them(home, program):
    """As with %%bash: what follows are commands, which must neither be lost nor sent."""
    llx = shlex.join(home.command("summarise", "--dry-run"))
    commands = f"{llx}\necho done\necho text | ( true; {llx} )\necho done again\n"
    done = subprocess.run([program], input=commands, capture_output=True, text=True, env=home.env, check=True)
    first, _, rest = done.stdout.partition("done\n")
    second, _, _ = rest.partition("done again\n")
    assert shown(first) == "summarise"
    assert shown(second) == "summarise\n\ntext"


@pytest.mark.parametrize(("said", "prompt"), [(None, "why"), (b"text", "why\n\ntext")])
def test_a_socket_is_joined_where_it_says_something_and_does_not_hold_a_question_up(home, said, prompt):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if said is not None:
            ours.sendall(said)
            ours.shutdown(socket.SHUT_WR)
        done = subprocess.run(
            home.command("why", "--dry-run"), stdin=theirs, capture_output=True, env=home.env, text=True, check=True
        )
    assert shown(done.stdout) == prompt


def test_a_terminal_is_not_waited_for_with_a_question(home):
    import pty

    parent, child = pty.openpty()
    try:
        done = subprocess.run(
            home.command("why", "--dry-run"), stdin=child, capture_output=True, env=home.env, text=True, check=True
        )
    finally:
        os.close(parent)
        os.close(child)
    assert shown(done.stdout) == "why"


def test_what_is_typed_on_a_terminal_is_the_prompt_where_a_dash_asks_for_it(home):
    import pty

    parent, child = pty.openpty()
    try:
        os.write(parent, "naïve\n\x04".encode())
        done = subprocess.run(
            home.command("-", "--dry-run"), stdin=child, capture_output=True, env=home.env | {"LC_ALL": "C"}, check=True
        )
    finally:
        os.close(parent)
        os.close(child)
    assert shown(done.stdout.decode()) == "naïve"


# --- questions and commands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["profle"], "unknown command 'profle'; did you mean llx profile? To ask it: llx --prompt profle"),
        (["porfile", "list"], "unknown command 'porfile'; did you mean llx profile?"),
        (["keys"], "did you mean llx key?"),
        (["what", "is", "this?"], "a question is one text: llx 'what is this?'"),
        (["trace"], "only IPython and notebooks have trace; LLXPRT_DEBUG='*' shows the decisions of a prompt\n"),
        (["log"], "only IPython and notebooks have log; LLXPRT_DEBUG='*' shows the decisions of a prompt\n"),
        (["circuit"], "only IPython and notebooks have circuit\n"),
        (["jobs"], "only IPython and notebooks have jobs\n"),
        (["--prompt", "why", "why not"], "the prompt is given twice"),
        (["-f", "xml", "why"], "--format must be markdown, text, code or json, got 'xml'"),
    ],
    ids=str,
)
def test_a_command_that_does_not_exist_is_one_line_with_the_nearest(home, words, said):
    assert said in refused(home, *words, stdin=b"")


@pytest.mark.parametrize("word", ["why", "hello", "hi", "Warum?", "日本", "summarise", "test"])
def test_a_single_word_that_is_no_misspelt_command_is_a_question(home, word):
    assert sent(home, word) == word


def test_a_word_like_a_command_can_be_asked_all_the_same(home):
    assert sent(home, "--prompt", "profle") == "profle"
    assert sent(home, "--prompt", "stats") == "stats"


@pytest.mark.parametrize("words", [["help"], ["help", "profile"], ["help", "local"]], ids=" ".join)
def test_help_is_the_help(home, words):
    done = home.run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == home.run(*words[1:], "--help").stdout


# --- forms and quiet -------------------------------------------------------------------------------------------------


def test_json_is_what_the_reply_holds_of_it_with_every_digit(home):
    done = home.run("-p", "json", "-f", "json", "-q", "why")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"id": 12345678901234567890.10, "é": [1]}\n'


def test_code_is_only_the_code(home):
    done = home.run("-p", "code", "-f", "code", "-q", "why")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x = 1\n", "")


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_other_forms_are_the_reply_as_it_is(home, form):
    assert home.run("-p", "code", "-f", form, "why").stdout == "First:\n```python\nx = 1\n```\nthen\n```\ny = 2\n```\n"


@pytest.mark.parametrize(("form", "said"), [("json", "the reply is no JSON"), ("code", "the reply holds no code")])
def test_a_reply_without_the_form_is_exit_status_1_with_the_reply_on_stderr(home, form, said):
    done = home.run("-f", form, "-q", "why")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "I am good."
    assert done.stderr.splitlines()[-1].startswith(f"llx: {said}")


def test_quiet_leaves_nothing_on_stderr_but_errors(home):
    home.write("noted", provider="simulated", model="m", surplus=1, modelParams={"reply": "Hi."}, ephemeralSettings={})
    home.simulated("down", "503")
    done = home.run("-p", "noted", "-q", "why", stdin="text", LLXPRT_DEBUG="llxprt:*")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hi.\n", "")
    failed = home.run("-p", "down", "-q", "why", "--set", "failover_retry_count=1")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "503" in failed.stderr
    assert [line.split()[0] for line in failed.stderr.splitlines()] == ["llx:", "down"]  # the error, a line each


# --- schema and effort -----------------------------------------------------------------------------------------------


def test_a_schema_in_a_file_is_told_and_checked(home):
    schema = home.folder / "schema.json"
    schema.write_text('{"type": "object", "properties": {"id": {"type": "string"}}}')
    done = home.run("-p", "json", "--schema", str(schema), "-q", "why")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the reply does not fit the schema" in done.stderr.splitlines()[-1]
    schema.write_text('{"type": "object", "properties": {"id": {"type": "number"}}}')
    done = home.run("-p", "json", "--schema", str(schema), "-q", "why")
    assert (done.returncode, done.stdout) == (0, '{"id": 12345678901234567890.10, "é": [1]}\n')
    shown = home.run("-p", "json", "--schema", str(schema), "--effort", "low", "--dry-run", "why").stdout
    assert "[schema]" in shown
    assert "effort: low" in shown


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("{", "line 1, column 2"),
        ("[1]", "must hold a JSON object"),
        ('{"type": "objekt"}', "none.json: it must hold a JSON schema, such as"),
        ('{"label": ["bug", "billing"], "urgent": "bool"}', "none.json: it must hold a JSON schema, such as"),
        ('{"$ref": "other.json"}', "none.json: "),
    ],
)
def test_a_file_that_is_no_schema_is_bad_usage_in_one_line(home, content, says):
    schema = home.folder / "none.json"
    schema.unlink(missing_ok=True)
    if content is not None:
        schema.write_text(content)
    done = home.run("--schema", str(schema), "-q", "why")
    assert done.returncode == 2
    assert "pydantic" not in done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
