"""What all tests share."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from llx_magic import hosts
from llx_magic.backends.http.findings import findings_of
from llx_magic.keys.redaction import LIVE_KEYS, LiveKeys
from llx_magic.session.session import Session

# How long an example takes is the machine's business. `--hypothesis-profile thorough` takes ten times as many.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=100)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1_000)
hypothesis.settings.load_profile("quick")

# A shell starts what runs in its background with interrupts switched off, and every child of it inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Have a home folder of the run's own."""
    if not config.pluginmanager.has_plugin("tests.isolated"):
        config.pluginmanager.import_plugin("tests.isolated")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported and collected, and look at the rest less often.

    It would go through millions of objects again and again. Tests of what is left behind call it themselves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out on Windows what has the mark `posix`, and say why."""
    if sys.platform == "win32" and (mark := item.get_closest_marker("posix")):
        pytest.skip(f"NOT RUN on Windows: {mark.args[0]}")


@pytest.fixture(autouse=True)
def no_keys_of_other_tests() -> Iterator[None]:
    """Forget the keys that a test has used: what was one there is a word in the next."""
    yield
    LiveKeys.__init__(LIVE_KEYS)


@pytest.fixture(autouse=True)
def nothing_found_out_by_other_tests() -> Iterator[None]:
    """Forget what is known of addresses: the system gives the port of one test's server to that of another."""
    yield
    findings_of.cache_clear()


@pytest.fixture
def in_notebook() -> Iterator[hosts.SessionOf]:
    """Have a notebook in this process, so that messages name its magics; it has no shell and is the value."""

    def session() -> Session:
        raise AssertionError("this notebook has no session")

    hosts.enter(session)
    yield session
    hosts.leave(session)


def pytest_unconfigure() -> None:
    """Let the process end at once: each of the many shells that tests made collects garbage of its own at exit."""
    gc.freeze()
