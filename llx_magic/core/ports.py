"""What the engine asks of the outside world; implementations live in ``backends`` and ``engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from llx_magic.core.gate import Gate, GateKey
    from llx_magic.core.peers import Card, Peers
    from llx_magic.core.rate_facts import RateFacts
    from llx_magic.core.reply import Answer, ChatRequest, Usage
    from llx_magic.core.sharing import Answer as Told
    from llx_magic.core.sharing import Fact, Wish
    from llx_magic.keys.secret import Proof, Secret


P = ParamSpec("P")
T = TypeVar("T")


class StateStore(Protocol):
    """Where the gates of backends are kept, in this process or in a place that several processes share.

    A gate is plain data that means the same everywhere: times are Unix seconds (those of the clock, from its epoch on),
    and a request is named by an integer that is unique among all who share the store.
    """

    def update(self, key: GateKey, change: Callable[Concatenate[Gate, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Give ``change`` the gate, a new one where there is none; keep what it has become; return what it returned.

        Nobody else sees or changes the gate meanwhile. Where another process was faster, a store may call ``change``
        again with what that one has left, so ``change`` must have no effect but on the gate.
        """


class Account(NamedTuple):
    """Whose limits a backend's requests count for: a host, a model, and what the requests prove themselves with."""

    host: str
    model: str
    secrets: tuple[Secret, ...]


class Link(Protocol):
    """One gate's connection to the others that share its backend. Everything returns at once, on whatever thread."""

    def send(self, messages: Sequence[Fact | Wish]) -> None:
        """Say something; it is dropped where nobody can be reached."""

    def give_up(self) -> None:
        """Take that an answer was waited for in vain: nobody is reached until an answer comes in time."""

    def leave(self) -> None:
        """Hear nothing any more."""


class Ear(Protocol):
    """Where a gate hears of others, on any thread."""

    def hear(self, fact: Fact, age: float) -> None:
        """Take what another process met, so many seconds ago."""

    def be_told(self, answer: Told) -> None:
        """Take what the server says."""

    def card(self, since: float) -> Card | None:
        """Return what is told of this process and the backend, which it has shared for so many seconds."""


class SharedFacts(Protocol):
    """Where processes tell each other what they have met at the same backends; keys, prompts and replies never."""

    @property
    def patience(self) -> float:
        """How many seconds an answer is waited for; a process that has waited in vain goes on alone."""

    def join(self, account: Account, ear: Ear) -> Link:
        """Begin to share a backend: what the others have met is told, then that they are there. Returns at once."""

    def look(self, account: Account) -> Future[Peers]:
        """Begin to find out who shares a backend, this process joining or not; returns at once.

        The future has an ``OSError`` where the server does not answer.
        """


@runtime_checkable
class Accountable(Protocol):
    """A backend ready to send that can say whose limits it counts for."""

    @property
    def account(self) -> Account:
        """Whose limits its requests count for."""


class Credential(Protocol):
    """What a backend proves itself with; read anew for each visit, so a repaired key works at once."""

    @property
    def may_block(self) -> bool:
        """Whether reading may take long (a keyring, a login), so that it must not run on a loop."""

    @property
    def silence(self) -> str:
        """What to say where reading takes too long, with what mends it."""

    def read(self) -> Proof:
        """Return what is there now; it has been judged and can be sent.

        Raises:
            KeyMissing: where a secret that is needed is not to be found, or cannot be sent; one line that says what
                mends it.
        """


class Progress(Protocol):
    """Where a backend reports how far it is: that it sends, that the connection stands, each piece as it arrives.

    And what the service tells of its limits, whether it answers or refuses.
    """

    def on_sending(self, to: str) -> None:
        """Start all limits and latencies: what comes from here on is the network's and the server's time, not ours.

        ``to`` says in a few words what is connected to. A second call in one attempt is for a connection that takes
        the place of one that was found dead: only the limit on connecting starts again.
        """

    def on_connected(self) -> None:
        """Take that the connection stands, TLS included."""

    def on_text(self, piece: str) -> None:
        """Take a piece of the reply's text; never empty."""

    def on_reasoning(self, piece: str) -> None:
        """Take a piece of the model's reasoning; never empty, not part of the reply's text."""

    def on_usage(self, usage: Usage) -> None:
        """Take what a reply had told of its tokens when it failed or was cancelled."""

    def on_rates(self, facts: RateFacts) -> None:
        """Take what the service tells of its limits; never empty. A refusal may tell of them twice: head and body."""


class Ready(Protocol):
    """A backend with all that a visit needs in hand: key, certificates, client, and what had to be imported."""

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        """Send one request and return the whole reply; cancelling closes the connection at once.

        Raises:
            BackendFailed: for every way in which no usable reply came; ``progress`` has had the text so far.
        """


class Backend(Protocol):
    """One model that can answer."""

    @property
    def name(self) -> str:
        """The profile's name, by which everything refers to this backend."""

    @property
    def model(self) -> str:
        """The model asked for."""

    async def prepare(self) -> Ready:
        """Get ready to send on the running loop; the key is read here, and nowhere else.

        Raises:
            NotReady: where nothing can be sent now (no key, say), with what mends it.
        """

    async def aclose(self) -> None:
        """Release what was opened on the running loop."""


class Timer(Protocol):
    """A call that is still to come."""

    @property
    def late(self) -> float:
        """How many seconds after its time the call is made: more than a few, and the loop was held up meanwhile."""

    def cancel(self) -> None:
        """Forget the call; harmless when it has been made."""


class Clock(Protocol):
    """Monotonic time, injected."""

    @property
    def epoch(self) -> float:
        """The Unix time, in seconds, at which ``now`` was zero; only for showing dates."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running loop after ``delay`` seconds."""

    async def sleep(self, delay: float) -> None:
        """Return after ``delay`` seconds."""

    def hold(self) -> None:
        """Let no time pass, where it does not pass by itself, until ``release``: another thread has work to do."""

    def release(self) -> None:
        """End what one ``hold`` began."""
