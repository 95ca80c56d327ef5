"""Where keys come from, who may have them, and that they are shown nowhere."""

from __future__ import annotations

import os
import stat
import sys
import traceback

import keyring
import keyring.backend
import keyring.errors
import pytest

from llx_magic.errors import KeyMissing, ProfileError
from llx_magic.keys.keychain import ORIGINAL_SERVICE, SERVICE, Keychain, KeyringProblem
from llx_magic.keys.secret import Secret
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.key_source import ProfileKeySource
from tests.keyrings import KEY, BrokenKeyring, MemoryKeyring


@pytest.fixture
def vault():
    """The operating system's keyring, for the length of a test."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def broken(vault):
    keyring.set_keyring(BrokenKeyring())


def source(variable="OPENAI_API_KEY", *, needs=True, own=True, is_local=False, **connection):
    profile = ModelProfile("synthetic", "openai", "m", connection=Connection(**connection))
    return ProfileKeySource(profile, variable, needs_key=needs, own_host=own, is_local=is_local)


def refusal(found) -> str:
    """The one line, after a look for the key in it and in every variable on the way."""
    with pytest.raises(KeyMissing) as caught:
        found.read()
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in frames.stack if "test_keys" not in frame.filename]
    assert ours
    assert caught.value.__context__ is None
    assert "very-secret" not in str(caught.value) + "".join(str(frame.locals) for frame in ours)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def key_file(folder, content=KEY + "\n", mode=0o600):
    path = folder / "key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return str(path)


def test_a_literal_key_comes_first(monkeypatch):
    """What the file itself holds is used."""
    monkeypatch.setenv("MINE", "other")
    assert source(auth_key=Secret(KEY), auth_key_env="MINE").read() == Secret(KEY)


def test_a_named_variable_is_read_anew_each_time(monkeypatch):
    """A key that is repaired works at once; white space around it does not count."""
    found = source(auth_key_env="MINE")
    monkeypatch.setenv("MINE", f" {KEY}\n")
    assert found.read() == Secret(KEY)
    monkeypatch.setenv("MINE", "next")
    assert found.read() == Secret("next")


def test_a_named_variable_goes_to_any_host(monkeypatch):
    """The profile says so itself."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert source(auth_key_env="OPENAI_API_KEY", own=False).read() == Secret(KEY)


def test_the_providers_variable_goes_to_its_own_host_only(monkeypatch):
    """Another host does not get it, needing a key or not."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert source().read() == Secret(KEY)
    assert source(own=False, needs=False).read() is None
    message = refusal(source(own=False))
    assert "OPENAI_API_KEY goes only to openai's own host" in message
    assert "--key-env OPENAI_API_KEY" in message


def test_a_backend_that_needs_no_key_gets_none(monkeypatch):
    """A server on this machine."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert source(needs=False).read() is None
    assert source(None, needs=False).read() is None


def test_a_missing_key_names_the_backend_and_what_mends_it(monkeypatch):
    """One line with both ways."""
    monkeypatch.delenv("SYNTHETIC_API_KEY", raising=False)
    assert refusal(source("SYNTHETIC_API_KEY")) == (
        "no key for synthetic: set SYNTHETIC_API_KEY, or store one with llx key set synthetic and save the profile "
        "with --key-name synthetic"
    )
    assert refusal(source(None)).startswith("no key for synthetic: store one with llx key set synthetic")


