"""Facts shared through a server of Redis: two threads of this process talk to it, and nobody else ever waits for it."""

from __future__ import annotations

import contextlib
import functools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from urllib.parse import unquote, urlsplit

from llx_magic.core.peers import Peers
from llx_magic.core.ports import Account, Ear, Link
from llx_magic.core.sharing import (
    ANSWER_SECONDS,
    FACTS_TO_KEEP,
    OF_THE_MOMENT,
    Answer,
    Fact,
    Gone,
    Granted,
    Held,
    ProbeGranted,
    Swept,
    There,
    Used,
    Wish,
)
from llx_magic.core.stock import KEPT_SECONDS
from llx_magic.locks import set_right_in_copies
from llx_magic.shared.identity import name_of
from llx_magic.shared.link import Number, RedisLink
from llx_magic.shared.looking import Looks
from llx_magic.shared.server import Said, Server

BEAT_SECONDS = 5.0
"""How often a process says that it is there."""

SWEEP_SECONDS = KEPT_SECONDS + 0.05
"""How long after something was granted it is looked what of it was not used."""

RENEW_SECONDS = 2.0
"""How often the lease of a probe is renewed."""

REST_SECONDS, LONGEST_REST = 0.0001, 1.0
"""How long is rested between two looks for what others say, for each process that shares a backend, and at most.

A look costs the server about 20 µs, so that those of 10,000 processes take a fifth of its time.
"""

TRIES = 3
"""How many trips one may be in time of, for the server to count as there."""

FIRST_RETRY, LONGEST_RETRY = 0.2, 5.0
"""After how many seconds a lost server is tried again; the pause is doubled."""

MOST_WAITING = 1_024
"""How many messages wait for the server at most; the oldest are dropped."""

_log = logging.getLogger(__name__)


