"""The command line as a user meets it: a process, its exit status, its reply on stdout and the rest on stderr."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from PIL import Image

from tests.commands.command import ROOT, Home


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    """Two simulated models, one that is down, one that breaks off, and balancers of them; the tests only read it."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.simulated("good")
    home.simulated("other")
    home.simulated("down", "503")
    home.simulated("breaks", "cut:2", reply="Once upon a time")
    home.simulated("silent", "stall")
    home.simulated("rude", reply="red \x1b[31malert\x1b[0m\x07")
    home.simulated("endless", "cut:20000", reply="word " * 30_000)
    home.balancer("lb", "good", "other")
    home.balancer("failing", "down", "good")
    home.balancer("breaking", "breaks", "good")
    home.balancer("hopeless", "down", "breaks")
    home.balancer("turns", "down", "good", policy="roundrobin")
    return home


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process there in another way")
def test_an_interrupt_while_the_command_is_still_being_imported_shows_no_traceback(home: Home) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "llx_magic", "--prompt", "why"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=home.env, cwd=home.folder) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.rstrip().endswith("llx_magic.errors"))
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode in (-signal.SIGINT, 130)  # on a busy machine the import may be over by then
    assert "Traceback" not in said


def test_a_prompt_beyond_the_profiles_budget_is_refused_in_one_line_that_says_how_to_raise_it(home: Home) -> None:
    saving = ("profile", "save", "model", "dear", "--provider", "simulated", "--model", "m", "--price-input", "0")
    home.run(*saving, "--price-output", "2000", "--set", "budget_usd=0.5")
    refused = home.run("-p", "dear", "--prompt", "why")
    assert (refused.returncode, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    assert line.endswith(
        "about 1 USD more would go beyond the budget of 0.5 USD (0 spent); "
        "raise it with --set budget_usd=2 where the profile is saved"
    )


def test_messages_name_the_commands_as_they_are_typed_in_a_shell(home: Home) -> None:
    """What is missing is said as a notebook says it, but with this program's own commands."""
    home.run("profile", "save", "model", "mine", "--provider", "local", "--model", "smollm2-135m-instruct")
    missing = home.run("-p", "mine", "--prompt", "why")
    unkeyed = home.run("profile", "save", "model", "far", "--provider", "groq", "--model", "m")
    far = home.run("-p", "far", "--prompt", "why", GROQ_API_KEY="")
    assert "type llx local pull" in missing.stderr
    assert "llx key set" in unkeyed.stdout + far.stderr
    assert "%llx" not in missing.stderr + unkeyed.stdout + far.stderr


@pytest.mark.model
def test_the_footer_of_the_embedded_model_says_that_it_stands_in_and_what_to_type(home):
    done = home.run("--param", "max_tokens=3", "why", LLX_CACHE_HOME="")
    assert done.returncode == 0, done.stderr
    assert "a stand-in, not to be relied on: no profile is loaded (llx -p NAME)" in done.stderr
    assert done.stderr.startswith("local (smollm2-135m-instruct) · ")


def test_the_reply_goes_to_stdout_and_everything_else_to_stderr(home):
    done = home.run("--profile-load", "lb", "--prompt", "why")
    assert (done.returncode, done.stdout) == (0, "I am good.\n")
    assert done.stderr.startswith("good (m) · ")


def test_a_prompt_of_a_dash_is_read_from_standard_input(home):
    assert home.run("-p", "lb", "--prompt", "-", stdin="why is it so?\n").stdout == "I am good.\n"


def test_debug_lines_go_to_stderr_where_the_variable_asks_for_them(home):
    done = home.run("--profile-load", "failing", "--prompt", "why", LLXPRT_DEBUG="llxprt:*")
    assert done.stdout == "I am good.\n"
    for line in (
        "[LB:failover] Trying backend: down (attempt 1/1)",
        "[LB:failover] down failed: 503 Service Unavailable",
        "[LB:failover] Success on backend: good",
    ):
        assert line in done.stderr.splitlines()


def test_statistics_follow_on_stderr_in_the_plans_layout(home):
    done = home.run("--profile-load", "failing", "--prompt", "why", "--stats")
    assert done.stdout == "I am good.\n"
    assert "Load Balancer Statistics\nProfile: failing\nTotal Requests: 2\n\nBackend Metrics:\n  down\n" in done.stderr


def test_a_pipe_gets_whole_replies_only_and_never_a_withdrawn_text(home):
    done = home.run("-p", "breaking", "--prompt", "why")
    assert (done.returncode, done.stdout) == (0, "I am good.\n")
    assert "breaks broke off after 2 words" in done.stderr


def test_of_a_long_text_that_broke_off_the_beginning_and_the_size_are_shown(home):
    """Sixteen MiB of it would push the reason out of the terminal."""
    done = home.run("-p", "endless", "--prompt", "why")
    assert (done.returncode, done.stdout) == (1, "")
    _, text, size, error, *_ = done.stderr.splitlines()
    assert text == "word " * 2000
    assert re.fullmatch(r"… \(\d\d,\d\d\d characters in all\)", size)
    assert error.startswith("llx: no backend could answer")


def test_where_nobody_answers_stdout_is_empty_the_partial_text_is_marked_and_the_exit_status_is_1(home):
    done = home.run("-p", "hopeless", "--prompt", "why")
    assert (done.returncode, done.stdout) == (1, "")
    *partial, error, down, breaks = done.stderr.splitlines()
    assert partial == ["incomplete text of a backend that failed:", "Once upon"]
    assert error == "llx: no backend could answer: 2 failed"
    assert down == "  down    503 Service Unavailable"
    assert breaks.startswith("  breaks  ")


def test_a_pinned_backend_is_asked_alone(home):
    done = home.run("-p", "failing", "-b", "down", "--prompt", "why")
    assert (done.returncode, done.stdout) == (1, "")
    assert "good" not in done.stderr


def test_a_dry_run_shows_prompt_and_order_and_sends_nothing(home):
    done = home.run("-p", "failing", "--prompt", "why", "--dry-run", LLXPRT_DEBUG="llxprt:*")
    assert done.returncode == 0
    assert "why" in done.stdout
    assert done.stdout.index("1. down") < done.stdout.index("2. good")
    assert "Trying backend" not in done.stderr


def test_control_sequences_of_a_reply_do_not_reach_stdout(home):
    assert home.run("-p", "rude", "--prompt", "why").stdout == "red alert\n"


def test_a_missing_key_is_exit_status_1_with_the_command_that_sets_it(home):
    home.write("keyless", provider="openai", model="m", ephemeralSettings={})
    done = home.run("-p", "keyless", "--prompt", "why", OPENAI_API_KEY="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "key" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["set", "--list"], ["set", "timeout_ms"], ["profile", "list"], ["profile", "--help"]],
    ids=" ".join,
)
def test_a_subcommands_result_goes_to_stdout_with_exit_status_0(home, words):
    done = home.run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_the_status_of_a_new_process_says_what_keeps_a_backend_from_being_asked(home):
    home.write("keyless", provider="openai", model="m", ephemeralSettings={})
    done = home.run("status", "-p", "keyless", OPENAI_API_KEY="")
    assert done.returncode == 0
    assert done.stdout.startswith("keyless: keyless cannot be asked: key missing")


USE = ["-p", "lb", "--prompt", "why"]
BAD_USAGE = {
    "no prompt": ([], "no prompt; give --prompt TEXT"),
    "question as name": (["-p", "lb", "--chat", "Hi there"], "'Hi there' was taken as the name of a conversation"),
    "empty prompt": (["-p", "lb", "--prompt", ""], "the prompt is empty; nothing was sent"),
    "blank prompt": (["-p", "lb", "--prompt", " \n "], "the prompt is empty; nothing was sent"),
    "unknown option": ([*USE, "--profil", "x"], "unknown option --profil; did you mean --profile?"),
    "option of a notebook": ([*USE, "--bg"], "--bg is an option of notebooks alone"),
    "option without value": (["-p", "lb", "--prompt"], "--prompt needs a value, TEXT"),
    "unknown command": (["profil", "list"], "unknown command 'profil'"),
    "unknown subcommand": (["profile", "lst"], "did you mean list?"),
    "unknown setting": ([*USE, "--set", "timeout=5"], "unknown setting 'timeout'; did you mean timeout_ms?"),
    "unknown command in help": (["help", "mpa"], "llx help: unknown command 'mpa'; did you mean map?"),
    "unknown setting in help": (["set", "timeout"], "unknown setting 'timeout'; did you mean timeout_ms?"),
    "set without value": ([*USE, "--set", "timeout_ms"], "--set takes key=value, got 'timeout_ms'"),
    "negative": ([*USE, "--set", "tpm_threshold=-500"], "tpm_threshold must be a positive number, got -500"),
    "no number": ([*USE, "--set", "timeout_ms=abc"], "timeout_ms must be a number of milliseconds, got 'abc'"),
    "with unit": ([*USE, "--set", "timeout_ms=30s"], "got '30s'; write 30000"),
    "no boolean": (
        [*USE, "--set", "circuit_breaker_enabled=maybe"],
        "circuit_breaker_enabled must be a boolean (true or false), got 'maybe'",
    ),
    "not for one prompt": ([*USE, "--set", "history_limit=5"], "history_limit cannot be set for one request"),
    "unknown profile": (["-p", "lbb", "--prompt", "why"], "did you mean lb"),
    "unknown backend": ([*USE, "-b", "god"], "profile lb has no backend 'god'; did you mean good?"),
    "unknown policy": (["profile", "save", "loadbalancer", "x", "failver", "good", "other"], "did you mean failover?"),
    "unknown provider": (["profile", "save", "model", "x", "--provider", "opnai", "--model", "m"], "openai"),
    "one member": (["profile", "save", "loadbalancer", "x", "failover", "good"], "at least two members, got good"),
    "no member": (["profile", "save", "loadbalancer", "x", "failover"], "at least two members, got none"),
    "missing member": (["profile", "save", "loadbalancer", "x", "failover", "good", "ghost"], "ghost"),
    "balancer as member": (["profile", "save", "loadbalancer", "x", "failover", "good", "lb"], "lb"),
    "itself as member": (["profile", "save", "loadbalancer", "x", "failover", "x", "good"], "a member of itself"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_USAGE)
def test_bad_usage_is_one_line_on_stderr_and_exit_status_2(home, case):
    words, said = BAD_USAGE[case]
    done = home.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("llx")
    assert said in done.stderr
    assert not (home.profiles / "x.json").exists()


BROKEN = {
    "comma": ('{\n  "provider": "simulated",\n  "model": "m",,\n}', ("line 3", "column 16")),
    "cut": ('{"provider": "simulated", "mod', ("line 1",)),
    "empty": ("", ("broken",)),
    "a list": ("[]", ("JSON object",)),
    "duplicate": ('{"model": "a", "model": "b", "provider": "simulated"}', ("model",)),
    "not a number": ('{"provider": "simulated", "model": "m", "modelParams": {"x": NaN}}', ("NaN",)),
    "no model": ('{"provider": "simulated"}', ("model is missing",)),
    "bad setting": (
        '{"provider": "simulated", "model": "m", "ephemeralSettings": {"timeout_ms": "30s"}}',
        ("timeout_ms must be a number of milliseconds", "write 30000"),
    ),
    "one member": ('{"type": "loadbalancer", "policy": "failover", "profiles": ["good"]}', ("at least two members",)),
    "no member": ('{"type": "loadbalancer", "policy": "failover", "profiles": []}', ("at least two members",)),
    "ghost": ('{"type": "loadbalancer", "policy": "failover", "profiles": ["good", "ghost"]}', ("ghost",)),
    "balancer": ('{"type": "loadbalancer", "policy": "failover", "profiles": ["good", "lb"]}', ("lb",)),
    "itself": ('{"type": "loadbalancer", "policy": "failover", "profiles": ["good", "broken"]}', ("member of itself",)),
    "policy": ('{"type": "loadbalancer", "policy": "failver", "profiles": ["good", "other"]}', ("did you mean",)),
    "provider": ('{"provider": "simulatd", "model": "m"}', ("simulated",)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_line_that_names_it_and_what_is_wrong_and_nothing_is_sent(home, case):
    text, said = BROKEN[case]
    home.text("broken", text)
    try:
        done = home.run("-p", "broken", "--prompt", "why")
        others = home.run(*USE)
    finally:
        (home.profiles / "broken.json").unlink()
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "broken" in done.stderr or case == "provider"
    assert all(piece in done.stderr for piece in said), done.stderr
    assert others.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["profile", "load", "lb"], "give -p lb with a prompt, or type llx profile set-default lb"),
        (["set", "timeout_ms", "5"], "give --set KEY=VALUE"),
        (["set", "timeout_ms=5"], "give --set KEY=VALUE"),
    ],
    ids=" ".join,
)
def test_what_would_end_with_the_command_is_refused_with_what_lasts(home, words, said):
    done = home.run(*words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr


def test_a_key_that_no_input_gives_is_one_line(home):
    done = home.run("key", "set", "work", PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "llx: key work is not stored: the input ended before a key was given\n"


@pytest.mark.posix("signals end a process on Windows in another way")
def test_an_interrupt_is_exit_status_130_and_one_line(home):
    command = home.command("-p", "silent", "--prompt", "why")
    env = home.env | {"LLXPRT_DEBUG": "llxprt:*"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=home.folder, text=True
    ) as process:
        lines = iter(process.stderr.readline, "")
        assert any("Trying backend: silent" in line for line in lines)
        process.send_signal(signal.SIGINT)
        rest = list(lines)
        assert process.stdout.read() == ""
    assert process.returncode == 130
    assert rest[-1] == "llx: interrupted\n"
    assert not any("Traceback" in line for line in rest)


def test_a_standard_input_that_is_no_text_is_one_line_that_names_the_byte(home):
    done = home.run("-p", "lb", "--prompt", "-", stdin=b"caf\xe9 \xff?")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "llx: standard input is not text in UTF-8: byte 0xe9 at position 3; nothing was sent; "
        "convert it first, for example: iconv -f latin1 -t utf-8\n"
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ModuleNotFoundError('no', name='xllamacpp')", "xllamacpp is not installed: type "),
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file')",
            "install it (Debian's package is libgomp1)",
        ),
    ],
    ids=["runtime", "library"],
)
@pytest.mark.parametrize("words", [["local", "pull"], ["demo"]], ids=" ".join)
def test_a_pull_says_at_once_that_the_runtime_is_missing_and_fetches_nothing(home, tmp_path, source, said, words):
    (tmp_path / "xllamacpp.py").write_text(source)
    cache = tmp_path / "cache"
    done = home.run(*words, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", LLX_CACHE_HOME=str(cache))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert said in done.stderr
    assert not cache.exists()


def test_a_reader_that_has_gone_is_no_traceback(home):
    process = subprocess.Popen(
        home.command("set", "--list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=home.env, cwd=home.folder
    )
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert b"Traceback" not in said


@pytest.fixture
def seeing(tmp_path):
    """A home with a model that takes images, one that does not, and a picture in the working folder."""
    home = Home(tmp_path)
    params = {"script": "ok"}
    flags = {"images": True, "files": True}
    home.write("eyes", provider="simulated", model="m", modelParams=params, ephemeralSettings=flags)
    home.simulated("blind")
    home.balancer("mixed", "blind", "eyes")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "plot.png")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
    return home


def test_an_image_and_a_document_go_with_the_question(seeing):
    done = seeing.run("-p", "mixed", "-i", "plot.png", "--image", "report.pdf", "--prompt", "What is this?")
    assert done.stdout == "This is eyes, answering a prompt of 3 words, 1 image, 1 file.\n"
    assert done.stderr.startswith("image plot.png, PNG, 30 x 20 pixels, 1 kB\nfile report.pdf, PDF, 1 kB\n")
    assert "blind skipped: does not take images or files" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-p", "blind", "-i", "plot.png"], "nobody can be asked this: blind does not take images; nothing was sent"),
        (["-p", "eyes", "-i", "nothing.png"], "nothing.png: cannot be read (no such file or directory)"),
        (["-p", "eyes", "-i", "."], "cannot be read (it is a folder)"),
        (["-p", "eyes", "-i", "http://a.example/b.png"], "must begin with https://"),
        (["-p", "eyes", "-i", "config/profiles/eyes.json"], "eyes.json: is no image of a format that is read"),
    ],
)
def test_an_image_that_cannot_be_sent_is_one_line(seeing, words, why):
    done = seeing.run(*words, "--prompt", "what")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert why in done.stderr


def test_a_dry_run_of_the_command_says_what_image_would_be_sent(seeing):
    done = seeing.run("-p", "mixed", "-i", "plot.png", "--dry-run", "--prompt", "what")
    assert "[image plot.png, PNG, 30 x 20 pixels, 1 kB] what" in done.stdout
    assert "skipped: does not take images" in done.stdout
