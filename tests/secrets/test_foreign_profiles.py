"""A profile file from elsewhere takes no key: a server that keeps what it is sent, and every way to load a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

import llx_magic
from llx_magic.commands import prompt
from llx_magic.consent.trust import VARIABLE
from llx_magic.engine.background import BACKGROUND
from llx_magic.errors import AllBackendsFailed
from llx_magic.keys.keychain import SERVICE
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.session import Session
from tests.faults.server import FaultServer
from tests.logins import LoginServer, aws_in, entra_in, google_in, without_logins
from tests.notebook.kit import PlainShell, RedrawingShell, opened, wait_until
from tests.secrets.vault import FileKeyring
from tests.typed import Typed, options

profiles = Typed("profile")

pytestmark = pytest.mark.posix("the owners and modes of files are those of POSIX systems")

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-that-is-nobodys-business"
ANSWER = "Evil says hello."


@pytest.fixture
def evil() -> Iterator[FaultServer]:
    """A server that keeps what it is sent."""
    with FaultServer("ok", text=ANSWER) as server:
        yield server


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cloned repository, in which the user works."""
    folder = tmp_path / "cloned"
    folder.mkdir(mode=0o700)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    return folder


@pytest.fixture(autouse=True)
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoginServer]:
    """The user's logins, which give the secret."""
    without_logins(tmp_path, monkeypatch.setenv)
    with LoginServer(SECRET) as given:
        aws_in(given, monkeypatch.setenv)
        entra_in(given, monkeypatch.setenv)
        google_in(given, monkeypatch.setenv, tmp_path)
        yield given


def write(folder: Path, name: str, url: str, **connection: object) -> Path:
    """A model's file; by default it names a variable that is no key of any provider."""
    settings = {"base-url": url, **{key.replace("_", "-"): value for key, value in connection.items()}}
    if not connection:
        settings["auth-key-env"] = "AWS_SECRET_ACCESS_KEY"
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"provider": "openai", "model": "m", "ephemeralSettings": settings}))
    path.chmod(0o600)
    return path


def write_balancer(folder: Path, name: str, *members: str, **params: object) -> Path:
    path = folder / f"{name}.json"
    document = {"type": "loadbalancer", "policy": "roundrobin", "profiles": members, "modelParams": params}
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def taken(server: FaultServer) -> list[str]:
    """Every header with the secret in it that the server was sent."""
    return [value for each in server.requests for value in each.headers.values() if SECRET in value]


def answered(session: Session, named: str | None = None) -> str:
    """Ask as magics and the command line do, and return the reply's text."""
    balancer = session.balancer(named)
    asked = balancer.prepare("why")
    return BACKGROUND.run(balancer.run(asked, lambda _part: None)).text


def refused(session: Session, named: str | None = None) -> str:
    """Ask, which must fail, and return why."""
    with pytest.raises(AllBackendsFailed) as caught:
        answered(session, named)
    return str(caught.value)


def in_shell(kind: type, *cells: str) -> Callable[[Path, pytest.MonkeyPatch], str]:
    def load(path: Path, _patch: pytest.MonkeyPatch) -> str:
        with opened(kind) as user:
            ran = [user(each.format(path)) for each in cells]
            return " ".join(f"{each.printed} {each.error}" for each in ran)

    return load


def in_background(path: Path, _patch: pytest.MonkeyPatch) -> str:
    with opened(PlainShell) as user:
        user(f"%llx --bg -p {path} why").fine()
        assert wait_until(lambda: "_llx" in user)
        return str(user.last.error)


def by_variable(path: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setenv("LLX_PROFILE", str(path))
    return refused(Session())


def by_ask(path: Path, _patch: pytest.MonkeyPatch) -> str:
    with pytest.raises(AllBackendsFailed) as caught:
        llx_magic.ask("why", profile=str(path))
    return str(caught.value)


def by_load(path: Path, _patch: pytest.MonkeyPatch) -> str:
    with pytest.raises(AllBackendsFailed) as caught:
        llx_magic.ask("why", profile=llx_magic.load(str(path)).profile)
    return str(caught.value)


def by_command(*words: str) -> Callable[[Path, pytest.MonkeyPatch], str]:
    def load(path: Path, _patch: pytest.MonkeyPatch) -> str:
        done = command(*(word.format(path) for word in words))
        assert done.returncode == 1
        return done.stderr

    return load


def command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", "llx_magic", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, "LLXPRT_DEBUG": "", **env},
        check=False,
    )


