"""The command line in a configuration folder of its own, run as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Home:
    """A configuration of its own, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profiles = folder / "config" / "profiles"
        self.profiles.mkdir(parents=True, mode=0o700)
        unwanted = ("LLX_PROFILE", "LLXPRT_DEBUG")
        self.env = {key: value for key, value in os.environ.items() if key not in unwanted} | {
            "LLXPRT_CONFIG_HOME": str(folder / "config"),
            "LLX_CACHE_HOME": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "llx_magic", *words]

    def run(self, *words: str, stdin: str | bytes = "", **env: str) -> subprocess.CompletedProcess[str]:
        given = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run(
            self.command(*words), input=given, capture_output=True, env=self.env | env, cwd=self.folder, check=False
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def write(self, name: str, **raw) -> None:
        self.text(name, json.dumps({"version": 1, **raw}))

    def text(self, name: str, text: str) -> None:
        path = self.profiles / f"{name}.json"
        path.write_text(text)
        path.chmod(0o600)

    def simulated(self, name: str, script: str = "ok", **params) -> None:
        params = {"script": script, "reply": f"I am {name}.", **params}
        self.write(name, provider="simulated", model="m", modelParams=params, ephemeralSettings={})

    def balancer(self, name: str, *members: str, policy: str = "failover", **settings) -> None:
        settings = {"failover_retry_count": 1, **settings}
        self.write(name, type="loadbalancer", policy=policy, profiles=list(members), ephemeralSettings=settings)
