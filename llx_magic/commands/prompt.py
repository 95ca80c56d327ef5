"""A prompt and its options, as ``%%llx``, ``%llx`` and the command line take them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import msgspec

from llx_magic.backends.simulated import PARAMETERS
from llx_magic.commands.ask import Format, effort_of, form_of
from llx_magic.commands.output import Output
from llx_magic.commands.profiles import pairs, read_params
from llx_magic.commands.reading import Asked, Reading
from llx_magic.commands.table import PROMPT
from llx_magic.commands.where import Where
from llx_magic.commands.words import words_of
from llx_magic.core.events import AttemptFailed, Event
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.message import Content, Message, attachments
from llx_magic.core.reply import Arrival, Reply
from llx_magic.engine.background import BACKGROUND, Running
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Plan
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.pieces.preview import as_html, piece_facts
from llx_magic.profiles.key_source import FOUND
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.keeping import find
from llx_magic.session.members import facts_of
from llx_magic.session.session import Session
from llx_magic.session.turns import Before, turn_of
from llx_magic.text.blocks import write_json
from llx_magic.text.wording import closest

LINE = "%llx"
"""How a prompt on a line begins, on which a text follows the options."""

_INSTRUCTIONS: Mapping[Format, str] = {
    "json": "Answer with one JSON value and nothing else: no words before or after it.",
    "code": "Answer with code alone, in one fenced code block that names its language.",
}
"""What the model is told of the form of its reply, below the user's own system prompt."""


def read_prompt(line: str, cell: str | None = None) -> tuple[Asked, str]:
    """Return the options of a prompt in a notebook and its text, exactly as it was typed.

    Of a cell they are all of its first line. On a line the text begins at the first word that is no option, or after
    ``--``; so a prompt may hold quotes and dashes.

    Raises:
        UsageProblem: for an option that does not exist, with the nearest offered, and for a quote that is not closed.
    """
    reading = Reading(PROMPT.load(), LINE if cell is None else "%%llx", Where.NOTEBOOK, text_follows=cell is None)
    for word in words_of(line):
        if cell is None and not reading.wants(word.raw):
            return reading.asked(), line[word.end if word.raw == "--" else word.start :].strip()
        if word.quote:
            raise UsageProblem(f"a quote is not closed in: {line.strip()}")
        reading.take(word.text)
    return reading.asked(), "" if cell is None else cell.removesuffix("\n")


def prepare(
    session: Session, options: Asked, prompt: Content, cell: str | None = None, schema: object = None
) -> tuple[LoadBalancer, Plan]:
    """Return the profile to ask and what to ask it, all checked; nothing is sent.

    ``schema`` is what ``--schema`` stands for.

    With ``--chat`` the earlier turns of the conversation come first; those of ``cell`` itself and later ones do not, so
    that a cell which runs again asks the same as the first time. What the profile may do is asked here, where somebody
    can be asked, and not for a dry run.

    Raises:
        UsageProblem: for an empty prompt, or a profile, setting, backend or conversation that cannot be used.
    """
    named, chat, form = options.get("profile"), options.get("chat"), form_of(options)
    balancer = session.trusted_balancer(named) if "trust" in options else session.balancer(named)
    if "dry-run" not in options:
        session.consent.seek(balancer.profile)
        session.asked_last = balancer
    earlier = Before() if chat is None else session.conversations.before(chat or None, cell)
    system = options.get("system") if "system" in options else earlier.system
    if form == "code" and schema is not None:
        raise UsageProblem("-f code and --schema ask for two kinds of reply; give one of them")
    instruction = None if schema is not None else _INSTRUCTIONS.get(form)  # the model is told the schema itself
    told = "\n\n".join(filter(None, (system, instruction))) or system
    settings, params = pairs(options.all("set"), "--set"), read_params(options.all("param"))
    plan = balancer.prepare(
        (*earlier.messages, Message("user", prompt)),
        system=told,
        settings=settings,
        params=params,
        backend=options.get("backend"),
        schema={} if schema is None and form == "json" else schema,
        effort=effort_of(options),
        cache="cache" in options,
    )
    conversation = None if chat is None else session.conversations.identity(chat or None)
    notes = tuple(_notes(balancer, options, earlier))
    return balancer, msgspec.structs.replace(plan, notes=notes, conversation=conversation)


