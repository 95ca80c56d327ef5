"""Who refuses every row of a run, and is asked no more."""

from __future__ import annotations

from llx_magic.core.gate import GateKey
from llx_magic.core.parking import Prospects, Tries
from llx_magic.engine.plan import Candidate
from llx_magic.errors import Reason


class ClosedBackends:
    """Those of the candidates that have refused everybody, by what a run has seen of them."""

    def __init__(self, candidates: tuple[Candidate, ...], prospects: Prospects) -> None:
        self._candidates = candidates
        self._prospects = prospects
        self.gates: set[GateKey] = set()
        self.left_out: tuple[str, ...] = ()
        """Who is asked no more, and why, in words."""

    def look(self) -> str:
        """Ask those no more who refuse everybody by now; where that are all, return why the run ends."""
        if not (closed := self._prospects.closed):
            return ""
        whys = [Reason(name, why).what_happened for name, why in closed.items()]
        if self._prospects.all_closed:
            return "; ".join(whys)
        self.left_out = tuple(f"asked no more: {why}" for why in whys)
        self.gates = {each.gate for each in self._candidates if each.backend.name in closed}
        return ""

    def others_for(self, tries: Tries | None) -> tuple[Candidate, ...]:
        """Return whom to ask: nobody who has refused the row, nor who refuses everybody, as long as others are left."""
        candidates = self._candidates
        if self.gates:
            candidates = tuple(each for each in candidates if each.gate not in self.gates) or candidates
        if tries is not None and tries.refused_by:
            candidates = tuple(each for each in candidates if each.backend.name not in tries.refused_by)
        return candidates
