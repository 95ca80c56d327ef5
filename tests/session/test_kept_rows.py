"""What of a run over rows is in the store, and what happens where the store cannot take it."""

from __future__ import annotations

import sqlite3

import pytest

from llx_magic.core.events import Event
from llx_magic.core.progress import MapProgress
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import UsageProblem
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.replies.store import ReplyStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.mapping import MapRun
from tests.engine.kit import balancer, simulated


@pytest.fixture
def path(tmp_path):
    return tmp_path / "replies.sqlite"


def kept(path):
    with ReplyStore.open(path) as store:
        return [stored for _key, stored in store.export()]


async def test_a_row_s_reply_is_kept_with_all_that_a_reply_has(path):
    result = await balancer(simulated("a")).map(["x"], "say {{ row }}", store=path)
    (stored,) = kept(path)
    row = result.frame.iloc[0]
    assert (stored.text, stored.backend, stored.model) == (row.reply, row.llx_backend, row.llx_model)
    assert (stored.usage.prompt_tokens, stored.usage.completion_tokens) == (row.llx_tokens_in, row.llx_tokens_out)
    assert (stored.finish_reason, stored.attempts, stored.error) == ("stop", 1, None)


@pytest.mark.parametrize(("wanted", "prompt"), [(False, None), (True, "say x")])
async def test_the_prompts_of_rows_are_kept_only_where_that_is_set(path, wanted, prompt):
    await balancer(simulated("a")).map(["x"], "say {{ row }}", store=path, settings={"keep_prompts": wanted})
    assert [stored.prompt for stored in kept(path)] == [prompt]


async def test_a_store_that_is_none_ends_the_run_before_anything_is_sent(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (it)")
    lb = balancer(simulated("a"))
    with pytest.raises(UsageProblem, match="is another program's database"):
        await lb.map(["x"], "say {{ row }}", store=path)
    assert sum(backend.attempts for backend in lb.snapshot().backends) == 0


async def test_while_another_process_holds_the_lock_the_run_waits_and_says_for_what(path):
    ReplyStore.open(path).close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    said: list[str | None] = []

    def watch(part: MapProgress | Event) -> None:
        if isinstance(part, MapProgress) and other.in_transaction:
            said.append(part.waiting_for)
            if part.waiting_for is not None:
                other.execute("COMMIT")

    lb = LoadBalancer(Profile.single(ModelProfile("a", "simulated", "m", {"latency_ms": 0})), clock=LoopClock())
    result = await MapRun(lb, [f"row {number}" for number in range(200)], "say {{ row }}", {"store": path}).run(watch)
    assert said[-1] is not None
    assert said[-1].startswith("the store, which has ")
    assert result.summary.answered == 200
    assert len(kept(path)) == 200
