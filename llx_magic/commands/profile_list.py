"""What there is of profiles: the list, and one of them with its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, bullet_list
from llx_magic.commands.reading import Asked
from llx_magic.errors import ProfileError
from llx_magic.hosts import command
from llx_magic.observe.report import html_table, text_table
from llx_magic.profiles.codec import write_document
from llx_magic.profiles.document import SINGLE
from llx_magic.profiles.key_source import MISSING, NONE_NEEDED
from llx_magic.profiles.store import ProfileRow
from llx_magic.session.members import MemberFacts, facts_of
from llx_magic.text.screen import one_line, printable
from llx_magic.text.wording import listed

LONGEST_PROBLEM = 100
"""Characters of what is wrong with a profile in the list; loading it says all of it."""

LONGEST_KEY = 60
"""Characters of where a key is, or why it is not, in the list; ``show`` says all of it."""

EXAMPLES = "examples that come with llx_magic: "

_COLUMNS = ("profile", "kind", "members or model", "host", "key", "used as")


def overview(here: Here, _asked: Asked) -> Output:
    """Return the user's profiles, each with where it is and whether its key is there; of the examples the names.

    An example that is in use stands among the user's own.
    """
    session = here.session
    active = session.active.name if session.active else None
    rows = session.store.list()
    told = [row for row in rows if not row.shipped or row.is_default or row.name == active]
    facts = facts_of(member for row in told if row.profile is not None for member in row.profile.members)
    cells = [_cells(row, facts, active) for row in told]
    save = command("profile save model NAME --provider P --model M")
    none = f"there is no profile of yours yet: {save} makes one"
    text = [text_table(_COLUMNS, cells) if cells else none]
    html = [html_table(_COLUMNS, cells) if cells else f"<p>{escape(none)}</p>"]
    if shipped := [row.name for row in rows if row.shipped]:
        examples = f"{EXAMPLES}{listed(shipped)} ({command('profile show NAME')})"
        text += ["", examples]
        html.append(f"<p>{escape(examples)}</p>")
    return Output("\n".join(text), "".join(html))


def show(here: Here, asked: Asked) -> Output:
    """Return a profile's file without keys, and beside it each member with where it is and whether its key is there."""
    text = write_document(here.session.store.document(asked["profile"])).rstrip()
    try:
        members = here.session.store.load(asked["profile"]).members
    except ProfileError as problem:
        return Output(text, aside=f"it cannot be loaded: {problem}")
    lines = [_described(each) for each in facts_of(members).values()]
    return Output(text, aside=printable(lines[0] if len(lines) == 1 else bullet_list("members:", lines)))


def _cells(row: ProfileRow, facts: Mapping[str, MemberFacts], active: str | None) -> Sequence[str]:
    used = (("active", row.name == active), ("default", row.is_default), ("example", row.shipped))
    marks = ", ".join(word for word, holds in used if holds)
    if row.profile is None:
        return (row.name, row.kind, one_line(row.problem or "", LONGEST_PROBLEM), "", "", marks)
    members = [facts[member.name] for member in row.profile.members]
    if row.profile.policy == SINGLE:
        (member,) = members
        return (row.name, row.kind, row.detail, printable(member.host), _key(member), marks)
    unready = dict.fromkeys(member.name for member in members if not member.is_ready)
    return (row.name, row.kind, row.detail, "", f"{MISSING} for {', '.join(unready)}" if unready else "", marks)


def _key(member: MemberFacts) -> str:
    """Return what a list says of the key: of the ways that mend a missing one, the first."""
    if member.problem is not None:
        return one_line(f"cannot be asked: {member.problem}", LONGEST_KEY)
    return one_line(member.key.partition(", or ")[0], LONGEST_KEY)


def _described(member: MemberFacts) -> str:
    about = f"{member.name}: {member.provider} {member.model}"
    if member.problem is not None:
        return f"{about} cannot be asked: {member.problem}"
    key = "needs no key" if member.key == NONE_NEEDED else f"key {member.key}"
    return f"{about} at {member.host}, {key}" if member.host else about
