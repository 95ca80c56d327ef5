"""What one run claims, no other can claim until it is given back, or its process has ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llx_magic.replies.claims import SUFFIX, Claims

ONE, TWO = (b"1" * 16, 0), (b"2" * 16, 0)

HOLDER = """
import sys
from pathlib import Path
from llx_magic.replies.claims import Claims
print(len(Claims(Path(sys.argv[1])).take([(b"1" * 16, 0)])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "replies.sqlite"


@pytest.fixture
def other(store):
    """Another process that has claimed ``ONE``."""
    words = [sys.executable, "-c", HOLDER, str(store)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    yield process
    process.kill()
    process.communicate()


def test_two_runs_of_a_process_cannot_claim_the_same(store):
    first, second = Claims(store), Claims(store)
    assert first.take([ONE]) == set()
    assert second.take([ONE, TWO]) == {ONE}
    first.give_back([ONE])
    assert second.take([ONE]) == set()


def test_what_a_run_has_it_may_claim_again(store):
    claims = Claims(store)
    claims.take([ONE])
    assert claims.take([ONE]) == set()


def test_a_run_gives_back_its_own_claims_alone(store):
    first, second = Claims(store), Claims(store)
    first.take([ONE])
    second.give_back([ONE])
    second.close()
    assert Claims(store).take([ONE]) == {ONE}


def test_samples_of_one_prompt_are_claimed_each_for_itself(store):
    first, second = Claims(store), Claims(store)
    first.take([ONE])
    assert second.take([(ONE[0], 1)]) == set()


def test_stores_have_claims_of_their_own(store, tmp_path):
    Claims(store).take([ONE])
    assert Claims(tmp_path / "other.sqlite").take([ONE]) == set()


def test_a_run_that_has_ended_claims_nothing_more(store):
    ended, other = Claims(store), Claims(store)
    ended.close()
    ended.take([ONE])
    assert other.take([ONE]) == set()


def test_what_another_process_claims_is_free_once_that_is_killed(store, other):
    claims = Claims(store)
    assert claims.take([ONE, TWO]) == {ONE}
    other.kill()
    other.wait()
    assert claims.take([ONE]) == set()


def test_the_end_of_another_run_of_this_process_gives_back_nothing_of_the_others(store):
    """A process that closes one of two descriptors of a file would lose its locks on it."""
    kept, ended = Claims(store), Claims(store)
    kept.take([TWO])
    ended.close()
    told = subprocess.run(
        [sys.executable, "-c", HOLDER.replace('b"1"', 'b"2"'), str(store)],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "1\n"


def test_claims_leave_an_empty_file_that_only_the_user_can_read(store):
    Claims(store).take([ONE])
    file = store.with_name(store.name + SUFFIX)
    assert file.stat().st_size == 0
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600


def test_where_the_file_cannot_be_made_runs_of_this_process_still_see_claims(tmp_path):
    nowhere = tmp_path / "missing" / "replies.sqlite"
    first, second = Claims(nowhere), Claims(nowhere)
    assert first.take([ONE]) == set()
    assert second.take([ONE]) == {ONE}
