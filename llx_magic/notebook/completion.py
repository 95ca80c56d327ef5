"""Completion of what the magics take: options, names and values, and the notebook's variables inside ``{{ }}``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MemberDescriptorType, ModuleType

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult
from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands import chat, circuit, keys, local, profiles, prompt, settings, statistics
from llx_magic.commands.grammar import Grammar
from llx_magic.errors import LlxError
from llx_magic.notebook import dashboards as dashboard
from llx_magic.notebook import jobs
from llx_magic.notebook.completion_place import Place, Typed, quoted, split, typed_in, unquoted
from llx_magic.notebook.completion_sources import Sources
from llx_magic.session.session import Session

GRAMMARS: dict[str, Callable[[], Grammar]] = {
    "llx": prompt.cell_grammar,
    "llx_set": settings.grammar,
    "llx_profile": profiles.grammar,
    "llx_stats": statistics.stats_grammar,
    "llx_log": statistics.log_grammar,
    "llx_circuit": circuit.grammar,
    "llx_local": local.grammar,
    "llx_key": keys.grammar,
    "llx_trace": statistics.trace_grammar,
    "llx_chat": chat.grammar,
    "llx_jobs": jobs.grammar,
    "llx_dashboard": dashboard.grammar,
}
"""The grammar of each magic by its name; all options and actions are offered from it."""

_REFERENCE = re.compile(r"(?:^|[^\w.\])}\"'])((?:[^\W\d]\w*\.)*)([^\W\d]\w*)?$")
_UNASKED = ("-h", "--help", "--list")
"""Options that are offered beside values only where a dash is typed."""

_ABSENT = object()


class _Silence(Iterator[SimpleCompletion]):
    """No completion, and none of IPython's: it drops those only in favour of a result that counts as not empty."""

    def __len__(self) -> int:
        return 1

    def __next__(self) -> SimpleCompletion:
        raise StopIteration


class LlxCompleter:
    """Completes the magics of one shell.

    ``session`` is the session whose profiles and settings are offered, or a function that returns it. ``names`` adds
    sources of names by argument, alone or after its magic: ``{"chat": f, "llx_chat name": f, "llx_jobs number": g}``.
    """

    def __init__(
        self,
        session: Session | Callable[[], Session],
        shell: InteractiveShell,
        names: Mapping[str, Callable[[], Iterable[str]]] | None = None,
    ) -> None:
        self._shell = shell
        self._grammars: dict[str, Grammar] = {}
        self._sources = Sources((lambda: session) if isinstance(session, Session) else session, names or {})

    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what may stand at the cursor; outside our magics nothing, and nothing is suppressed there."""
        try:
            typed = typed_in(context)
            if typed is None or typed.magic not in GRAMMARS:
                return _leave()
            return self._complete(typed)
        except (LlxError, OSError, ValueError):
            return _offer([], "")  # what a broken profile or folder would have offered is not known

    def _complete(self, typed: Typed) -> SimpleMatcherResult:
        words, raw, quote = split(typed.before)
        place = Place(typed.magic, self._grammar(typed.magic), is_line=not typed.is_cell)
        for word in words:
            place.take(word)
        text = typed.before if typed.body is None else typed.body
        is_raw = any(action.dest == "raw" for action in place.seen)
        if typed.magic == "llx" and not is_raw and "{{" in text and text.rfind("{{") > text.rfind("}}"):
            return self._complete_reference(text[text.rfind("{{") + 2 :])
        if typed.body is not None or place.in_text:
            return _leave()
        return self._complete_word(place, raw, quote, typed.after)

    def _complete_word(self, place: Place, raw: str, quote: str, after: str) -> SimpleMatcherResult:
        word = unquoted(raw)
        slot, may_be_option = place.expected(word)
        if (assigned := place.assigned(word)) is not None:
            slot, may_be_option, raw, word = assigned, False, _behind_equals(raw), _behind_equals(word)
        if slot is None and not may_be_option and place.magic == "llx":
            return _leave()
        place.look_ahead(after)
        options = place.options_left() if may_be_option else []
        values = [] if slot is None else self._sources.of(place, slot, word)
        if values is None:
            return _leave()
        if values and not word:
            options = [option for option in options if option not in _UNASKED]
        if slot is not None and slot.dest == "sets" and "=" in word:
            raw, word, values = _behind_equals(raw), _behind_equals(word), [_behind_equals(each) for each in values]
        offered = [(text, "keyword") for text in values] + [(text, "param") for text in options]
        return _offer([(quoted(text, raw, quote), kind) for text, kind in offered if text.startswith(word)], raw)

    def _complete_reference(self, expression: str) -> SimpleMatcherResult:
        if any(expression.count(mark) % 2 for mark in "\"'"):
            return _leave()  # inside a string: IPython offers the keys of a dictionary
        found = _REFERENCE.search(expression)
        if found is None or expression[: found.start(1)].rstrip().endswith("|"):
            return _offer([], "")
        owners, start = found[1].split(".")[:-1], found[2] or ""
        names = _attributes(self._value(owners)) if owners else sorted(self._variables())
        return _offer([(name, "instance") for name in names if name.startswith(start)], start)

    def _grammar(self, magic: str) -> Grammar:
        if magic not in self._grammars:
            self._grammars[magic] = GRAMMARS[magic]()
        return self._grammars[magic]

    def _variables(self) -> dict[str, object]:
        hidden: Mapping[str, object] = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_") and not isinstance(value, ModuleType) and hidden.get(name, _ABSENT) is not value
        }

    def _value(self, path: list[str]) -> object:
        value: object = self._shell.user_ns.get(path[0], _ABSENT)
        for name in path[1:]:
            value = _stored(value, name)
        return _ABSENT if any(name.startswith("_") for name in path) else value


def _behind_equals(text: str) -> str:
    return text.partition("=")[2]


def _leave() -> SimpleMatcherResult:
    return {"completions": [], "suppress": False}


def _offer(candidates: list[tuple[str, str]], fragment: str) -> SimpleMatcherResult:
    found = [SimpleCompletion(text, type=kind) for text, kind in candidates]
    return {"completions": found or _Silence(), "matched_fragment": fragment, "suppress": True, "ordered": True}


def _stored(owner: object, name: str) -> object:
    """Return an attribute that is stored as it is; what would have to be computed counts as absent."""
    found = inspect.getattr_static(owner, name, _ABSENT)
    if found is _ABSENT:
        return owner.get(name, _ABSENT) if type(owner) is dict else _ABSENT
    if isinstance(found, MemberDescriptorType):
        return getattr(owner, name, _ABSENT)
    return _ABSENT if hasattr(type(found), "__get__") else found


def _attributes(owner: object) -> list[str]:
    if owner is _ABSENT:
        return []
    try:
        names = dir(owner)
    except Exception:  # noqa: BLE001 - an object's own __dir__ may raise anything
        return []
    entries = [key for key in owner if isinstance(key, str) and key.isidentifier()] if type(owner) is dict else []
    return list(dict.fromkeys(name for name in [*entries, *names] if not name.startswith("_")))
