"""The other libraries' environments, one for each, under ``.bench/``: none of them gets another's dependencies.

    python benchmarks/environments.py [NAME …]

makes those that are missing.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".bench"

PACKAGES = {
    "aiohttp": ("aiohttp",),
    "pyreqwest": ("pyreqwest",),
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "google-genai": ("google-genai",),
    "ollama": ("ollama",),
    "cohere": ("cohere",),
    "boto3": ("boto3",),
    "LiteLLM Router": ("litellm",),
    "LangChain": ("langchain-openai",),
    "any-llm": ("any-llm-sdk[openai]",),
    "http2": ("httpx[http2]", "pyreqwest", "granian", "trustme"),
    "jupyter-ai 2": ("jupyter-ai-magics<3", "langchain-openai", "ipykernel"),
    "jupyter-ai 3": ("jupyter-ai-magic-commands", "ipykernel"),
}
"""What is installed for a contender; all others run in the environment of this script."""


@dataclass(frozen=True)
class Environment:
    """Where a contender's Python is; ``problem`` says why it has none."""

    python: str
    problem: str = ""


def python_of(name: str) -> Environment:
    """Return the Python that runs a contender."""
    if name not in PACKAGES:
        return Environment(sys.executable)
    python = _folder(name) / "bin" / "python"
    if (_folder(name) / "installed").exists():
        return Environment(str(python))
    failed = _folder(name) / "failed"
    why = failed.read_text(encoding="utf-8") if failed.exists() else "its environment is made by: make bench"
    return Environment(str(python), why)


def make(name: str) -> None:
    """Make a contender's environment; what goes wrong is kept beside it, for the report."""
    folder = _folder(name)
    if (folder / "installed").exists():
        return
    print(f"installing {name}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ended = subprocess.run([*command, *PACKAGES[name]], capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        why = f"it could not be installed: {lines[0] if lines else 'pip failed'}"
        (folder / "failed").write_text(why, encoding="utf-8")
        print(why, file=sys.stderr)
    else:
        (folder / "failed").unlink(missing_ok=True)
        frozen = subprocess.run([folder / "bin" / "python", "-m", "pip", "freeze"], capture_output=True, check=True)
        (folder / "installed").write_bytes(frozen.stdout)


def version_of(name: str, package: str) -> str:
    """Return which version of a package a contender's environment has, or nothing."""
    file = _folder(name) / "installed"
    frozen = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = (line.partition("==") for line in frozen.splitlines())
    return next((version for found, _, version in lines if found == package), "")


def _folder(name: str) -> Path:
    return FOLDER / name.lower().replace(" ", "-")


if __name__ == "__main__":
    for each in sys.argv[1:] or PACKAGES:
        make(each)
