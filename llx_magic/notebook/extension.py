"""What ``%load_ext llx_magic`` puts in place and ``%unload_ext llx_magic`` takes away again."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.backends import local
from llx_magic.engine.background import BACKGROUND
from llx_magic.notebook.magics import LlxMagics
from llx_magic.notebook.transform import hand_over_prompts

NAMES = ("llx", "llx_set", "llx_profile", "llx_stats", "llx_log", "llx_local", "llx_key")


def register(shell: InteractiveShell) -> None:
    """Register the magics and the line transformer; loading twice leaves one of each."""
    if hand_over_prompts not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(hand_over_prompts)
    shell.register_magics(LlxMagics(shell))


def unregister(shell: InteractiveShell) -> None:
    """Remove magics, transformer, connections, the background thread and the embedded model's process."""
    if hand_over_prompts in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(hand_over_prompts)
    magics = shell.magics_manager.registry.pop(LlxMagics.__name__, None)
    for kind in ("line", "cell"):
        for name in NAMES:
            shell.magics_manager.magics[kind].pop(name, None)
    if isinstance(magics, LlxMagics):
        magics.session.close()
    BACKGROUND.stop()
    local.stop()