class RedisFacts:
    """Shares facts with all processes that use the same server.

    ``minute`` is how many seconds the limits of a minute are of, and ``patience`` how many its answers are waited for;
    tests have a shorter minute, and more patience where it is not the matter, since they may run on a busy machine.
    """

    def __init__(self, url: str, minute: float = 60.0, patience: float = ANSWER_SECONDS) -> None:
        self.patience = patience
        self._url = url
        self._minute = minute
        self._password = unquote(urlsplit(url).password or "")
        self._begin_anew()
        _ALL.add(self)

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._links: list[RedisLink] = []
        self._waiting: deque[Said] = deque(maxlen=MOST_WAITING)
        self._looks = Looks()
        self._due: dict[str, float] = {}
        self._sweep_at = 0.0
        self._is_there = self._is_lost = False
        self._is_closed = False
        self._server: Server | None = None
        self._threads: list[threading.Thread] = []
        self._after: dict[str, Number] = {}
        self._peers = 1

    def connect(self) -> None:
        """Begin to connect, so that the first prompt need not wait for it; returns at once."""
        with self._changed:
            self._start()

    def join(self, account: Account, ear: Ear) -> Link:
        """Begin to share a backend; returns at once."""
        link = RedisLink(name_of(account, self._password), ear, self._take, self.give_up)
        with self._changed:
            self._links = [*(each for each in self._links if not each.is_left), link]
            self._start()
            self._due["beat"] = 0.0
            self._changed.notify_all()
            is_lost = self._is_lost
        if is_lost:
            link.tell(Gone())
        return link

    def look(self, account: Account) -> Future[Peers]:
        """Begin to find out who shares a backend; returns at once."""
        with self._changed:
            asked = self._looks.ask(name_of(account, self._password))
            self._start()
            self._changed.notify_all()
        return asked

    def close(self) -> None:
        """End both threads; for tests."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(3.0)

    def give_up(self) -> None:
        """Take that the server does not answer in time, until it does again."""
        with self._changed:
            was_there, self._is_there = self._is_there, False
            links = self._links
            self._due["beat"] = time.monotonic() + FIRST_RETRY
            self._changed.notify_all()
        if was_there:
            for link in links:
                link.tell(Gone())

    def _take(self, link: RedisLink, messages: Sequence[Fact | Wish]) -> None:
        """Keep what a gate says for the thread that sends it."""
        now = time.monotonic()
        with self._changed:
            self._start()
            for message in messages:
                if isinstance(message, Used):
                    self._sweep_at = now + SWEEP_SECONDS
                    self._due.setdefault("sweep", self._sweep_at)
                if self._is_there or not isinstance(message, OF_THE_MOMENT):
                    self._waiting.append(Said(link, message, now))
                    self._changed.notify_all()

    def _start(self) -> None:
        """Have both threads at work; where the machine has no further thread, it is tried again the next time."""
        works = (("shares", self._write), ("listens", self._read))
        if len(self._threads) == len(works):
            return
        with contextlib.suppress(RuntimeError):
            for name, work in works[len(self._threads) :]:
                thread = threading.Thread(target=work, name=f"llx_magic {name}", daemon=True)
                thread.start()
                self._threads.append(thread)

    def _write(self) -> None:
        """Talk to the server as long as it answers, and try it again when it does not."""
        pause = FIRST_RETRY
        while not self._is_closed:
            server = None
            try:
                server = self._connected()
                pause = FIRST_RETRY
                while not self._is_closed:
                    self._turn(server)
            except Exception as problem:  # noqa: BLE001 - whatever it is, this process goes on alone
                _log.debug("the server of shared facts is lost: %s", type(problem).__name__)
                self._lose()
                self._rest(pause)
                pause = min(2 * pause, LONGEST_RETRY)
            finally:
                self._server = None
                if server is not None:
                    server.close()

    def _connected(self) -> Server:
        server = Server(self._url, self._minute)
        server.greet()
        last = server.last_numbers()
        for stream, number in last.items():
            self._after[stream] = min(number, self._after.get(stream, number))
            for link in self._links:
                link.rewind(stream, number)
        with self._changed:
            self._server = server
            self._due["beat"] = 0.0
            self._changed.notify_all()
        return server

    def _turn(self, server: Server) -> None:
        """Send what there is to be sent, before anything else can fail, and do once what is due."""
        said, due = self._next()
        for link, answer in self._sent(server, said):
            if isinstance(answer, Granted | ProbeGranted) or (isinstance(answer, Held) and answer.places):
                self._sweep_at = time.monotonic() + SWEEP_SECONDS
                self._plan("sweep", SWEEP_SECONDS)
            link.tell(answer)
        for name in due:
            if (act := {"beat": self._beat, "renew": self._renew}.get(name)) is not None:
                act(server)
        self._looks.answer(functools.partial(self._look, server))
        if any(link.is_probing for link in self._links):
            self._plan("renew", RENEW_SECONDS)
        if "sweep" in due:
            self._sweep()

    def _look(self, server: Server, backend: str) -> Peers:
        own = {link.origin: link.card() for link in self._links if link.backend == backend and not link.is_left}
        return server.look(backend, own)

    def _sent(self, server: Server, said: list[Said]) -> list[tuple[RedisLink, Answer]]:
        """Send; what can be told later is kept where that fails."""
        try:
            return server.send(said) if said else []
        except Exception:
            with self._changed:
                self._waiting.extendleft(reversed([each for each in said if isinstance(each.message, FACTS_TO_KEEP)]))
            raise

    def _renew(self, server: Server) -> None:
        """Keep the leases of probes that are under way."""
        for link in self._links:
            if link.is_probing:
                server.renew(link)

    def _sweep(self) -> None:
        """Have what was granted and not used given back; again where something was granted since."""
        for link in self._links:
            link.tell(Swept())
        if (left := self._sweep_at - time.monotonic()) > 0:
            self._plan("sweep", left)

    def _next(self) -> tuple[list[Said], list[str]]:
        """Wait until there is something to do; return messages to send and the names of what is due."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = [name for name, at in self._due.items() if at <= now]
                if self._waiting or self._looks or due or self._is_closed:
                    break
                self._changed.wait(min(self._due.values(), default=now + BEAT_SECONDS) - now)
            for name in due:
                del self._due[name]
            said = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return said, due

    def _beat(self, server: Server) -> None:
        """Say that this process is there; where that took not too long, the server counts as there."""
        links = [link for link in self._links if not link.is_left]
        history = server.history() if any(link.is_new for link in links) else []
        peers = 1
        for link in links:
            if link.is_new:
                link.welcome(history)
            there = self._quickly(server, link)
            peers = max(peers, there.peers)
            self._is_there = True
            link.tell(there)
        self._is_there, self._is_lost, self._peers = True, False, peers
        self._plan("beat", BEAT_SECONDS)

    def _quickly(self, server: Server, link: RedisLink) -> There:
        """Return what a server says that answers in time; it has a few tries, since this process may be busy too.

        Raises:
            TimeoutError: where it is too slow.
        """
        for _ in range(TRIES):
            began = time.monotonic()
            there = server.present(link)
            if time.monotonic() - began < self.patience:
                return there
        raise TimeoutError

    def _plan(self, name: str, seconds: float) -> None:
        with self._changed:
            self._due.setdefault(name, time.monotonic() + seconds)

    def _lose(self) -> None:
        with self._changed:
            self._is_there, self._is_lost = False, True
            self._waiting = deque(
                (each for each in self._waiting if not isinstance(each.message, OF_THE_MOMENT)),
                maxlen=MOST_WAITING,
            )
            links = self._links
        self._looks.lose()
        for link in links:
            link.tell(Gone())

    def _rest(self, seconds: float) -> None:
        with self._changed:
            if not self._is_closed:
                self._changed.wait_for(lambda: self._is_closed, seconds)

    def _read(self) -> None:
        """Hand on what others say, whenever the server is there."""
        while not self._is_closed:
            with self._changed:
                self._changed.wait_for(lambda: self._server is not None or self._is_closed, 1.0)
                server = self._server
            if server is None:
                continue
            try:
                for entry, age in server.wait_for_facts(self._after):
                    self._after[entry.stream] = entry.number
                    for link in self._links:
                        link.hear(entry, age)
                self._rest(min(REST_SECONDS * self._peers, LONGEST_REST) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            except Exception:  # noqa: BLE001 - the other thread finds out, and says so
                self._rest(FIRST_RETRY)

    def leave_parent(self) -> None:
        """Begin anew in a forked copy of the process: its threads and connections are the parent's."""
        links = self._links
        self._begin_anew()
        for link in links:
            link.renew()
            link.tell(Gone(is_usual=True))
        self._links = links


_ALL = set_right_in_copies(RedisFacts.leave_parent)