def test_a_named_place_without_a_key_is_not_replaced_by_the_providers_variable(monkeypatch):
    """A profile that names its key never falls back to another account's."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("MINE", raising=False)
    assert refusal(source(auth_key_env="MINE")) == "no key for synthetic: set the environment variable MINE"


def test_the_first_named_place_that_has_a_key_serves(monkeypatch, vault, tmp_path):
    """Variable, then keyring, then file."""
    monkeypatch.delenv("MINE", raising=False)
    found = source(auth_key_env="MINE", auth_key_name="work", auth_keyfile=key_file(tmp_path, "from-file"))
    assert found.read() == Secret("from-file")
    vault.entries[SERVICE, "work"] = "from-keyring"
    assert found.read() == Secret("from-keyring")
    monkeypatch.setenv("MINE", "from-variable")
    assert found.read() == Secret("from-variable")


def test_the_keyring_is_asked_under_our_name_and_then_the_original_tools(vault):
    """Keys stored with the command line tool serve too."""
    vault.entries[ORIGINAL_SERVICE, "work"] = "theirs"
    assert source(auth_key_name="work").read() == Secret("theirs")
    vault.entries[SERVICE, "work"] = "ours"
    assert source(auth_key_name="work").read() == Secret("ours")


def test_only_the_keyring_may_block(monkeypatch):
    """Everything else is read on the spot."""
    assert source(auth_key_name="work").may_block
    assert not source(auth_key_env="MINE", auth_keyfile="x").may_block


def test_a_keyring_without_the_key_names_the_command(vault):
    """``%llx_key set`` mends it."""
    assert refusal(source(auth_key_name="work")) == "no key for synthetic: store it with llx key set work"


def test_a_keyring_that_fails_is_one_line_without_its_own_words(broken, in_notebook):
    """Its error may repeat the key, so only its kind is told."""
    message = refusal(source(auth_key_name="work"))
    assert message == (
        "no key for synthetic: the operating system's keyring cannot be used (RuntimeError); "
        "use an environment variable or a key file instead, or type %llx_key set work to keep the key for this session"
    )


@pytest.mark.parametrize("odd", [KEY.encode(), 12345678901, [KEY]])
def test_a_keyring_that_gives_no_text_is_one_line_without_what_it_gave(vault, odd):
    vault.entries[SERVICE, "work"] = odd
    said = refusal(source(auth_key_name="work"))
    assert "the operating system's keyring cannot be used (TypeError); use an environment variable" in said


def test_without_the_keyring_package_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "-m pip install 'keyring" in refusal(source(auth_key_name="work"))


def test_a_key_file_is_read_and_stripped(tmp_path, monkeypatch):
    """``~`` is the home folder, a byte-order mark and line ends do not count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    key_file(tmp_path, b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    assert source(auth_keyfile="~/key").read() == Secret(KEY)


def test_a_key_file_that_others_can_read_is_refused(tmp_path, monkeypatch):
    """The line is the command that mends it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for mode in (0o640, 0o604, 0o660):
        path = key_file(tmp_path, mode=mode)
        assert refusal(source(auth_keyfile=path)) == (
            "no key for synthetic: the key file can be read by others; type: chmod 600 ~/key"
        )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (KEY + "\n" + KEY, "more than one line"),
        (KEY + "\r" + KEY, "more than one line"),
        (KEY + " x", "a space or a character that no key has"),
        (KEY + "é", "a space or a character that no key has"),
        (KEY + "\x1b", "a space or a character that no key has"),
        ("sk-\0" + KEY, "a space or a character that no key has"),
        ("k" * 20_000, "it has 20000 characters, and none has more than 16384"),
        (b"\xff\xfe" + KEY.encode(), "not text in UTF-8"),
        (KEY * 10_000, "too large for a key"),
    ],
)
def test_a_key_file_with_no_usable_key_is_refused(tmp_path, content, expected):
    """And its content is in no message and no variable of the traceback."""
    assert expected in refusal(source(auth_keyfile=key_file(tmp_path, content)))


@pytest.mark.posix("Windows has no named pipes of this kind")
def test_a_key_file_that_cannot_be_opened_is_one_line(tmp_path):
    """Missing, a folder, a pipe without a writer, an impossible name."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, expected in [
        (str(tmp_path / "none"), "cannot be read (no such file or directory)"),
        (str(tmp_path), "cannot be read (it is a folder)"),
        (str(tmp_path / "pipe"), "not a regular file"),
        ("x\0y", "cannot be read"),
        ("~nobody-of-that-name/x", "cannot be read (no such home folder)"),
    ]:
        assert expected in refusal(source(auth_keyfile=path))


