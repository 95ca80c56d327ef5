"""Help texts and tables, made from the declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.hosts import command, is_notebook
from llx_magic.settings.declaration import DEFAULTS, SETTINGS, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.settings.layers import Resolved


def help_text(key: str, present: Resolved, profile: str) -> str:
    """Return what ``%llx_set KEY`` prints: meaning, allowed values, default, value in force and where it comes from.

    It ends with how to set it: with a magic, or on a command line with an option. ``profile`` is the one in force.
    """
    declared = setting(key)
    allowed = declared.kind.allowed + (", or none to switch it off" if declared.optional else "")
    how = f"Set it with {command(f'set {key} VALUE')}, remove it with {command(f'set unset {key}')}."
    if not is_notebook():
        how = f"Set it for one prompt, or in a profile that is saved, with --set {key}=VALUE."
    return "\n".join(
        [
            f"{key} = {declared.show(present.value)}   (from: {present.origin(profile)})",
            f"  {declared.meaning}.",
            f"  Allowed: {allowed}.",
            f"  Default: {declared.show_with_unit(DEFAULTS[key])}.",
            f"  {how}",
        ]
    )


Row = tuple[str, str, str, str, str]
"""Key, value, where it comes from, default, meaning."""

HEADINGS: Row = ("setting", "value", "from", "default", "meaning")


def rows(present: Mapping[str, Resolved], profile: str) -> list[Row]:
    """Return the table of every setting, as ``%llx_set`` without an argument shows it."""
    return [
        (
            key,
            declared.show_with_unit(present[key].value),
            present[key].origin(profile),
            declared.show_with_unit(DEFAULTS[key]),
            declared.meaning,
        )
        for key, declared in SETTINGS.items()
    ]


def markdown_table() -> str:
    """Return the table of the documentation: key, default, unit, meaning."""
    lines = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for key, declared in SETTINGS.items():
        default = declared.show(DEFAULTS[key]).replace(",", ", ")
        lines.append(f"| `{key}` | {default} | {declared.unit} | {declared.meaning} |")
    return "\n".join(lines)
