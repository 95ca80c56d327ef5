"""``%llx_models``: what a service offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from llx_magic.backends.reading.listing import Listed
from llx_magic.commands import sources
from llx_magic.commands.command import Argument, Command
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output
from llx_magic.commands.reading import Asked
from llx_magic.commands.where import ANYWHERE
from llx_magic.engine.background import BACKGROUND, together
from llx_magic.errors import LlxError, ProfileError, UsageProblem
from llx_magic.observe.report import html_table, text_table
from llx_magic.profiles.direct import COLON
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.providers.find import find_provider, nearest_provider
from llx_magic.session.members import endpoint_of, provider_of
from llx_magic.session.model_lists import MODEL_LISTS
from llx_magic.session.session import Session
from llx_magic.text.screen import printable
from llx_magic.units import number, plural

COMMAND = Command(
    run="llx_magic.commands.models:run",
    arguments=(
        Argument(
            "of",
            "PROVIDER_OR_PROFILE",
            "whose models; without it, those of the profile in force",
            complete=sources.services,
            optional=True,
        ),
        Argument("part", "PART", "list only names that contain this", optional=True),
    ),
    notes={
        ANYWHERE: "The service is asked with the key that a prompt would use. What it says is kept for a day, without "
        "the key, and completes --model and -p PROVIDER:"
    },
)

_COLUMNS = ("model", "window", "longest reply", "used by")


class _Service(NamedTuple):
    """A service, the members that are asked there, and what it offers or why that is not known."""

    title: str
    members: tuple[ModelProfile, ...]
    models: tuple[Listed, ...] = ()
    problem: str = ""


def run(here: Here, asked: Asked) -> Output:
    """List the models of each service.

    Raises:
        UsageProblem: for a name that is neither a profile nor a provider.
        LlxError: where no service could say what it offers.
    """
    profile = _profile(here.session, asked.get("of"))
    here.session.consent.seek(profile)
    services = BACKGROUND.run(together(_asked(each) for each in _services(profile)))
    if all(each.problem for each in services):
        raise LlxError("; ".join(f"{each.title}: {each.problem}" for each in services))
    shown = [each._replace(models=_with_part(each.models, asked.get("part") or "")) for each in services]
    return Output("\n\n".join(map(_as_text, shown)), "".join(map(_as_html, shown)))


def _profile(session: Session, name: str | None) -> Profile:
    if name is None:
        return session.in_force()[0].profile
    known = find_provider(name.removesuffix(COLON))
    try:
        return session.store.load(name)
    except ProfileError as problem:
        if known is not None:
            return Profile.single(ModelProfile(known.name, known.name, _ANY))
        if "unknown profile" in str(problem):
            near = nearest_provider(name)
            meant = f"; did you mean the provider {near}?" if near else "; the Tab key completes both"
            raise UsageProblem(f"{problem}; nor is it a provider{meant}") from None
        raise


_ANY = "any"
"""Stands for the model where only the provider is named."""


def _services(profile: Profile) -> Iterator[_Service]:
    found: dict[str, list[ModelProfile]] = {}
    for member in {member.name: member for member in profile.members}.values():
        endpoint = endpoint_of(member)
        found.setdefault(endpoint.base_url if endpoint else provider_of(member).name, []).append(member)
    for members in found.values():
        endpoint, provider = endpoint_of(members[0]), provider_of(members[0]).name
        yield _Service(f"{provider} at {endpoint.label}" if endpoint else provider, tuple(members))


async def _asked(service: _Service) -> _Service:
    try:
        models = await MODEL_LISTS.ask(service.members[0])
    except LlxError as problem:
        return service._replace(problem=str(problem))
    return service._replace(models=models)


def _with_part(models: Sequence[Listed], part: str) -> tuple[Listed, ...]:
    return tuple(each for each in sorted(models) if part.casefold() in each.name.casefold())


def _title(service: _Service) -> str:
    return printable(f"{service.title}: {service.problem or plural(len(service.models), 'model')}")


def _rows(service: _Service) -> list[tuple[str, ...]]:
    used = {each.model: each.name for each in service.members if each.model != _ANY}
    return [(each.name, _tokens(each.window), _tokens(each.output), used.get(each.name, "")) for each in service.models]


def _tokens(count: int | None) -> str:
    return "" if count is None else number(count)


def _as_text(service: _Service) -> str:
    rows = _filled(_rows(service))
    return f"{_title(service)}\n{text_table(*rows)}" if service.models else _title(service)


def _as_html(service: _Service) -> str:
    rows = _filled(_rows(service))
    return html_table(*rows, caption=_title(service)) if service.models else f"<p>{escape(_title(service))}</p>"


def _filled(rows: list[tuple[str, ...]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns in which something stands, and the rows with these alone."""
    kept = [at for at in range(len(_COLUMNS)) if at == 0 or any(row[at] for row in rows)]
    return [_COLUMNS[at] for at in kept], [[row[at] for at in kept] for row in rows]
