"""The replies of one request that were whole but not what was asked for."""

from __future__ import annotations

from llx_magic.core.message import Message
from llx_magic.core.reply import Answer, Misfit, Restart
from llx_magic.engine.visit import Visit
from llx_magic.text.shape import Shape
from llx_magic.units import number


class Misfits:
    """What came that does not fit, while a better reply is asked for; the last one stands where none comes."""

    def __init__(self, shape: Shape | None) -> None:
        self._shape = shape
        self._replies: tuple[Misfit, ...] = ()
        self.last: tuple[Visit, Answer] | None = None
        """The latest, and the visit that gave it."""
        self._is_shown = False
        self._attempts_until_first = 0

    def take(self, visit: Visit, answer: Answer, problem: str, attempts: int) -> tuple[Message, ...]:
        """Keep the reply of the last of so many attempts; returns the turns that ask again, with what is wrong."""
        if not self._replies:
            self._attempts_until_first = attempts
        self._replies += (Misfit(backend=visit.backend, text=answer.text, problem=problem, usage=answer.usage),)
        self.last, self._is_shown = (visit, answer), True
        asked = f"{problem[:1].upper()}{problem[1:]}. Answer again, with the JSON value alone."
        return Message("assistant", answer.text), Message("user", asked)

    def withdrawn(self, next_backend: str) -> Restart | None:
        """Return what takes the last one back, where it is shown, now that another comes from the start."""
        if not self._is_shown:
            return None
        self._is_shown = False
        return Restart(self._replies[-1].backend, self._replies[-1].problem, next_backend, again=True)

    def restored(self) -> Restart | None:
        """Return what takes back whatever is shown instead of the last one, which is the best there is."""
        if self._is_shown:
            return None
        return Restart(self._replies[-1].backend, "no other fits", "", again=True)

    def before(self, answer: Answer) -> tuple[Misfit, ...]:
        """Return those that are not this answer itself."""
        is_last = self.last is not None and answer is self.last[1]
        return self._replies[:-1] if is_last else self._replies

    def notes(self, answer: Answer, attempts: int) -> tuple[str, ...]:
        """Say below the reply that it was asked again, where it was, and what the others took."""
        if self._shape is None or not self._replies or attempts == self._attempts_until_first:
            return ()
        others, name = self.before(answer), self._shape.name
        if len(others) < len(self._replies):
            said, which = f"no reply was {name}", "those not shown"
        elif len(others) == 1:
            said, which = f"the first reply was not {name}", "it"
        else:
            said, which = f"{len(others)} replies were not {name}", "they"
        spent = sum(each.usage.total_tokens for each in others if each.usage)
        return (f"asked again: {said}" + (f"; {which} took {number(spent)} tokens" if spent else ""),)


NO_MISFITS = Misfits(None)
"""Those of every request that takes any text: there never are any."""
