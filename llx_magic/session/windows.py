"""How long a prompt each member takes, and how many bytes a token of a conversation has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llx_magic.core.message import attachments
from llx_magic.core.reply import Usage
from llx_magic.core.window import BYTES_A_TOKEN, bytes_of
from llx_magic.engine.plan import Plan
from llx_magic.profiles.document import ModelProfile
from llx_magic.session.model_lists import MODEL_LISTS

_MOST_CONVERSATIONS = 1_000


class Windows:
    """The windows of a profile's members: what the profile says, else what the service has listed within a day."""

    def __init__(self, members: Sequence[ModelProfile]) -> None:
        self._members = members
        self._known: dict[str, int | None] = {}
        self._as_of = -1
        self._learnt: dict[str, float] = {}

    def now(self) -> Mapping[str, int | None]:
        """Return how many tokens each member takes; None where nobody said so, or no list can be read now."""
        as_of, known = MODEL_LISTS.changes, self._known
        if self._as_of != as_of:
            said = {each.name: each.connection.context_window for each in self._members}
            try:
                known = {each.name: said[each.name] or MODEL_LISTS.window(each) for each in self._members}
            except OSError:  # this machine has no descriptors left, say; no prompt waits for a list
                return said
            self._known, self._as_of = known, as_of  # in this order: other threads look as well
        return known

    def bytes_a_token(self, conversation: str | None) -> float:
        """Return what the last prompt of a conversation had, or an estimate."""
        return self._learnt.get(conversation or "", BYTES_A_TOKEN)

    def learn(self, plan: Plan, usage: Usage | None) -> None:
        """Take what a backend counted of a conversation's prompt."""
        if plan.conversation is None or usage is None or not usage.prompt_tokens or any(attachments(plan.messages)):
            return
        self._learnt.pop(plan.conversation, None)
        self._learnt[plan.conversation] = max(1.0, bytes_of(plan.messages) / usage.prompt_tokens)
        while len(self._learnt) > _MOST_CONVERSATIONS:
            del self._learnt[next(iter(self._learnt))]
