"""Who else shares the backends of a profile, as far as the server of shared facts says so in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from llx_magic.core.failure import NotReady
from llx_magic.core.gate import GateKey
from llx_magic.core.machine import trouble_of
from llx_magic.core.peers import Peers, Shared, SharedBackend
from llx_magic.core.ports import Account, Accountable, Backend
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.sharing import SharedGates

LOOK_SECONDS = 2.0
"""How long the server is waited for; nobody's prompt waits for that."""

AWAY = "the server of shared facts (LLX_SHARED) does not answer: this process goes by what it meets itself"
NOT_ASKED = "not asked yet; it is shared from its first prompt on"
NOTHING_TO_SHARE = "it has no limits to share"


async def look(live: LiveProfile, backends: Iterable[tuple[Backend, GateKey]], *, reads_keys: bool) -> Shared:
    """Return who shares the backends of a profile that shares facts; nothing is sent to the backends.

    A backend is known to the others by its key among other things, which is read where that is needed and
    ``reads_keys`` allows it; else a backend that was not asked yet is not looked for.
    """
    sharing = live.sharing
    assert sharing is not None
    each = {gate: backend for backend, gate in backends}
    looks = (_seen(sharing, backend, gate, reads_keys=reads_keys) for gate, backend in each.items())
    found = await asyncio.gather(*looks)
    is_away = all(one.why == AWAY for one in found)
    return Shared(live.name, () if is_away else tuple(found), AWAY if is_away else "")


async def _seen(sharing: SharedGates, backend: Backend, gate: GateKey, *, reads_keys: bool) -> SharedBackend:
    account = sharing.account_of(gate)
    try:
        if account is None and reads_keys:
            account = await _account_of(backend)
        if account is None:
            return SharedBackend(gate.name, why=NOT_ASKED)
        return SharedBackend(gate.name, await _peers(sharing, account))
    except NotReady as problem:
        return SharedBackend(gate.name, why=str(problem))
    except OSError:
        return SharedBackend(gate.name, why=AWAY)


async def _account_of(backend: Backend) -> Account:
    """Return by what the others know a backend.

    Raises:
        NotReady: where that cannot be said.
    """
    try:
        ready = await backend.prepare()
    except OSError as problem:
        raise NotReady(trouble_of(problem) or "it is not ready") from None
    if not isinstance(ready, Accountable):
        raise NotReady(NOTHING_TO_SHARE)
    return ready.account


async def _peers(sharing: SharedGates, account: Account) -> Peers:
    """Return who shares what an account stands for.

    Raises:
        OSError: where the server does not answer, or not in time.
    """
    async with asyncio.timeout(LOOK_SECONDS):
        return await asyncio.wrap_future(sharing.look(account))