def _notes(balancer: LoadBalancer, options: Asked, earlier: Before) -> Iterator[str]:
    """Yield what the user may not have meant: to ask an open circuit, to go on without a name, a misspelt parameter."""
    if pinned := options.get("backend"):
        for each in balancer.snapshot().backends:
            if each.name == pinned and each.is_open:
                yield f"the circuit of {pinned} is open; -b asks it all the same, an answer closes it"
    if options.prog == LINE and options.given.get("chat") == []:
        done = "continued" if earlier.messages else "began"
        yield f"{done} the session's own conversation; --chat=NAME takes another"
    if options.prog == "llx" and options.get("chat") == "":
        yield "nothing is continued, since a session of llx ends with its reply; --chat NAME keeps a conversation"
    if any(member.provider == "simulated" for member in balancer.profile.members):
        for name in pairs(options.all("param"), "--param"):
            if name not in PARAMETERS and (meant := closest(name, PARAMETERS, likeness=0.8)):
                yield f"a simulated model has no parameter {name!r}; did you mean {meant}?"


def remember(session: Session, options: Asked, plan: Plan, reply: Reply, cell: str | None = None) -> None:
    """Add a turn to the conversation that was named with ``--chat``, in the place of the same cell's earlier one.

    Of an image or a file it holds a note, and not the bytes.

    Raises:
        UsageProblem: where the conversation has no room for it; the reply itself is not touched.
    """
    if (chat := options.get("chat")) is not None:
        prompt = plan.messages[-1].noted()
        turn = turn_of(reply, prompt, cell=cell, unix_seconds=time.time(), system=options.get("system"))
        session.conversations.record(chat or None, turn)


def preview(balancer: LoadBalancer, plan: Plan) -> Output:
    """Return what would be sent, and to whom, with the reason for each backend; nothing is sent."""
    verdicts = BACKGROUND.run(balancer.explain(plan))
    width = max(len(name) for name, _verdict in verdicts)
    said = [f"[{message.role}]\n{message.noted(piece_facts).rstrip()}\n" for message in plan.messages]
    order = [f"  {number}. {name.ljust(width)}  {verdict}" for number, (name, verdict) in enumerate(verdicts, 1)]
    if plan.shape is not None and plan.shape.schema:
        said.append(f"[schema]\n{write_json(dict(plan.shape.schema))}\n")
    notes = [f"note: {note}" for note in plan.notes]
    if plan.effort is not None:
        notes.append(f"effort: {plan.effort}")
    if plan.is_kept and (found := find(plan)) is not None:
        order = [f"  nobody: {found.backend} ({found.model}) gave the reply that is in the store"]
    return Output("\n".join([*said, *notes, f"would be asked, in this order (profile {balancer.name}):", *order]))


def attached(plan: Plan) -> Output | None:
    """Return what is sent beside the text of the prompt, small in a notebook; None where that is nothing."""
    pieces = tuple(attachments(plan.messages[-1:]))
    return Output("\n".join(map(piece_facts, pieces)), as_html(pieces)) if pieces else None


def check(reply: Reply) -> None:
    """Raise for a reply that is not the JSON that was asked for.

    Raises:
        ReplyFormatError: with the place.
    """
    if reply.read is not None and reply.read.problem is not None:
        raise reply.read.problem


def start(balancer: LoadBalancer, plan: Plan) -> Running[Reply, Arrival | Event]:
    """Prepare a prompt; whoever follows it writes its debug lines too, in their place among the text."""

    async def answer(watch: Watch) -> Reply:
        try:
            return await balancer.run(plan, watch)
        except AllBackendsFailed as failed:
            _name_keys(balancer, failed)
            raise

    return BACKGROUND.start(answer)


def _is_of_the_key(failure: Failure) -> bool:
    """Return whether a refusal may be due to the key; some services say that with a 400, in words alone."""
    said = failure.status in (401, 403) or "key" in failure.message.lower()
    return failure.kind is FailureKind.ACCESS and said


def _name_keys(balancer: LoadBalancer, failed: AllBackendsFailed) -> None:
    """Say where the key comes from that a backend has refused: it may be another than the user thinks of."""
    ended = {event.backend: event.failure for event in failed.trace if isinstance(event, AttemptFailed)}
    refused = {name for name, failure in ended.items() if _is_of_the_key(failure)}
    facts = facts_of(member for member in balancer.profile.members if member.name in refused)
    for number, reason in enumerate(failed.reasons):
        if reason.backend in facts and (place := facts[reason.backend].key.partition(f"{FOUND}: ")[2]):
            message = f"{reason.message} (its key: {place})"
            failed.headline = failed.headline.replace(reason.message, message)
            failed.reasons = (*failed.reasons[:number], reason._replace(message=message), *failed.reasons[number + 1 :])
