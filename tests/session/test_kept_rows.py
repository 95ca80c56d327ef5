"""What of a run over rows is in the store, and what happens where the store cannot take it."""

from __future__ import annotations

import sqlite3

import pytest

from llx_magic.errors import UsageProblem
from llx_magic.replies.store import ReplyStore
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
