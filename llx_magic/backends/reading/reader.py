"""The reading of one reply, whatever the wire form: bytes to events, events to documents, errors to failures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from llx_magic.backends.reading.body import BodyDecoder, Odd
from llx_magic.backends.reading.errors import error_of, read_error
from llx_magic.backends.reading.kinds import refused
from llx_magic.backends.reading.lenient import NoJson, read_json
from llx_magic.backends.reading.reply import NOTHING_CAME, PartialReply
from llx_magic.backends.wording import one_line
from llx_magic.keys.redaction import LONGEST_READ

if TYPE_CHECKING:
    from llx_magic.backends.reading.errors import ServerError
    from llx_magic.backends.reading.sse import ServerEvent
    from llx_magic.core.failure import Failure
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import Answer
    from llx_magic.text.values import JsonValue

_NO_PIECES = frozenset(("error", *Odd))
"""Types of events that hold something other than a piece of a reply."""

LONG_HEARTBEAT = 100
"""Characters of a heartbeat; a longer one counts as several."""

MOST_HEARTBEATS = 10_000
"""How many events a stream may have that are no piece of a reply: one every 60 ms for ten minutes."""

MOST_EMPTY = 100_000
"""How many events may follow each other that add nothing: some servers send a chunk for each token that is hidden."""


class Reader(PartialReply, ABC):
    """Reads one reply; the reader of a form has ``take_document``, and more only where that is not enough."""

    decoder: type[BodyDecoder] = BodyDecoder
    """What cuts the body into events."""
    piece = "reply"
    """What the form calls the part of a document that holds the reply."""

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        super().__init__(name, model, progress)
        self.has_begun = False
        """Whether a piece of the reply came, though it may say nothing."""
        self._is_json = False
        self._strays = self._empty = 0
        self._last_stray = ""

    @cached_property
    def _body(self) -> BodyDecoder:
        return self.decoder()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body of a success.

        Raises:
            BackendFailed: for what makes the reply useless whatever follows.
            BodyProblem: for a body that cannot be read on.
        """
        for event in self._body.feed(data):
            self.take(event)

    def flush(self) -> None:
        """Take that the body has ended.

        Raises:
            BackendFailed: as in ``feed``.
            BodyProblem: as in ``feed``.
        """
        for event in self._body.flush():
            self.take(event)

    def refused(self, status: int, body: bytes) -> Failure:
        """Return what a status other than 2xx means, with as much of its body as is known."""
        error = read_error(body)
        self.tell_of_limits(error)
        return refused(status, self._headers, error, name=self.name, wall_clock=self._wall_clock)

    def take(self, event: ServerEvent) -> None:
        """Take the next event of the body; whatever follows the end mark is ignored.

        So is what cannot be read, or reports an error, once the reply is complete: it was shown, and stays.

        Raises:
            BackendFailed: for an error event, a piece that cannot be read, and a text beyond the cap.
        """
        if self.done:
            return
        before, data = self.taken, event.data
        if data.startswith("{") and event.event not in _NO_PIECES:
            self.take_json(data)
        else:
            self._take_rare(event.event, data.strip())
        self._empty = self._empty + 1 if self.taken == before else 0
        if self._empty > MOST_EMPTY:
            self.fail(f"more than {MOST_EMPTY} events in a row that add nothing to the reply")

    def take_json(self, data: str) -> None:
        """Take an event that should be a JSON object, or an array of them."""
        try:
            document = read_json(data)
        except NoJson:
            if self.whole_if_cut:
                return
            self.fail(f"an unusable piece of the stream: {one_line(data, 80)!r}")
        for each in document if isinstance(document, list) else [document]:
            if isinstance(each, dict):
                self._is_json = True
                self.take_document(each)
            else:
                self._pass_over(str(each)[:LONGEST_READ])

    @abstractmethod
    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take one document of the reply in the form's own words."""

    def take_end_of_document(self) -> None:
        """Take that the body was one document, which has ended."""
        self.done = True

    def take_error(self, error: ServerError) -> None:
        """Take an error inside the reply, which does not matter any more where that is whole.

        Raises:
            BackendFailed: where it does.
        """
        if not self.whole_if_cut:
            self.fail_as_reported(error)

    def _take_rare(self, kind: str, data: str) -> None:
        """Take what is no piece of the reply: an end, an error, a heartbeat, or a body without events."""
        if data.strip("[]").casefold() == "done":
            self.done = True
        elif kind == "error":
            self.take_error(read_error(data.encode("utf-8", "replace")))
        elif kind == Odd.ENDED:
            self._is_json = True
            self.take_end_of_document()
        elif kind == Odd.EMPTY:
            self.fail("an empty reply body")
        elif kind == Odd.PAGE:
            self.fail(f"a web page instead of a reply: {one_line(read_error(data.encode()).text)}")
        elif kind == Odd.TEXT:
            self._fail_in_words(data, "an unusable reply")
        elif data.startswith(("{", "[{")):
            self.take_json(data)
        else:
            self._pass_over(data)

    def _pass_over(self, data: str) -> None:
        """Let a heartbeat pass: an event that is no JSON, or JSON but no object."""
        self._strays += 1 + len(data) // LONG_HEARTBEAT
        if self._strays > MOST_HEARTBEATS:
            self.fail(f"more than {MOST_HEARTBEATS} events that are no piece of a reply")
        if any(character.isalpha() for character in data):
            self._last_stray = data

    def end(self) -> Answer:
        """Take the end of the reply and return the answer.

        Raises:
            BackendFailed: where the reply is cut, empty, filtered, or asks for a tool and says nothing.
        """
        if not self.has_begun and not self.complete:
            if self._last_stray:
                self._fail_in_words(self._last_stray, NOTHING_CAME)
            if self._is_json and self.done:
                self.fail(f"an unusable reply: it holds no {self.piece}")
        return super().end()

    def _fail_in_words(self, said: str, what: str) -> NoReturn:
        """Fail with a text that came instead of JSON: where its words name a kind of failure, it is that."""
        what = f"{what}: {one_line(said, 80)!r}"
        if said.startswith(("{", "[")):  # broken JSON, whose words may be the model's
            self.fail(what)
        self.fail_as_reported(error_of(said), what)
