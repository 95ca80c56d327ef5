"""Which pair of key and host was allowed: how hosts are compared, whose files count, what a hostile list can do."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from llx_magic.consent.pairs import KeyPlace, Pair, origin, read_pairs
from llx_magic.consent.trust import VARIABLE, Trust
from llx_magic.errors import ProfileError
from llx_magic.files.ownership import Facts, way_to, why_file_is_foreign, why_folder_is_foreign

ROOT = Path(__file__).parents[2]
ME, OTHER = 1000, 2000
PAIR = Pair(KeyPlace("variable", "OPENAI_API_KEY"), "https://api.openai.com")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def trust(tmp_path) -> Trust:
    return Trust(tmp_path / "llx_magic", os.geteuid())


# --- hosts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        "https://API.OpenAI.com/v1",
        "https://api.openai.com:443",
        "HTTPS://api.openai.com/v1/x",
        "https://api.openai.com",
    ],
)
def test_letters_paths_and_the_usual_port_make_no_other_host(same):
    assert origin(same) == "https://api.openai.com"


@pytest.mark.parametrize(
    "other",
    [
        "http://api.openai.com", "https://api.openai.com:8443", "https://api.openai.com.", "https://api.openai.com.evil.example",
        "https://evil.example/api.openai.com", "https://api-openai.com", "https://api.openai.com:80", "https://openai.com",
        "https://xn--pi-openai-com.example", "https://127.0.0.1", "https://api.openai.com-evil.example",
    ],
)  # fmt: skip
def test_whatever_else_differs_is_another_host(other):
    assert origin(other) not in (None, "https://api.openai.com")


@pytest.mark.parametrize(
    "odd",
    [
        "https://api.openai.com@evil.example", "https://user:pw@api.openai.com", "https://api.openai.com\\@evil.example",
        "https://\u0430pi.openai.com", "https://api%2eopenai.com", "https://evil.example%2fapi.openai.com", "ftp://api.openai.com",
        "https://api.openai.com:0", "https://api.openai.com:x", "https://", "https://[::1", "https://[::1]evil.example",
        "https://api.openai.com\n.evil.example", "https://api. openai.com", "https://api..openai.com",
        "https://" + "a" * 300,
        "api.openai.com", "https://api.openai.com%00.evil.example", "https://api.openai.com\u3002evil.example",
    ],
)  # fmt: skip
def test_a_host_that_two_readers_could_understand_differently_is_none(odd):
    assert origin(odd) is None


def test_every_way_to_write_this_machine_is_a_host_of_its_own():
    """Whatever listens there would get the key."""
    ways = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "127.0.0.2",
        "2130706433",
        "0x7f.1",
        "localhost.evil.example",
        "[0:0:0:0:0:0:0:1]",
    ]
    found = [origin(f"http://{way}:8080") for way in ways]
    assert None not in found
    assert len(set(found)) == len(ways)


# --- what is typed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair",
    [
        PAIR,
        Pair(KeyPlace("keyring", "work"), "https://gateway.example:8443"),
        Pair(KeyPlace("file", "/home/me/a@b/key"), "http://127.0.0.1:8080"),
        Pair(KeyPlace("variable", "X"), "http://[::1]:8080"),
        Pair(KeyPlace("aws", "chain"), "https://bedrock-runtime.us-east-1.amazonaws.com"),
        Pair(KeyPlace("aws-profile", "me@work"), "https://gateway.example"),
        Pair(KeyPlace("entra", "https://ai.azure.com/.default"), "https://r.openai.azure.com"),
        Pair(KeyPlace("google", "https://www.googleapis.com/auth/cloud-platform"), "https://gateway.example:8443"),
    ],
)
def test_a_pair_is_read_back_from_what_is_printed(pair):
    assert Pair.read(str(pair)) == pair


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "true", "*", "OPENAI_API_KEY", "@api.openai.com", "OPENAI_API_KEY@", "OPENAI_API_KEY@*",
        "*@api.openai.com", "OPENAI_API_KEY@.openai.com", "OPENAI_API_KEY@*.openai.com",
        "OPENAI_API_KEY@api.openai.com/v1", "file:key@api.openai.com", "keyring:@api.openai.com",
        "vault:x@api.openai.com", "aws:@api.openai.com", "aws:a b@api.openai.com", "entra:*@api.openai.com",
        "OPENAI API KEY@api.openai.com",
    ],
)  # fmt: skip
def test_what_names_no_pair_allows_nothing(text):
    pairs, unread = read_pairs(text)
    assert pairs == frozenset()
    assert len(unread) == bool(text)


# --- whose a file is ------------------------------------------------------------------------------------------------

Step = tuple[str, int, int]

ROOT_FOLDER: Step = ("/", 0, 0o755)


def why(*steps: Step) -> str | None:
    """Judge the folders after the root; a path that ends in ``@`` is a link."""
    kinds = [stat.S_IFLNK if path.endswith("@") else stat.S_IFDIR for path, _owner, _mode in steps]
    way = [Facts(Path(path), owner, kind | mode) for kind, (path, owner, mode) in zip(kinds, steps, strict=True)]
    return why_folder_is_foreign(way, ME)


@pytest.mark.parametrize(
    "steps",
    [
        (("/home", 0, 0o755), ("/home/me", ME, 0o750), ("/home/me/x", ME, 0o755)),
        (("/tmp", 0, 0o1777), ("/tmp/x", ME, 0o700)),
        (("/home/me", ME, 0o2770), ("/home/me/a", ME, 0o700), ("/home/me/a/b", ME, 0o700)),
        (("/link@", ME, 0o777), ("/x", ME, 0o700)),
    ],
)
def test_a_folder_that_only_the_user_can_change_is_the_users_own(steps):
    """Homes that are given to a group, as in many containers, and folders in /tmp among them."""
    assert why(ROOT_FOLDER, *steps) is None


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ("in a folder of another user", (("/x", OTHER, 0o700),)),
        ("of another user (/o)", (("/o", OTHER, 0o755), ("/o/a", ME, 0o700), ("/o/a/b", ME, 0o700))),
        ("others can write", (("/x", ME, 0o770),)),
        ("others can write", (("/x", ME, 0o1777),)),
        ("chmod go-w /c", (("/c", ME, 0o775), ("/c/x", ME, 0o700))),
        ("chmod go-w /h", (("/h", ME, 0o777), ("/h/a", ME, 0o700), ("/h/a/b", ME, 0o700))),
        ("link of another user (/l@)", (("/l@", OTHER, 0o777), ("/x", ME, 0o700))),
    ],
)
def test_a_folder_that_others_can_change_says_which(said, steps):
    assert said in why(ROOT_FOLDER, *steps)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (Facts(Path("/x"), ME, 0o600), None),
        (Facts(Path("/x"), 0, 0o644), None),
        (Facts(Path("/x"), OTHER, 0o600), "another user"),
        (Facts(Path("/x"), ME, 0o620), "written by others"),
        (Facts(Path("/x"), ME, 0o602), "written by others"),
        (Facts(Path("/x"), ME, 0o600, names=2), "hard link"),
    ],
)
def test_a_file_is_the_users_own_by_owner_mode_and_names(facts, said):
    found = why_file_is_foreign(facts, ME)
    assert found is None if said is None else said in found


@pytest.mark.posix("links need a right on Windows")
def test_every_link_on_the_way_is_looked_at(tmp_path):
    """One that leads to another one as well."""
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "second").symlink_to("target")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    steps = [step.path for step in way_to(tmp_path / "first")]
    assert [path.name for path in steps if path.is_symlink() and path.parent == tmp_path] == ["first", "second"]
    assert steps[-1] == target


@pytest.mark.posix("links need a right on Windows")
def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many links"):
        list(way_to(tmp_path / "a"))


# --- the list of what is allowed ------------------------------------------------------------------------------------


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_what_is_remembered_is_private_and_found_again(trust):
    trust.remember([PAIR])
    assert Trust(trust.folder, trust.user).look_up() == ({PAIR}, "")
    assert stat.S_IMODE(trust.path.stat().st_mode) == 0o600
    assert json.loads(trust.path.read_text())["version"] == 1
    trust.forget([PAIR])
    assert trust.look_up() == (frozenset(), "")


HOSTILE = {
    "cut": '{"version": 1, "trusted": [',
    "list": "[]",
    "empty": "",
    "no-version": '{"trusted": []}',
    "true-version": '{"version": true, "trusted": []}',
    "word": '{"version": 1, "trusted": ["OPENAI_API_KEY@api.openai.com"]}',
    "everything": '{"version": 1, "trusted": [{"key": "*", "host": "*"}]}',
    "twice": '{"version": 1, "trusted": [], "trusted": [{"key": "OPENAI_API_KEY", "host": "https://api.openai.com"}]}',
    "more": '{"version": 1, "trusted": [{"key": "OPENAI_API_KEY", "host": "https://api.openai.com", "x": 1}]}',
    "odd-host": '{"version": 1, "trusted": [{"key": "OPENAI_API_KEY", "host": "https://API.openai.com"}]}',
    "number": '{"version": 1, "trusted": [{"key": 1, "host": 2}]}',
    "newer": '{"version": 2, "trusted": [{"key": "OPENAI_API_KEY", "host": "https://api.openai.com"}]}',
    "huge": '{"version": 1, "trusted": [' + " " * (1 << 20) + "]}",
    "deep": "[" * 100_000,
    "bytes": "\x00\x01",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_list_that_makes_no_sense_allows_nothing_and_says_so_in_one_line(trust, name):
    """What it holds beside that does not count either."""
    trust.folder.mkdir()
    trust.path.write_text(HOSTILE[name])
    allowed, problem = trust.look_up()
    assert allowed == frozenset()
    assert "trusted.json" in problem
    assert len(problem.splitlines()) == 1
    assert len(problem) < 300


SOUND_AND_BROKEN = '{"version": 1, "trusted": [{"key": "OPENAI_API_KEY", "host": "https://api.openai.com"}, 7]}'


@pytest.mark.parametrize("content", [HOSTILE["cut"], HOSTILE["more"], HOSTILE["huge"], SOUND_AND_BROKEN])
@pytest.mark.parametrize("action", [Trust.remember, Trust.forget])
def test_a_broken_list_that_is_begun_anew_is_kept_beside_it(trust, content, action):
    """A slip of the hand in an editor must not cost the sound pairs."""
    trust.folder.mkdir()
    trust.path.write_text(content)
    said = action(trust, [PAIR])
    assert (trust.folder / "trusted.json.bak").read_text() == content
    assert trust.look_up() == ({PAIR} if action is Trust.remember else frozenset(), "")
    assert said is None or said.endswith("; it is kept as trusted.json.bak")


def test_a_broken_list_is_begun_anew_and_a_newer_one_is_left(trust):
    trust.folder.mkdir()
    trust.path.write_text(HOSTILE["cut"])
    trust.remember([PAIR])
    assert trust.look_up() == ({PAIR}, "")
    trust.path.write_text(HOSTILE["newer"])
    with pytest.raises(ProfileError, match="newer"):
        trust.remember([PAIR])
    assert trust.path.read_text() == HOSTILE["newer"]


def _as_link(trust: Trust) -> None:
    elsewhere = trust.folder.parent / "elsewhere.json"
    trust.path.rename(elsewhere)
    trust.path.symlink_to(elsewhere)


def _as_second_name(trust: Trust) -> None:
    (trust.folder.parent / "elsewhere.json").hardlink_to(trust.path)


def _as_folder(trust: Trust) -> None:
    trust.path.unlink()
    trust.path.mkdir()


def _as_pipe(trust: Trust) -> None:
    trust.path.unlink()
    os.mkfifo(trust.path)


@pytest.mark.posix("Windows has no named pipes of this kind")
@pytest.mark.parametrize(
    "plant",
    [
        _as_link, _as_second_name, _as_folder, _as_pipe,
        lambda trust: trust.path.chmod(0o666),
        lambda trust: trust.path.chmod(0o620),
        lambda trust: trust.folder.chmod(0o777),
        lambda trust: trust.folder.parent.chmod(0o777),
    ],
)  # fmt: skip
def test_a_list_that_others_could_have_planted_allows_nothing(trust, plant):
    trust.remember([PAIR])
    plant(trust)
    allowed, problem = trust.look_up()
    assert allowed == frozenset()
    assert "trusted.json" in problem


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_a_list_of_another_user_allows_nothing(trust):
    """Given away where that can be done; else looked at as another user would."""
    trust.remember([PAIR])
    if os.geteuid() == 0:
        os.chown(trust.path, 12345, -1)
        reader = trust
    else:
        reader = Trust(trust.folder, os.geteuid() + 1)
    assert reader.look_up()[0] == frozenset()


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_nothing_is_remembered_where_others_can_write(trust):
    """It would not be believed; the refusal says what to type."""
    trust.folder.mkdir()
    trust.folder.chmod(0o777)
    with pytest.raises(ProfileError, match="chmod go-w"):
        trust.remember([PAIR])


def test_keys_are_looked_up_in_one_place_only():
    """A way round the consent would have to name the environment, the keyring or a key file by itself."""
    rooms = ("profiles", "consent", "keys", "files", "providers", "settings")
    reads = re.compile(r"os\.environ[.\[]|getenv\(|\bread_key\(|session_key\(|keyring\.get_password")
    paths = [path for room in rooms for path in (ROOT / "llx_magic" / room).rglob("*.py")]
    found = {f"{path.parent.name}/{path.name}" for path in paths if reads.search(path.read_text())}
    assert found == {
        "consent/access.py",
        "consent/trust.py",
        "files/folders.py",
        "keys/keychain.py",
        "logins/aws.py",
        "logins/entra.py",
        "logins/google.py",
        "logins/kept.py",
        "profiles/key_source.py",
    }
    reads_a_login = re.compile(r"self\.access\.login\(|\blogin\.read\(")
    sources = [path for path in (ROOT / "llx_magic").rglob("*.py") if reads_a_login.search(path.read_text())]
    assert {path.name for path in sources} == {"access.py", "credential.py", "login_source.py"}
    keys = (ROOT / "llx_magic/profiles/key_source.py").read_text()
    assert reads.findall(keys) == ["session_key("]  # whether the keyring is needed at all
