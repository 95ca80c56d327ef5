"""Where a command is typed; `%load_ext` imports this and the table of commands, and none of their declarations."""

from __future__ import annotations

import enum


class Where(enum.Flag):
    """Where a command is typed."""

    NOTEBOOK = enum.auto()
    SHELL = enum.auto()


ANYWHERE = Where.NOTEBOOK | Where.SHELL
