"""The parts of the dashboard, from top to bottom; each is a file of its own."""

from __future__ import annotations

from llx_magic.dashboard.parts import advice, backends, headline, processes, prompts

PARTS = (headline.PART, backends.PART, prompts.PART, advice.PART, processes.PART)
