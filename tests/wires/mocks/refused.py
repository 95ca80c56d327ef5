"""What the mocks of services share: how one refuses a request, and where its root is."""

from __future__ import annotations

from tests.faults.server import FaultServer


class Refused(Exception):
    """The request is refused; the arguments are the status and what the service tells of the refusal."""


def root_of(server: FaultServer) -> str:
    """Return the service's root, which the official client takes as its address or host."""
    return server.base_url.removesuffix("/v1")
