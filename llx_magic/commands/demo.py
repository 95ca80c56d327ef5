"""``llx demo``: a prompt that fails over, for real."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from llx_magic.commands.command import Command, Option

if TYPE_CHECKING:
    from llx_magic.commands.here import Here
    from llx_magic.commands.output import Output
    from llx_magic.commands.reading import Asked
    from llx_magic.core.reply import Reply

NAME = "demo"
PROMPT = "What is the capital of France? Answer in one sentence."

COMMAND = Command(
    run="llx_magic.commands.demo:run", options=(Option("--prompt", "TEXT", "another prompt than the demo's own"),)
)


def run(here: Here, asked: Asked) -> Output:
    """Ask two backends: the first is unreachable, the second is real and local."""
    from llx_magic.backends import local as embedded
    from llx_magic.commands.answering import answer
    from llx_magic.commands.local import ProgressBar, pull
    from llx_magic.commands.output import Output, remark
    from llx_magic.commands.stats import report_of
    from llx_magic.errors import UsageProblem
    from llx_magic.files.folders import shipped_profile
    from llx_magic.observe.debug import VARIABLE
    from llx_magic.text.screen import one_line

    given = asked.get("prompt")
    prompt = PROMPT if given is None else given
    if not prompt.strip():
        raise UsageProblem("llx demo: the prompt is empty; nothing was sent")
    pull(ProgressBar(sys.stderr, live=sys.stderr.isatty()))
    os.environ.setdefault(VARIABLE, "llxprt:*")
    try:
        here.session.load(str(shipped_profile(NAME) or NAME))  # whatever the user's own profiles are called
        remark(f"prompt: {one_line(prompt)}\n")
        reply = answer(here.session, asked, prompt)
        remark("\n" + report_of(here.session.balancer()).text)
    finally:
        embedded.stop()
    return Output(
        f"\nThe first backend could not be reached, so {reply.backend} answered: a small model on this machine,\n"
        f"good enough to show the way, not to be relied on.{first_tokens(reply)}\n"
        "Next: make lab, or %load_ext llx_magic in a notebook."
    )


def first_tokens(reply: Reply) -> str:
    """Return why two times of a first token are shown: one counts from the prompt, the other from the asking."""
    from llx_magic.core.events import FirstTokenReceived
    from llx_magic.units import duration

    after = [event.seconds for event in reply.trace if isinstance(event, FirstTokenReceived)]
    if not after or reply.ttft is None:
        return ""
    asked, prompted = duration(after[-1]), duration(reply.ttft)
    return (
        f" Its first token came {asked} after it was\n"
        f"asked and {prompted} after the prompt: before, the first backend was tried and the model was loaded.\n"
        "A notebook keeps it loaded, so later prompts do not wait for that."
    )
