"""What a wire form is: how one kind of service is spoken to. Adding one takes a module here and a word in its row."""

from __future__ import annotations

import base64
import functools
import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, overload
from urllib.parse import quote

import msgspec

from llx_magic.backends.reading.lenient import parts_in, text_in
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.message import Message
from llx_magic.errors import clauses

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.backends.reading.reader import Reader
    from llx_magic.core.message import File, Image
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.keys.secret import Secret
    from llx_magic.providers.accents import Accent
    from llx_magic.text.values import JsonValue


_VERSIONED = re.compile(r"/v[0-9][a-z0-9]{0,8}(?:/|$)", re.IGNORECASE)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request in a form's own words; ``path`` is what follows the base URL, with the query if there is one.

    ``notes`` are remarks for the reader of the reply, such as what the form has no word for.
    """

    path: str
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()


class Concession(NamedTuple):
    """Something that a request can do without, by the form's own name for it, since the server refuses it.

    ``lasts`` says that it refuses it whatever the prompt, as far as its words go.
    """

    extra: str
    lasts: bool = True


class Wire(ABC):
    """One form of request and reply. It does no I/O, reads no clock and keeps nothing; a form overrides what differs.

    ``without`` holds the form's own names of things that a request can do without and that a server has refused.
    """

    version = ""
    """What stands between the service's root and the path (``/v1``)."""
    version_is_known = True
    """Whether it always stands there; if not, a server that does not know the path is asked without it and with it."""
    takes_images = False
    takes_files = False
    """Whether the form has a word for an image, and for a file, in a prompt."""
    models_path = "/models"
    """Where the service lists its models; empty where it does not."""
    more_models_paths: tuple[str, ...] = ()
    """Where it lists further names by which they are asked."""

    def configured(self, url: str, keys: Mapping[str, str]) -> Wire:
        """Return the form as it is spoken at a base URL, by what the profile's own keys say (``api-version`` …)."""
        return self

    def accented(self, accent: Accent) -> Wire:
        """Return the form as a service speaks it that has an accent of its own in OpenAI's."""
        return self

    @property
    def form(self) -> type[Wire]:
        """The form itself, wherever it is spoken: what an endpoint refuses of it is remembered by that."""
        return type(self)

    def models_root(self, base_url: str) -> str:
        """Return the address before these paths; that of the requests, for most services."""
        return base_url

    def obstacle(self) -> str | None:
        """Return in one line what is missing on this machine to speak this form, or None."""
        return None

    def root_is_versioned(self, path: str) -> bool:
        """Return whether the path of a base URL says the version already."""
        return _says_version(path)

    def proof(self, key: Secret) -> Mapping[str, Secret]:
        """Return the headers that show a key."""
        return {"Authorization": key.after("Bearer ")}

    @abstractmethod
    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return the request as it is sent.

        Raises:
            BackendFailed: of kind bad request, where the form has no way to say what is asked.
        """

    @abstractmethod
    def reader(self, name: str, model: str, progress: Progress) -> Reader:
        """Return what reads one reply; ``name`` is the backend's, ``model`` what is credited unless the reply says."""

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses that the request can do without, so that it is sent again at once."""
        return None

    def hint(self, failure: Failure, model: str) -> str:
        """Return what to do about a failure that the service reported, as the end of a sentence; empty if nothing."""
        return ""

    def explained(self, failure: Failure, model: str) -> Failure:
        """Return the failure of asking a model, with what to do about it where that is known."""
        hint = self.hint(failure, model)
        return replace(failure, message=clauses(failure.message, hint)) if hint else failure

    def models(self, document: JsonValue) -> tuple[str, ...]:
        """Return the names in one page of the service's list of models."""
        return names_in(document, "data", "id")


@functools.lru_cache(maxsize=256)
def _says_version(path: str) -> bool:
    """Asked with each request, of few paths."""
    return _VERSIONED.search(path) is not None


def wire_named(name: str) -> Wire:
    """Return the wire form of that name: the ``WIRE`` of the module of this package that is called so."""
    wire: Wire = importlib.import_module(f"llx_magic.backends.wires.{name}").WIRE
    return wire


def names_in(page: JsonValue, place: str, *fields: str) -> tuple[str, ...]:
    """Return the names in a page of a list, which may stand in a field of it; of each from the first that has one."""
    listed = page.get(place) if isinstance(page, dict) else page
    named = (next(filter(None, (text_in(each.get(name)) for name in fields)), "") for each in parts_in(listed))
    return tuple(filter(None, named))


def renamed(params: Mapping[str, JsonValue], names: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return parameters under a form's own names, ``names`` being its words for those that people write.

    One that stands there under the form's own name already wins.
    """
    if not names:
        return dict(params)
    own = {names[name]: value for name, value in params.items() if name in names}
    return {**own, **{name: value for name, value in params.items() if name not in names}}


def in_path(name: str, *, keep: str = "") -> str:
    """Return a name as a part of a path; half of a surrogate pair is written as U+FFFD, as in ``json_body``."""
    return quote(_without_surrogates(name), safe=keep)


def schema_in_words(schema: Mapping[str, JsonValue]) -> str:
    """Return what to tell a model that is to keep to a JSON schema, where the service takes none."""
    return f"Answer with one JSON value and nothing else. It fits this JSON schema:\n{json_body(dict(schema)).decode()}"


def with_schema(request: ChatRequest, *, in_words: bool) -> tuple[Message, ...]:
    """Return the messages of a request, with its schema in words before them where the service takes none."""
    if request.schema is None or not in_words:
        return request.messages
    return (Message("system", schema_in_words(request.schema)), *request.messages)


EFFORT_IGNORED = "the effort was left out: this model takes none"
"""The note where a server refuses to be told how much to reason."""


def wordless(params: Mapping[str, JsonValue], *names: str) -> list[str]:
    """Return the notes on parameters that a form has no word for."""
    return [f"{name} has no effect on this backend" for name in names if params.get(name) is not None]


def json_body(body: dict[str, JsonValue]) -> bytes:
    """Return a body of JSON; half of a surrogate pair, which no UTF-8 can hold, is written as U+FFFD.

    JSON between systems is UTF-8: https://www.rfc-editor.org/rfc/rfc8259#section-8.1

    Raises:
        BackendFailed: of kind bad request, where it holds what JSON cannot.
    """
    try:
        try:
            return msgspec.json.encode(body)
        except UnicodeEncodeError:
            return msgspec.json.encode(_without_surrogates(body))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        why = one_line(str(error), 120) or type(error).__name__
    message = f"the request cannot be written as JSON ({why}); nothing was sent"
    raise BackendFailed(Failure(kind=FailureKind.BAD_REQUEST, message=message))


def base64_of(piece: Image | File) -> str:
    """Return the bytes of an image or file as base64 (https://www.rfc-editor.org/rfc/rfc4648#section-4)."""
    return base64.b64encode(piece.data).decode("ascii")


def data_url(piece: Image | File) -> str:
    """Return the bytes of an image or file as an address that holds them (https://www.rfc-editor.org/rfc/rfc2397)."""
    return f"data:{piece.media_type};base64,{base64_of(piece)}"


def unsayable(what: str) -> BackendFailed:
    """Return the failure of a request that a form has no word for; ``what`` says which part of it and what to do."""
    message = f"this backend does not take {what}; nothing was sent"
    return BackendFailed(Failure(kind=FailureKind.BAD_REQUEST, message=message))


@overload
def _without_surrogates(value: str) -> str: ...
@overload
def _without_surrogates(value: JsonValue) -> JsonValue: ...
def _without_surrogates(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    return value