WRITTEN_WRONGLY = [
    (f'"{KEY}"', "it stands in quotes"),
    (f"'{KEY}'", "it stands in quotes"),
    (f"`{KEY}`", "it stands in quotes"),
    (f"\u201c{KEY}\u201d", "it stands in quotes"),
    (f"\u2018{KEY}\u2019", "it stands in quotes"),
    (f"OPENAI_API_KEY={KEY}", "a name before the key"),
    (f"OPENAI_API_KEY = '{KEY}'", "a name before the key"),
    (f"export OPENAI_API_KEY={KEY}", "a name before the key"),
    (f"set OPENAI_API_KEY={KEY}", "a name before the key"),
    (f"$env:OPENAI_API_KEY = {KEY}", "a name before the key"),
    (f"OPENAI_API_KEY: {KEY}", "a name before the key"),
    (f"api-key:{KEY}", "a name before the key"),
    (f"Authorization: Bearer {KEY}", "a name before the key"),
    (f"Bearer {KEY}", "a word such as Bearer"),
    (f"bearer\t{KEY}", "a word such as Bearer"),
    (f'{{"api_key": "{KEY}"}}', "it is JSON"),
]
"""What people put into a key file or a variable, and what the line about it says."""


@pytest.mark.parametrize(("content", "expected"), WRITTEN_WRONGLY)
@pytest.mark.parametrize("is_local", [False, True])
def test_a_key_with_something_around_it_is_refused_in_a_line_that_names_what(
    tmp_path, monkeypatch, content, expected, is_local
):
    """In a file as well as in a variable, for every host."""
    path = key_file(tmp_path, f"\ufeff{content}\r\n")
    assert expected in refusal(source(auth_keyfile=path, is_local=is_local))
    monkeypatch.setenv("MINE", content)
    assert expected in refusal(source(auth_key_env="MINE", is_local=is_local))


@pytest.mark.parametrize("content", [f"# mine\n{KEY}\n", f"{KEY}\n; old", f"// work\n\n{KEY}"])
def test_a_key_file_with_a_comment_is_refused(tmp_path, content):
    assert "it has a comment" in refusal(source(auth_keyfile=key_file(tmp_path, content)))


PLACEHOLDERS = [
    "your-api-key", "YOUR_API_KEY", "my-api-key",
    "your_openai_api_key_here", "<your key>", "<YOUR-API-KEY>", "[insert key]", "sk-...",
    "sk-\u2026", "sk-xxxxxxxxxxxx", "sk-your-key-here", "sk-ant-your-key", "xxx", "XXXXXXXX", "***", "CHANGEME",
    "change-me", "REPLACE_ME", "replace-with-your-key", "insert-key-here", "paste_your_key", "$OPENAI_API_KEY",
    "${OPENAI_API_KEY}", "$(cat key.txt)", "%OPENAI_API_KEY%", "$env:OPENAI_API_KEY", "{{ api_key }}", "OPENAI_API_KEY",
    "None", "null", "undefined", "N/A", "todo", "api-key", "op://vault/openai/key", "sk-ab...89", "sk-proj-****1234",
]  # fmt: skip


@pytest.mark.parametrize("word", PLACEHOLDERS)
def test_a_placeholder_is_not_sent_to_a_remote_host(monkeypatch, word):
    monkeypatch.setenv("MINE", word)
    for own in (True, False):
        message = refusal(source(auth_key_env="MINE", own=own, needs=own))
        assert message.startswith("no key for synthetic: the variable MINE cannot be used: it ")
        assert word not in message


STAND_INS = ["EMPTY", "ollama", "none", "sk-no-key-required", "lm-studio", "not-needed", "x"]


@pytest.mark.parametrize("word", [*STAND_INS, "your-api-key"])
def test_a_server_on_this_machine_takes_any_word(monkeypatch, word):
    monkeypatch.setenv("MINE", word)
    assert source(auth_key_env="MINE", own=False, needs=False, is_local=True).read() == Secret(word)


