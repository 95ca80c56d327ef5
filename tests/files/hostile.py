"""Every kind of file that may lie in a folder of profiles and is none: how it is made, and what is said of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
MODEL = {"version": 1, "provider": "simulated", "model": "m"}
SETTINGS = {"provider": "simulated", "model": "m", "ephemeralSettings": {}}


@dataclass(frozen=True)
class HostileFile:
    """A file name without its ending, how the file is made at a path, and a part of what is said of it."""

    name: str
    make: Callable[[Path], object]
    said: str


def _bytes(name: str, content: bytes, said: str) -> HostileFile:
    return HostileFile(name, lambda path: path.write_bytes(content), said)


def _text(name: str, content: str, said: str) -> HostileFile:
    return _bytes(name, content.encode("utf-8", "surrogatepass"), said)


def _json(name: str, document: object, said: str) -> HostileFile:
    return _text(name, json.dumps(document), said)


def _setting(name: str, key: str, value: object, said: str) -> HostileFile:
    return _json(name, {**SETTINGS, "ephemeralSettings": {key: value}}, said)


def _balancer(name: str, members: object, said: str, policy: object = "failover") -> HostileFile:
    return _json(name, {"type": "loadbalancer", "policy": policy, "profiles": members}, said)


def _sparse(size: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def _device(path: Path) -> None:
    """Make the null device where that is allowed, else a pipe."""
    try:
        os.mknod(path, 0o020600, os.makedev(1, 3))
    except PermissionError:
        os.mkfifo(path)


def _socket(path: Path) -> None:
    """Bind by a short name: an address of this kind has little room."""
    there = Path.cwd()
    os.chdir(path.parent)
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(there)


_LINK = "is a symbolic link, which is refused"
_KIND = "cannot be read (not a regular file)"
_NAME = "must be 1 to 64 of A-Z a-z 0-9 . _ -"
_LARGE = "is larger than 1 MiB"
_NUMBER = "a number too large to be kept"

NO_FILES = (
    HostileFile("link-file", lambda path: path.symlink_to("fine.json"), _LINK),
    HostileFile("link-absolute", lambda path: path.symlink_to("/etc/passwd"), _LINK),
    HostileFile("link-folder", lambda path: path.symlink_to("/tmp"), _LINK),
    HostileFile("link-dangling", lambda path: path.symlink_to("nowhere"), _LINK),
    HostileFile("link-loop", lambda path: path.symlink_to(path.name), _LINK),
    HostileFile("link-device", lambda path: path.symlink_to("/dev/zero"), _LINK),
    HostileFile("link-pipe", lambda path: path.symlink_to("pipe.json"), _LINK),
    HostileFile("link-self-fd", lambda path: path.symlink_to("/proc/self/fd/0"), _LINK),
    HostileFile("folder", lambda path: path.mkdir(), "cannot be read (it is a folder)"),
    HostileFile("pipe", os.mkfifo, _KIND),
    HostileFile("device", _device, _KIND),
    HostileFile("socket", _socket, _KIND),
)

NO_TEXT = (
    _bytes("empty", b"", "is empty"),
    _bytes("blank", b" \r\n\t ", "is empty"),
    _bytes("bom-only", b"\xef\xbb\xbf", "is empty"),
    _bytes("only-nul", b"\0" * 4096, "is UTF-16 or UTF-32"),
    _bytes("nul-inside", b'{"provider": "p\0q", "model": "m"}', "Invalid control character"),
    _bytes("nul-after", json.dumps(MODEL).encode() + b"\0", "Extra data"),
    _bytes("utf16", json.dumps(MODEL).encode("utf-16"), "is UTF-16 or UTF-32"),
    _bytes("utf16-le", json.dumps(MODEL).encode("utf-16-le"), "is UTF-16 or UTF-32"),
    _bytes("utf16-be", json.dumps(MODEL).encode("utf-16-be"), "is UTF-16 or UTF-32"),
    _bytes("utf32", json.dumps(MODEL).encode("utf-32"), "is UTF-16 or UTF-32"),
    _bytes("latin1", b'{"provider": "caf\xe9"}', "is not UTF-8: the byte at position"),
    _bytes("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "is UTF-16 or UTF-32"),
    _bytes("executable", b"\x7fELF\x02\x01\x01", "line 1, column 1"),
    _bytes("overlong", b'{"provider": "\xc0\xaf"}', "is not UTF-8"),
    _bytes("half-pair-raw", b'{"provider": "\xed\xa0\x80"}', "is not UTF-8"),
    _bytes("cut-character", b'{"provider": "\xe2\x82', "is not UTF-8"),
    _bytes("two-boms", b"\xef\xbb\xbf\xef\xbb\xbf{}", "line 1, column 1"),
)

TOO_MUCH = (
    HostileFile("huge", _sparse(100 * MIB), _LARGE),
    HostileFile("terabyte", _sparse(1 << 40), _LARGE),
    HostileFile("a-byte-too-large", _sparse(MIB + 1), _LARGE),
    _text("deep-lists", "[" * 200_000, "nested deeper than 64 levels"),
    _text("deep-objects", '{"a":' * 200_000, "nested deeper than 64 levels"),
    _text("deep-both", '[{"a":' * 100_000, "nested deeper than 64 levels"),
    _text("deep-inside", '{"provider": "p", "modelParams": {"x": ' + "[" * 500_000, "nested deeper than 64 levels"),
    _text("deep-and-closed", "[" * 100_000 + "]" * 100_000, "nested deeper than 64 levels"),
    _text("endless-string", '{"provider": "' + "x" * 900_000, "Unterminated string"),
    _text("endless-escapes", '{"provider": "' + "\\" * 900_001, "Unterminated string"),
    _text("many-quotes", '"' * 1_000_000, "line 1, column 3"),
    _text(
        "many-keys-twice", "{" + ",".join(f'"{each}":1' for each in range(80_000)) + ',"0":1}', "has the key '0' twice"
    ),
    _text("many-commas", "[" + "," * 1_000_000, "line 1, column 2"),
    _text("many-lines", "\n" * 1_000_000 + "x", "line 1000001, column 1"),
    _balancer("many-members", [f"m{each}" for each in range(80_000)], "unknown member 'm0'"),
    _text("number-1e400", '{"provider": "p", "modelParams": {"x": 1e400}}', _NUMBER),
    _text("number-minus-1e400", '{"provider": "p", "modelParams": {"x": -1e400}}', _NUMBER),
    _text("number-long", '{"provider": "p", "version": 1' + "0" * 5000 + "}", _NUMBER),
    _text("number-longest", '{"x": ' + "9" * 1_000_000 + "}", _NUMBER),
    _text("number-long-float", '{"x": ' + "9" * 1_000_000 + ".5}", _NUMBER),
    _text("number-exponent", '{"x": 1e999999999999999999}', _NUMBER),
    _text("not-a-number", '{"x": NaN}', "holds NaN, which is not a number in JSON"),
    _text("infinity", '{"x": Infinity}', "holds Infinity, which is not a number in JSON"),
    _text("minus-infinity", '{"x": -Infinity}', "holds -Infinity, which is not a number in JSON"),
)

NO_JSON = (
    _text("comma", '{"provider": "p",}', "line 1, column 18"),
    _text("comment", '{"provider": "p" /* why */}', "line 1, column 18"),
    _text("single-quotes", "{'provider': 'p'}", "line 1, column 2"),
    _text("two-documents", "{}\n{}", "line 2, column 1"),
    _text("yaml", "provider: p\nmodel: m\n", "line 1, column 1"),
    _text("python", "{'a': None}", "line 1, column 2"),
    _text("hex", '{"x": 0x10}', "line 1, column 8"),
    _text("leading-zero", '{"x": 010}', "line 1, column 8"),
    _text("tab-in-string", '{"provider": "a\tb"}', "Invalid control character"),
    _text("bad-escape", '{"provider": "\\x41"}', "Invalid \\escape"),
    _text("key-twice", '{"provider": "p", "provider": "q"}', "has the key 'provider' twice"),
    _text("key-twice-inside", '{"modelParams": {"a": {"x": 1, "x": 2}}}', "has the key 'x' twice"),
    _text("key-twice-escaped", '{"provider": "p", "\\u0070rovider": "q"}', "has the key 'provider' twice"),
    *(
        _text(f"top-{kind}", text, f"must hold a JSON object, got {said}")
        for kind, text, said in [
            ("list", "[]", "a list"),
            ("string", '"x"', "a string"),
            ("number", "1", "a number"),
            ("null", "null", "nothing"),
            ("true", "true", "a boolean"),
        ]
    ),
)

NO_PROFILE = (
    _json("nothing-in-it", {}, "provider is missing"),
    _json("version-newer", {**MODEL, "version": 2}, "version 2 is newer than 1"),
    _json("version-much-newer", {**MODEL, "version": 10**200}, "is newer than 1"),
    _json("version-zero", {**MODEL, "version": 0}, "version must be 1, got 0"),
    _json("version-text", {**MODEL, "version": "1"}, "version must be 1, got '1'"),
    _json("version-true", {**MODEL, "version": True}, "version must be 1, got True"),
    _json("version-fraction", {**MODEL, "version": 1.5}, "version must be 1, got 1.5"),
    _json("version-list", {**MODEL, "version": [1]}, "version must be 1, got [1]"),
    _json("type-unknown", {**MODEL, "type": "loadbalancr"}, "did you mean loadbalancer?"),
    _json("type-list", {**MODEL, "type": ["loadbalancer"]}, "type must be a string, got a list"),
    _json("type-escape", {**MODEL, "type": "\x1b[2J\ud800"}, "unknown type"),
    _json("name-list", {**MODEL, "name": []}, "name must be a string, got a list"),
    _json("provider-number", {**MODEL, "provider": 7}, "provider must be a string, got a number"),
    _json("provider-null", {**MODEL, "provider": None}, "provider is missing"),
    _json("model-object", {**MODEL, "model": {}}, "model must be a string, got an object"),
    _json("params-list", {**MODEL, "modelParams": []}, "modelParams must be an object, got a list"),
    _json("settings-text", {**MODEL, "ephemeralSettings": "x"}, "ephemeralSettings must be an object"),
    _json("policy-alone", {**MODEL, "policy": "failover"}, "has policy or profiles but no type"),
    _balancer("policy-missing", ["fine", "other"], "policy is missing", policy=None),
    _balancer("policy-unknown", ["fine", "other"], "unknown policy 'random'", policy="random"),
    _balancer("policy-object", ["fine", "other"], "policy must be a string, got an object", policy={}),
    _balancer("members-none", None, "profiles must be a list of profile names, got nothing"),
    _balancer("members-text", "fine", "profiles must be a list of profile names, got a string"),
    _balancer("members-numbers", [1, 2], "profiles must be a list of profile names, got a number in it"),
    _balancer("members-nested", [["fine"]], "profiles must be a list of profile names, got a list in it"),
    _balancer("members-empty", [], "failover needs at least two"),
    _balancer("members-one", ["fine"], "failover needs at least two"),
    _balancer("members-missing", ["fine", "nobody"], "unknown member 'nobody'"),
    _balancer("members-broken", ["fine", "cut"], "cut.json: "),
    _balancer("members-link", ["fine", "link-file"], _LINK),
    _balancer("members-upwards", ["fine", "../fine"], "the name '../fine' " + _NAME),
    _balancer("members-device", ["fine", "con"], "is a device name on Windows"),
    _balancer("members-nul", ["fine", "a\0b"], _NAME),
    _balancer("members-path", ["fine", "/etc/passwd"], _NAME),
    _balancer("cycle-of-one", ["cycle-of-one", "fine"], "cycle-of-one"),
    _balancer("cycle-a", ["cycle-b", "fine"], "member cycle-b is a load balancer"),
    _balancer("cycle-b", ["cycle-a", "fine"], "member cycle-a is a load balancer"),
    _text("cut", json.dumps(MODEL)[:20], "line 1, column"),
)

BAD_VALUES = (
    _setting("timeout-text", "timeout_ms", "abc", "timeout_ms must be a number of milliseconds, got 'abc'"),
    _setting("timeout-negative", "timeout_ms", -1, "timeout_ms must be"),
    _setting("timeout-digits", "timeout_ms", "9" * 100_000, "timeout_ms must be"),
    _setting("timeout-list", "timeout_ms", [1], "timeout_ms must be"),
    _setting("timeout-true", "timeout_ms", True, "timeout_ms must be"),
    _setting("threshold-zero", "tpm_threshold", 0, "tpm_threshold must be"),
    _setting("codes-object", "failover_status_codes", {}, "failover_status_codes must be"),
    _setting("codes-nested", "failover_status_codes", [[500]], "failover_status_codes must be"),
    _setting("streaming-number", "streaming", 7, "streaming must be"),
    _setting("breaker-maybe", "circuit_breaker_enabled", "maybe", "circuit_breaker_enabled must be a boolean"),
    _setting("url-number", "base-url", 1, "base-url must be a string, got a number"),
    _setting("key-list", "auth-key", ["sk-1"], "auth-key must be a string, got a list"),
    _setting("price-text", "price-input", "1", "price-input must be a number, got a string"),
)

BAD_NAMES = (
    _json("bad name", MODEL, _NAME),
    _json("con", MODEL, "is a device name on Windows"),
    _json("LPT9.tar", MODEL, "is a device name on Windows"),
    _json("twice.json", MODEL, "must be given without .json"),
    _json("line\nend", MODEL, _NAME),
    _json("caf\u00e9", MODEL, _NAME),
    _json("\u202eright-to-left", MODEL, _NAME),
    _json("\x1b[2Jclear", MODEL, _NAME),
    _json("x" * 65, MODEL, _NAME),
    _json("-x;rm -rf", MODEL, _NAME),
    _json("<script>", MODEL, _NAME),
    _json(os.fsdecode(b"\xff\xfe"), MODEL, _NAME),
)

LOADABLE_BY_NAME = (*NO_FILES, *NO_TEXT, *TOO_MUCH, *NO_JSON, *NO_PROFILE, *BAD_VALUES)
HOSTILE = (*LOADABLE_BY_NAME, *BAD_NAMES)

ODD: dict[str, bytes] = {
    "odd-bom": b"\xef\xbb\xbf" + json.dumps(MODEL).encode(),
    "odd-half-pair": json.dumps({**MODEL, "model": "a\ud800b", "note": "\udfff"}).encode(),
    "odd-escape": json.dumps({**MODEL, "model": "\x1b[2J\x1b]0;title\x07\x9b31m", "\x1b[2J": 1}).encode(),
    "odd-lines": json.dumps({**MODEL, "model": "a\nb\r\u2028c\u0085", "x\ny": 1}).encode(),
    "odd-bidi": json.dumps({**MODEL, "model": "\u202egnp.exe", "provider": "simulated"}).encode(),
    "odd-html": json.dumps({**MODEL, "model": "<script>alert(1)</script>"}).encode(),
    "odd-long": json.dumps({**MODEL, "model": "x" * 500_000}).encode(),
    "odd-large": (json.dumps(MODEL) + " " * (MIB - len(json.dumps(MODEL)))).encode(),
    "odd-unknown-provider": json.dumps({**MODEL, "provider": "nobody\n\ud800"}).encode(),
    "odd-unknown-keys": json.dumps({**MODEL, "__class__": {"__init__": [None]}, "": 0, "\ud83d": 1}).encode(),
    "odd-nulls": json.dumps({**MODEL, "modelParams": None, "ephemeralSettings": None, "type": None}).encode(),
    "odd-tiny-number": b'{"provider": "simulated", "model": "m", "x": 1e-999999999}',
}
"""Strange, and profiles all the same; what is shown of them must be harmless."""


def fill(folder: Path) -> None:
    """Put every hostile and every odd file into one folder, with two that are fine, and what is not looked at."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("fine", "other"):
        (folder / f"{name}.json").write_text(json.dumps({**MODEL, "modelParams": {"reply": f"from {name}"}}))
    (folder / "both.json").write_text(
        json.dumps({"type": "loadbalancer", "policy": "failover", "profiles": ["fine", "other"]})
    )
    for each in HOSTILE:
        each.make(folder / f"{each.name}.json")
    for name, content in ODD.items():
        (folder / f"{name}.json").write_bytes(content)
    os.link(folder / "fine.json", folder / "second-name.json")
    (folder / ".hidden.json").write_text("{")
    (folder / ".llx-0123456789abcdef").write_text("{")
    (folder / ".llx-folder").mkdir()
    (folder / "capital.JSON").write_text("{")
    (folder / "fine.json.bak").mkdir()
    (folder / "readme.md").write_text("hello")
