"""What the first prompt of a process costs is ours: no backend is blamed for it, and a notebook pays it beforehand."""

from __future__ import annotations

import json
import os

import pytest

from tests.notebook.kit import write_balancer, write_model

FIRST_PROMPT = """
import asyncio, json, sys, time
import llx_magic as llx

class BusyMachine:
    def find_spec(self, name, *_):
        if name == "httptools":
            time.sleep(2)

sys.meta_path.insert(0, BusyMachine())

async def main():
    began = time.monotonic()
    async with llx.load("impatient") as lb:
        reply = await lb.ask("Hello?")
        latency = lb.stats().loc["first", "mean_latency_seconds"]
        [attempt] = lb.attempts().itertuples()
    return {"backend": reply.backend, "all": reply.seconds, "latency": latency, "attempt": attempt.seconds}

print(json.dumps(asyncio.run(main())))
"""


def test_a_first_prompt_with_a_short_time_limit_is_answered_and_its_latency_is_the_servers(scripts, pair, home, first):
    """On a busy machine importing the HTTP library and reading certificates takes longer than the limit."""
    write_balancer(home, "impatient", ["first", "second"], timeout_ms=1500, failover_retry_count=1)
    seen = json.loads(scripts.run(FIRST_PROMPT))
    assert seen["backend"] == "first"
    assert len(first.requests) == 1
    assert seen["latency"] <= seen["all"] - 2.0  # which passed before sending
    assert seen["attempt"] <= seen["all"] - 2.0


NOTEBOOK = """
import sys, threading, time
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "llx_magic")
assert "httptools" not in sys.modules
shell.run_line_magic("llx_profile", "load " + sys.argv[2])
for _ in range(int(sys.argv[1])):
    if "llx_magic.backends.http.direct" in sys.modules:
        break
    time.sleep(0.05)
threads = [each.name for each in threading.enumerate()]
shell.run_line_magic("unload_ext", "llx_magic")
print("warm" if "llx_magic.backends.http.direct" in sys.modules else "cold", threads.count("llx_magic"))
"""


def test_loading_a_profile_in_a_notebook_gets_ready_in_the_background(scripts, home, pair, first):
    """Nothing is sent and nothing is said."""
    assert scripts.run(NOTEBOOK, "600", "pair").splitlines()[-1] == "warm 1"
    assert first.connections == 0


FORKS = """
import os, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "llx_magic")
shell.run_line_magic("llx_profile", "load pair")
copy = os.fork()
if copy == 0:
    import httptools, httpx
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]))
shell.run_line_magic("unload_ext", "llx_magic")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process are made elsewhere")
def test_a_copy_of_the_process_made_while_it_gets_ready_can_import_what_was_being_imported(scripts, pair):
    """It has not the thread that holds the import's lock."""
    assert scripts.run(FORKS).splitlines()[-1] == "7"


@pytest.mark.parametrize(
    ("provider", "params"), [("simulated", {}), ("local", {})], ids=["simulated", "the embedded model"]
)
def test_a_profile_that_needs_no_network_starts_nothing_when_it_is_loaded(scripts, home, provider, params):
    """Neither a thread nor an import."""
    write_model(home, "smollm2-135m-instruct", provider=provider, model_params=params)
    document = home / "profiles" / "smollm2-135m-instruct.json"
    document.write_text(document.read_text().replace("-instruct-model", "-instruct"))
    assert scripts.run(NOTEBOOK, "10", "smollm2-135m-instruct").splitlines()[-1] == "cold 0"


def test_what_stands_in_the_way_of_getting_ready_is_left_for_the_prompt_to_say(scripts, home):
    """Loading says nothing of it, on neither stream."""
    write_model(home, "remote", base_url="https://models.example/v1", auth_key_env="NO_SUCH_KEY")
    scripts.env["SSL_CERT_FILE"] = "/nowhere/ca.pem"
    assert "/nowhere" not in scripts.run(NOTEBOOK, "10", "remote")