def test_a_word_for_servers_that_need_no_key_passes_at_a_gateway_and_not_at_a_provider(monkeypatch):
    for word in ("EMPTY", "ollama", "sk-no-key-required", "lm-studio"):
        monkeypatch.setenv("MINE", word)
        assert source(auth_key_env="MINE", own=False, needs=False).read() == Secret(word)
        assert "a placeholder" in refusal(source(auth_key_env="MINE"))


REAL = [
    "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz", "gsk_Ab3dEf6hIj9lMn2pQr5tUv8xYz", "AIzaSyA1b2C3d4E5f6G7h8I9j0KlMnOpQrStUv",
    "hf_AbCdEfGhIjKlMnOpQrStUvWxYz1234", "r8_Ab3dEf6hIj9lMn2pQr5tUv8xYz", "nvapi-Ab3dEf6hIj9lMn2pQr5tUv8xYz",
    "sk-ant-api03-Ab3dEf6hIj9lMn2pQr5tUv8x", "xai-Ab3dEf6hIj9lMn2pQr5tUv8xYz", "pplx-ab3def6hij9lmn2pqr5tuv8xyz",
    "csk-ab3def6hij9lmn2pqr5tuv8xyz", "fw_Ab3dEf6hIj9lMn2pQr5tUv8xYz", "tgp_v1_Ab3dEf6hIj9lMn2pQr5tUv8xYz",
    "ghp_Ab3dEf6hIj9lMn2pQr5tUv8xYz", "github_pat_11AB3dEf6hIj9lMn2pQr5t", "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "0123456789abcdef0123456789abcdef",
    "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6.Ab3dEf6hIj9lMn2p", "123e4567-e89b-12d3-a456-426614174000",
    "VbniqmOl0lpgn6LfFgJksadVPBtbgace", "pa-tM4V_UGTbhxLJcRh-jWWJaoIPmlMhMKrhLJN4lmkz_1Xy",
    "RLjz8gvJ_1iHwgpYyXeBwo9utz_SIiWPSbiYqKdm", "I9xHTeoTahTw0RpWSTvyrqeusRJsSoGVnr/n9vikM", "LTAI5tKrBnqWmZxLpVdY",
    "bce-v3/ALTAK-lpBkOdlSXNNe0yXJ9Es5x/bc833e6fe9a00e5ea9610eb3e0a1b2c3d4e5f60718", "psk-AorjviNAkdKIhzbiAvnkyvh",
    "LLM|9607415867718533|kP-IjHdAIyozkvmPIqHfBruZT",
]  # fmt: skip
"""Keys in the shapes of many providers."""


@pytest.mark.parametrize("key", [*REAL, "sk-1234", "team-gateway-2024", "abc==", "a=b==".removeprefix("a="), "id:part"])
def test_no_real_key_is_taken_for_a_placeholder(monkeypatch, key):
    monkeypatch.setenv("MINE", key)
    assert source(auth_key_env="MINE").read() == Secret(key)


@pytest.mark.parametrize("key", [*REAL, KEY])
@pytest.mark.parametrize("place", ["auth_key_env", "auth_key_name", "auth_keyfile", "base_url"])
def test_a_key_in_the_place_of_a_name_is_refused_and_not_repeated(key, place):
    with pytest.raises(ProfileError) as caught:
        Connection(**{place: key})
    assert key not in str(caught.value)
    assert key[:8] not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("auth_key_env", "OPENAI_API_KEY"),
        ("auth_key_env", "HF_TOKEN"),
        ("auth_key_env", "MY_GATEWAY_KEY_2024_V2"),
        ("auth_key_env", "hf_token_of_the_team"),
        ("auth_key_name", "sk-work"),
        ("auth_key_name", "chutes-prod-2"),
        ("auth_key_name", "claude-3-5-sonnet-20241022"),
        ("auth_keyfile", "~/.openai_key"),
        ("auth_keyfile", "keys/openai-2024-a1.txt"),
        ("auth_keyfile", "/run/secrets/0123456789abcdef0123456789abcdef"),
        ("auth_keyfile", "sk-of-the-team.txt"),
        ("auth_keyfile", "keys/ofMyCompany/openAi2024Key"),
        ("auth_keyfile", "/run/secrets/k8s/a1b2c3d4e5f6/keyOf1Team"),
        ("auth_key_env", "MyCompanyOpenAiKeyOf2024ForNotebooks"),
        ("auth_keyfile", "keys/8xH100-80GB-SXM5-NVL72-FP8"),
        ("auth_key_name", "gemma-3n-e2b-it-q4_0-k8v4-g64-b16"),
        ("auth_key_name", "r1i1p1f1_gn_185001-201412"),
    ],
)
def test_a_name_is_not_taken_for_a_key(place, name):
    assert getattr(Connection(**{place: name}), place) == name


