"""A configuration folder of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new folder; nothing of the user's is read or written, and no key of theirs is in the environment."""
    folder = tmp_path / "config"
    (folder / "profiles").mkdir(parents=True)
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(folder))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("LLXPRT_DEBUG", "LLX_PROFILE", "LLX_TRUST", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return folder
