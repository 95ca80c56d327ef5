"""Reading a credential without waiting for ever: a keyring may be locked, and a login may have to ask its server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from llx_magic.errors import KeyMissing

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_READING = 10.0
"""How long a key is waited for, in seconds."""

Found = TypeVar("Found")


class KeyReader(Generic[Found]):
    """Calls ``look`` for what may be in a keyring or a login, anew for each visit; what is found is kept nowhere.

    ``silence`` is what is said where that takes more than ``seconds``.

    What ``may_block`` now is done in a thread of its own, which does not hold up the end of the process. Those who
    come while it reads share the reading. Once it was given up, others are told so at once until it comes back.
    """

    def __init__(
        self,
        look: Callable[[], Found],
        may_block: Callable[[], bool],
        silence: Callable[[], str],
        seconds: float = LONGEST_READING,
    ) -> None:
        self._look = look
        self._may_block = may_block
        self._silence = silence
        self._seconds = seconds
        self._pending: concurrent.futures.Future[Found] | None = None
        self._given_up = False
        self._process = os.getpid()

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "KeyReader(***)"

    async def read(self) -> Found:
        """Return what is found.

        Raises:
            KeyMissing: where it is not to be found, or did not come in time.
        """
        if not self._may_block():
            return self._look()
        pending = self._reading()
        try:
            async with asyncio.timeout(0 if self._given_up else self._seconds):
                return await asyncio.wrap_future(pending)
        except TimeoutError:
            self._given_up = True
        raise KeyMissing(self._silence())

    def _reading(self) -> concurrent.futures.Future[Found]:
        pending = self._pending
        # In a forked copy of the process the thread that reads does not exist:
        # https://docs.python.org/3/library/os.html#os.register_at_fork
        if pending is None or pending.done() or self._process != os.getpid():
            self._process, self._given_up = os.getpid(), False
            pending = self._pending = concurrent.futures.Future()
            pending.set_running_or_notify_cancel()  # so that one who stops waiting does not cancel it for others
            try:
                threading.Thread(target=self._fill, args=(pending,), name="llx-key", daemon=True).start()
            except RuntimeError:  # no thread can be started just now
                self._pending = None
                raise
        return pending

    def _fill(self, pending: concurrent.futures.Future[Found]) -> None:
        try:
            found = self._look()
        except BaseException as problem:  # noqa: BLE001 - it belongs to those who wait
            self._pending = None
            pending.set_exception(problem)
        else:
            self._pending = None
            pending.set_result(found)
