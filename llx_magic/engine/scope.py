"""One request under way: what it has come to so far, and who follows it."""

from __future__ import annotations

from collections.abc import Callable

from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Restart
from llx_magic.engine.reasons import Reasons

Watch = Callable[[Delta | Restart | Event], None]
"""Takes the pieces of the reply and the decisions of one request, in order, on the thread that runs it."""


class RequestScope:
    """Takes each event of its request once, after it was recorded and told to the profile's subscribers."""

    def __init__(self, number: int, began: float, watch: Watch) -> None:
        self.number = number
        self.began = began
        self.show = watch
        self.reasons = Reasons()

    def take(self, event: Event) -> None:
        """Take one event into account and show it."""
        self.reasons.fold(event)
        self.show(event)
