"""Puts the parts together: profiles become backends, and a prompt becomes a reply."""

from __future__ import annotations

from llx_magic.session.api import Current, ask, current, load, map, simulate  # noqa: A004
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Loaded, Session

__all__ = ["Current", "LoadBalancer", "Loaded", "Session", "ask", "current", "load", "map", "simulate"]