WAYS: dict[str, Callable[[Path, pytest.MonkeyPatch], str]] = {
    "cell": in_shell(PlainShell, "%llx -p {} why"),
    "kernel-cell": in_shell(RedrawingShell, "%%llx -p {}\nwhy"),
    "load": in_shell(RedrawingShell, "%llx_profile load {}", "%llx why"),
    "background": in_background,
    "variable": by_variable,
    "ask": by_ask,
    "python-load": by_load,
    "command": by_command("-p", "{}", "--prompt", "why"),
    "pinned": by_command("-p", "{}", "-b", "team", "--prompt", "why"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_from_elsewhere_gets_no_key_whatever_way_it_is_loaded(evil, repository, monkeypatch, way):
    """Nothing is sent, nothing waits for input, and the error says what to type."""
    said = WAYS[way](write(repository, "team", evil.base_url), monkeypatch)
    assert evil.requests == []
    assert "not allowed yet" in said
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert f"127.0.0.1:{evil.port}" in said
    assert SECRET not in said


def places(repository: Path) -> dict[str, dict[str, object]]:
    """Every way to name a secret."""
    secret = repository.parent / "id"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    (repository / "innocent").symlink_to(secret)
    FileKeyring().set_password(SERVICE, "work", SECRET)
    return {
        "variable": {"auth_key_env": "DATABASE_PASSWORD"},
        "usual-variable-by-name": {"auth_key_env": "OPENAI_API_KEY"},
        "keyring": {"auth_key_name": "work"},
        "file": {"auth_keyfile": str(secret)},
        "file-beside-that-leads-elsewhere": {"auth_keyfile": "innocent"},
        "header": {"custom_headers": {"x-gateway": "${DATABASE_PASSWORD}"}},
        "header-by-object": {"custom_headers": {"x-gateway": {"env": "DATABASE_PASSWORD"}}},
        "header-as-text": {"custom_headers": '{"x-gateway": "prefix ${DATABASE_PASSWORD}"}'},
        "authorization": {"custom_headers": {"Authorization": "Basic ${DATABASE_PASSWORD}"}},
        "user-agent": {"user_agent": "${DATABASE_PASSWORD}"},
        "aws": {"auth": "sigv4", "aws_region": "us-east-1"},
        "entra": {"auth": "entra"},
        "google": {"auth": "google"},
        "literal-and-header": {"auth_key": "its-own-key", "custom_headers": {"x-gateway": "${DATABASE_PASSWORD}"}},
    }


PLACES = (
    "variable", "usual-variable-by-name", "keyring", "file", "file-beside-that-leads-elsewhere", "header",
    "header-by-object", "header-as-text", "authorization", "user-agent", "aws", "entra", "google",
    "literal-and-header",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_place_of_a_key_is_read_without_consent_and_each_is_with_it(evil, repository, logins, place):
    """The secret goes nowhere before the user has said yes to the pair, and to its host after that."""
    path = write(repository, "team", evil.base_url, **places(repository)[place])
    session = Session()
    assert "not allowed yet" in refused(session, str(path))
    assert evil.requests == logins.requests == []
    said = profiles.run(session, f"trust {path}").text
    assert f"127.0.0.1:{evil.port}" in said
    assert SECRET not in said
    assert answered(session, str(path)) == ANSWER
    assert len(taken(evil)) == 1
    profiles.run(session, f"untrust {path}")
    assert "not allowed yet" in refused(session, str(path))
    assert len(evil.requests) == 1


def test_a_files_own_key_and_no_key_at_all_are_nothing_to_ask_about(evil, repository):
    """What is in the file is the file's own."""
    session = Session()
    for settings in ({"auth_key": "its-own-key"}, {"price_input": 1}):
        path = write(repository, "team", evil.base_url, **settings)
        assert answered(session, str(path)) == ANSWER
        assert "no key that needs consent" in profiles.run(session, f"trust {path}").text
    assert taken(evil) == []


def test_a_providers_usual_variable_is_asked_for_as_well_though_it_goes_to_the_providers_host(repository):
    """A foreign file would spend it; nothing is sent here."""
    path = repository / "team.json"
    path.write_text(json.dumps({"provider": "openai", "model": "m"}))
    session = Session()
    said = prompt.preview(*prompt.prepare(session, options(f"-p '{path}' --dry-run"), "why")).text
    assert "skipped" in said
    assert "not allowed yet" in said
    assert "OPENAI_API_KEY=" not in said.replace("LLX_TRUST=OPENAI_API_KEY@api.openai.com", "")


def test_a_changed_host_asks_anew(evil, repository):
    """Consent is to a pair and not to a file."""
    with FaultServer("ok") as good:
        path = write(repository, "team", good.base_url)
        session = Session()
        profiles.run(session, f"trust {path}")
        answered(session, str(path))
        assert len(taken(good)) == 1
        write(repository, "team", evil.base_url)
        assert "not allowed yet" in refused(session, str(path))
        assert "not allowed yet" in refused(Session(), str(path))
    assert evil.requests == []


def test_what_was_allowed_is_not_asked_again_by_another_file_or_process(evil, repository):
    """The same key to the same host."""
    profiles.run(Session(), f"trust {write(repository, 'team', evil.base_url)}")
    other = write(repository, "other", evil.base_url)
    assert command("-p", str(other), "--prompt", "why").stdout.strip() == ANSWER


def test_a_member_beside_the_file_does_not_take_the_key_of_the_users_own_profile(evil, repository, home):
    """It comes before the user's own of that name, and the load line says so."""
    with FaultServer("ok") as good:
        write(home / "profiles", "work", good.base_url, auth_key_env="DATABASE_PASSWORD")
        write(repository, "work", evil.base_url, auth_key_env="DATABASE_PASSWORD")
        path = write_balancer(repository, "team", "work")
        session = Session()
        said = profiles.run(session, f"load {path}").text
        assert f"work: http://127.0.0.1:{evil.port}, key from DATABASE_PASSWORD (not allowed yet)" in said
        assert "not your own profile of that name" in said
        assert "type %llx_profile trust" in said
        refused(session)
        assert evil.requests == good.requests == []


def test_the_users_own_profile_in_a_foreign_load_balancer_goes_where_it_always_goes(evil, repository, home):
    """The file only names it."""
    write(home / "profiles", "work", evil.base_url)
    assert answered(Session(), str(write_balancer(repository, "team", "work"))) == ANSWER
    assert len(taken(evil)) == 1


def test_the_parameters_of_a_foreign_load_balancer_do_not_reach_the_users_own_profile(evil, repository, home):
    """A gateway may take from them where the prompt goes, with the user's key."""
    write(home / "profiles", "work", evil.base_url)
    path = write_balancer(repository, "team", "work", api_base="http://evil.example")
    assert "team: its modelParams do not go to work" in profiles.run(Session(), f"load {path}").text
    assert answered(Session(), str(path)) == ANSWER
    assert "api_base" not in evil.requests[-1].json


def test_the_parameters_of_a_foreign_load_balancer_reach_the_members_beside_it(evil, repository):
    write(repository, "work", evil.base_url, auth_key="its-own-key")
    assert answered(Session(), str(write_balancer(repository, "team", "work", temperature=0.5))) == ANSWER
    assert evil.requests[-1].json["temperature"] == 0.5


def test_the_parameters_of_a_load_balancer_that_others_can_write_do_not_reach_the_users_own_profile(evil, home):
    write(home / "profiles", "work", evil.base_url, auth_key="its-own-key")
    write_balancer(home / "profiles", "team", "work", temperature=0.5).chmod(0o666)
    assert answered(Session(), "team") == ANSWER
    assert "temperature" not in evil.requests[-1].json


def owned_by_another(path: Path) -> int | None:
    """Give the file away where that can be done; else return a user to whom it does not belong."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        return None
    return os.geteuid() + 1


def give_file_away(_profiles: Path, path: Path) -> int | None:
    return owned_by_another(path)


def give_folder_away(folder: Path, _path: Path) -> int | None:
    return owned_by_another(folder)


def give_configuration_away(folder: Path, _path: Path) -> int | None:
    return owned_by_another(folder.parent)


def open_folder(folder: Path, _path: Path) -> None:
    folder.chmod(0o777)


def open_folder_to_the_group(folder: Path, _path: Path) -> None:
    folder.chmod(0o770)


def open_folder_stickily(folder: Path, _path: Path) -> None:
    folder.chmod(0o1777)


def open_configuration(folder: Path, _path: Path) -> None:
    folder.parent.chmod(0o775)


def open_home(folder: Path, _path: Path) -> None:
    folder.parent.parent.chmod(0o777)


def open_file(_folder: Path, path: Path) -> None:
    path.chmod(0o666)


def link_file(_folder: Path, path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere.json"
    elsewhere.hardlink_to(path)


def link_folder_of_another(folder: Path, _path: Path) -> int | None:
    moved = folder.with_name("moved")
    folder.rename(moved)
    folder.symlink_to(moved)
    if os.geteuid() == 0:
        os.lchown(folder, 12345, -1)
        return None
    return os.geteuid() + 1


TAMPERED = (
    give_file_away, give_folder_away, give_configuration_away, open_folder, open_folder_to_the_group,
    open_folder_stickily, open_configuration, open_home, open_file, link_file, link_folder_of_another,
)  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda each: each.__name__)
def test_the_users_own_folder_counts_as_such_only_while_nobody_else_can_change_it(evil, repository, home, tamper):
    """Loaded by name, as the default would be; the list says it too."""
    path = write(home / "profiles", "work", evil.base_url)
    assert answered(Session(), "work") == ANSWER
    user = tamper(home / "profiles", path)
    session = Session(ProfileStore(user=user))
    said = refused(session, "work")
    assert "not allowed yet" in said
    assert len(evil.requests) == 1
    assert "not allowed yet" in profiles.run(session, "list").text
    assert "to allow it: %llx_profile trust" in profiles.run(session, "show work").aside
    json.loads(profiles.run(session, "show work").text)


def test_the_users_own_profiles_are_asked_nothing(evil, repository, home):
    """A variable that the user named goes where the user said, also from a folder that is reached over an own link."""
    write(home / "profiles", "work", evil.base_url)
    moved = home / "moved"
    (home / "profiles").rename(moved)
    (home / "profiles").symlink_to(moved)
    session = Session()
    assert answered(session, "work") == ANSWER
    assert answered(session, str(home / "profiles" / "work.json")) == ANSWER
    assert "not allowed" not in profiles.run(session, "list").text
    assert "(not allowed" not in profiles.run(session, "load work").text


def test_a_folder_beyond_the_link_of_a_foreign_path_is_foreign_too(evil, repository, home):
    """A link in a repository that leads into the user's folder, and one that leads out of it."""
    path = write(home / "profiles", "work", evil.base_url)
    (repository / "link").symlink_to(home / "profiles")
    assert "not allowed yet" in refused(Session(), str(repository / "link" / "work.json"))
    assert "not allowed yet" in refused(Session(), f"{path.parent}/../../cloned/link/work.json")
    assert evil.requests == []


def test_python_says_trust_for_one_object_only(evil, repository):
    """It is not remembered."""
    path = str(write(repository, "team", evil.base_url))
    assert llx_magic.ask("why", profile=llx_magic.load(path, trust=True).profile).text == ANSWER
    assert "not allowed yet" in refused(Session(), path)
    assert len(evil.requests) == 1


def test_the_command_line_says_trust_for_one_prompt_only(evil, repository):
    """The line on stderr names the host and the key's place."""
    path = str(write(repository, "team", evil.base_url))
    done = command("--trust", "-p", path, "--prompt", "why")
    assert done.stdout.strip() == ANSWER
    assert f"team: http://127.0.0.1:{evil.port}, key from AWS_SECRET_ACCESS_KEY" in done.stderr
    assert command("-p", path, "--prompt", "why").returncode == 1
    assert len(evil.requests) == 1


def test_a_variable_allows_the_pairs_that_it_names_and_no_other(evil, repository):
    """It is no switch: what is no pair is said and allows nothing."""
    path = str(write(repository, "team", evil.base_url))
    words = ("-p", path, "--prompt", "why")
    for wrong in ("1", "true", "*", "AWS_SECRET_ACCESS_KEY", f"OTHER@{evil.base_url}", "AWS_SECRET_ACCESS_KEY@*"):
        done = command(*words, LLX_TRUST=wrong)
        assert done.returncode == 1
        assert "not allowed yet" in done.stderr
    assert "LLX_TRUST takes KEY@HOST, got '1'" in command(*words, LLX_TRUST="1").stderr
    assert evil.requests == []
    right = f"OTHER@elsewhere.example, AWS_SECRET_ACCESS_KEY@http://127.0.0.1:{evil.port}"
    assert command(*words, LLX_TRUST=right).stdout.strip() == ANSWER
    assert VARIABLE == "LLX_TRUST"


def test_the_line_that_the_error_names_is_the_one_that_allows_it(evil, repository):
    """In a notebook; a path with a space among the names."""
    folder = repository / "our team"
    folder.mkdir()
    path = write(folder, "team", evil.base_url)
    with opened(RedrawingShell) as user:
        line = str(user(f'%llx -p "{path}" why').error).partition("to allow it: ")[2].partition(" (or")[0]
        assert line.startswith("%llx_profile trust ")
        assert "may send" in user(line).fine().printed
        user(f'%llx -p "{path}" why').fine()
    assert len(taken(evil)) == 1


def test_another_member_answers_while_one_is_not_allowed(evil, repository):
    """It is passed over as one without a key: no visit, not counted."""
    with FaultServer("ok", text="Good.") as good:
        write(repository, "bad", evil.base_url)
        write(repository, "good", good.base_url, auth_key="its-own")
        session = Session()
        balancer = session.load(str(write_balancer(repository, "team", "bad", "good"))).balancer
        assert answered(session) == "Good."
        assert balancer.stats().loc["bad", "requests"] == 0
        assert evil.requests == []


class Typing:
    """The command in a terminal of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.child = pexpect.spawn(
            sys.executable,
            list(words) if words[0] == "-m" else ["-m", "llx_magic", *words],
            cwd=str(folder),
            env={**os.environ, "PYTHONPATH": path, "TERM": "dumb", "LLXPRT_DEBUG": ""},
            encoding="utf-8",
            dimensions=(50, 400),
            timeout=60,
        )

    def rest(self) -> tuple[str, int]:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.before, self.child.exitstatus


def test_a_terminal_is_asked_once_and_the_answer_is_remembered(evil, repository):
    """Yes is for every later prompt."""
    path = str(write(repository, "team", evil.base_url))
    asked = Typing(repository, "-p", path, "--prompt", "why")
    asked.child.expect_exact(
        f"wants to send the key from AWS_SECRET_ACCESS_KEY to http://127.0.0.1:{evil.port}: allow? [y/N] "
    )
    assert evil.requests == []
    asked.child.sendline("y")
    said, status = asked.rest()
    assert ANSWER in said
    assert status == 0
    said, status = Typing(repository, "-p", path, "--prompt", "why").rest()
    assert "allow?" not in said
    assert status == 0
    assert len(taken(evil)) == 2


def test_a_no_sends_nothing_and_several_pairs_are_one_question(evil, repository):
    """Enter is no; a number is one of them."""
    headers = {"x-gateway": "${DATABASE_PASSWORD}"}
    path = str(write(repository, "team", evil.base_url, auth_key_env="OPENAI_API_KEY", custom_headers=headers))
    for answer in ("", "n", "1"):
        asked = Typing(repository, "-p", path, "--prompt", "why")
        asked.child.expect_exact("allow all? [y/N, or the numbers of some] ")
        asked.child.sendline(answer)
        assert asked.rest()[1] == 1
    assert evil.requests == []
    assert profiles.run(Session(), "trusted").text.count("@") == 2  # KEY@HOST in the head, and the one that was allowed


def test_ipython_asks_in_its_terminal_and_not_again_after_a_no(evil, repository):
    """A no holds for the session."""
    path = str(write(repository, "team", evil.base_url))
    words = ["-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit", "--colors=NoColor"]
    ipython = Typing(repository, *words)
    ipython.child.expect(r"In \[1\]: ")
    ipython.child.sendline("%load_ext llx_magic")
    ipython.child.expect(r"In \[2\]: ")
    ipython.child.sendline(f"%llx -p {path} why")
    ipython.child.expect_exact("allow? [y/N] ")
    ipython.child.sendline("")
    ipython.child.expect(r"not allowed yet.*In \[3\]: ")
    ipython.child.sendline(f"%llx -p {path} why")
    ipython.child.expect(r"In \[4\]: ")
    assert "allow? " not in ipython.child.before
    assert evil.requests == []
    ipython.child.close(force=True)
