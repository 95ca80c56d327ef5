"""Prompts that run while other cells do."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, cast

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands.command import Argument, Command
from llx_magic.commands.output import Output
from llx_magic.commands.trace import LONGEST_NUMBER
from llx_magic.core.reply import Reply
from llx_magic.engine.background import SLICE_SECONDS
from llx_magic.errors import LlxError, UsageProblem
from llx_magic.observe.report import html_table, text_table
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from llx_magic.commands.offers import At
    from llx_magic.commands.reading import Asked
    from llx_magic.notebook.notebook import Notebook

KEPT = 100
"""How many ended jobs are remembered."""


@dataclass(slots=True, eq=False)
class Job:
    """One prompt in the background; ``reply`` is set when it has ended, whole or not."""

    number: int
    prompt: str
    cancel: Callable[[], None]
    reply: Reply | None = None
    state: str = "running"
    thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def line(self) -> str:
        """What its cell says for as long as it runs."""
        return f"job {self.number} is running; %llx_jobs lists, shows and cancels"

    def wait(self) -> None:
        """Wait until it has ended; an interrupt stops the waiting and cancels it."""
        try:
            while self.thread is not None and self.thread.is_alive():
                self.thread.join(SLICE_SECONDS)
        except KeyboardInterrupt:
            self.cancel()
            raise


class Pending:
    """Stands for the reply of a background prompt until it is there; whoever uses it is told so in one line."""

    def __init__(self, name: str, job: Job) -> None:
        self._said = f"{name} is not there yet: {job.line}"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # what front ends look for
            raise AttributeError(name)
        raise UsageProblem(self._said)

    def __repr__(self) -> str:
        return self._said

    def __str__(self) -> NoReturn:
        raise UsageProblem(self._said)


class Jobs:
    """The background prompts of a session."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._jobs: dict[int, Job] = {}
        self._count = 0

    def add(self, prompt: str, cancel: Callable[[], None]) -> Job:
        """Return a new job, which ``begin`` starts."""
        self._count += 1
        job = Job(self._count, one_line(prompt, 60), cancel)
        self._jobs[job.number] = job
        for number in [each.number for each in self._jobs.values() if each.state != "running"][:-KEPT]:
            del self._jobs[number]
        return job

    def begin(self, job: Job, work: Callable[[], Reply]) -> None:
        """Run ``work`` on a thread of its own, its output going to the cell that runs now."""
        parent = getattr(self._shell, "parent_header", None) or {}
        job.thread = threading.Thread(
            target=self._run, args=(job, work, parent), name=f"llx_magic job {job.number}", daemon=True
        )
        job.thread.start()

    def all(self) -> tuple[Job, ...]:
        """Return the jobs, oldest first."""
        return tuple(self._jobs.values())

    def get(self, number: str) -> Job:
        """Return a job by its number.

        Raises:
            UsageProblem: where there is none.
        """
        if number.isdecimal() and len(number) <= LONGEST_NUMBER and (job := self._jobs.get(int(number))):
            return job
        known = ", ".join(map(str, self._jobs))
        raise UsageProblem(f"there is no job {number}; " + (f"there are: {known}" if known else "none was started yet"))

    def cancel_all(self) -> None:
        """Cancel what still runs, and wait for it to have ended."""
        for job in self.all():
            if job.state == "running":
                job.cancel()
            if job.thread is not None:
                job.thread.join(5)

    def _run(self, job: Job, work: Callable[[], Reply], parent: dict[str, object]) -> None:
        try:
            for stream in (self._shell.display_pub, sys.stdout, sys.stderr):
                # Older kernels have the display id alone to go by: https://github.com/ipython/ipykernel/pull/1546
                if parent and hasattr(stream, "set_thread_parent"):
                    stream.set_thread_parent(parent)
            job.reply = work()
            job.state = "answered"
        except concurrent.futures.CancelledError:
            job.state = "cancelled"
        except LlxError as problem:
            job.state = f"failed: {one_line(str(problem), 120)}"
        except BaseException as problem:  # a defect must not leave it running for ever in the list
            job.state = f"failed: {type(problem).__name__}"
            raise


def _numbers(at: At) -> list[str]:
    return [str(job.number) for job in cast("Notebook", at.here).jobs.all()]


_RUN = "llx_magic.notebook.jobs"
_NUMBER = Argument("number", "N", complete=_numbers)

COMMAND = Command(
    run=f"{_RUN}:overview",
    actions=(
        Command("list", "List the background prompts.", run=f"{_RUN}:overview"),
        Command("cancel", "Stop a background prompt.", run=f"{_RUN}:cancel", arguments=(_NUMBER,)),
        Command("show", "Show the reply of one that has ended.", run=f"{_RUN}:show", arguments=(_NUMBER,)),
    ),
)


def overview(here: Notebook, _asked: Asked) -> Output:
    """List the jobs, oldest first."""
    columns = ("job", "state", "backend", "prompt")
    found = [
        (str(job.number), job.state, job.reply.backend if job.reply else "", job.prompt) for job in here.jobs.all()
    ]
    if not found:
        return Output("no background prompts; %%llx --bg starts one")
    return Output(text_table(columns, found), html_table(columns, found))


def cancel(here: Notebook, asked: Asked) -> Output:
    """Stop a job, unless it has ended. The error for one that does not exist is ``Jobs.get``'s."""
    job = here.jobs.get(asked["number"])
    if job.state != "running":
        return Output(f"job {job.number} has ended already: {job.state}")
    job.cancel()
    return Output(f"job {job.number} is cancelled")


def show(here: Notebook, asked: Asked) -> Output:
    """Show the reply of a job, or its state where it has none."""
    job = here.jobs.get(asked["number"])
    return Output(job.reply.text if job.reply else f"job {job.number}: {job.state}")