def test_a_variable_with_a_line_break_inside_is_refused(monkeypatch):
    """It could not be sent in a header."""
    monkeypatch.setenv("MINE", f"{KEY}\nX-Other: 1")
    assert "the variable MINE cannot be used: it has more than one line" in refusal(source(auth_key_env="MINE"))


def test_a_source_shows_no_key():
    """Its repr hides a literal key."""
    assert "very-secret" not in repr(source(auth_key=Secret(KEY)))


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_keys_are_stored_named_and_removed(vault, tmp_path):
    """The keyring holds the key; a file has the name only, for the user alone."""
    chain = Keychain(tmp_path / "state")
    assert chain.names() == ()
    assert chain.set("work", Secret(f" {KEY}\n")) is False
    assert chain.set("home", Secret("k2")) is False
    assert chain.set("work", Secret(KEY)) is True
    assert vault.entries[SERVICE, "work"] == KEY
    assert chain.names() == ("home", "work")
    files = tmp_path / "state" / "keys"
    assert [(each.read_bytes(), stat.S_IMODE(each.stat().st_mode)) for each in files.iterdir()] == [(b"", 0o600)] * 2
    assert stat.S_IMODE(files.stat().st_mode) == 0o700
    chain.delete("work")
    assert chain.names() == ("home",)
    assert (SERVICE, "work") not in vault.entries


def test_deleting_a_key_that_the_keyring_lost_removes_its_name(vault, tmp_path):
    """The list and the keyring agree again."""
    chain = Keychain(tmp_path)
    chain.set("work", Secret(KEY))
    vault.entries.clear()
    chain.delete("work")
    assert chain.names() == ()


def test_what_cannot_be_a_key_or_its_name_is_refused(vault, tmp_path):
    """Names as those of profiles; keys of one line."""
    chain = Keychain(tmp_path)
    for name, key, expected in [
        ("a/b", KEY, "key name 'a/b' must be"),
        ("con", KEY, "device name"),
        ("a", "", "it is empty"),
        ("a", "x\ny", "more than one line"),
    ]:
        with pytest.raises(ProfileError, match=expected):
            chain.set(name, Secret(key))
    with pytest.raises(ProfileError, match="no key is named 'a'; there are none"):
        chain.delete("a")
    assert vault.entries == {}


def test_a_keyring_that_takes_no_key_leaves_no_name_and_no_trace_of_the_key(broken, tmp_path):
    """One line; the key is in no variable of the traceback."""
    chain = Keychain(tmp_path)
    with pytest.raises(KeyringProblem) as caught:
        chain.set("work", Secret(KEY))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "very-secret" not in str(caught.value) + "".join(str(frame.locals) for frame in frames.stack)
    assert caught.value.__context__ is None
    assert chain.names() == ()


def test_something_else_in_the_place_of_the_names_is_one_line(tmp_path):
    """Naming it."""
    (tmp_path / "keys").write_text("{")
    with pytest.raises(ProfileError, match=r"/keys: cannot be read \(not a directory\)$"):
        Keychain(tmp_path).names()
