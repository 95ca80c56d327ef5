"""Tells of each member of a profile: its provider, its host, whether its key is there, and why it cannot be asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.keys import KeyReader
from llx_magic.backends.wires.wire import Wire, wire_named
from llx_magic.consent.access import Access
from llx_magic.consent.pairs import origin
from llx_magic.core.message import Takes
from llx_magic.engine.background import BACKGROUND
from llx_magic.errors import KeyMissing
from llx_magic.keys.logins import entra, google
from llx_magic.keys.logins.aws import AwsLogin, usual_region
from llx_magic.keys.logins.entra import EntraLogin
from llx_magic.keys.logins.google import GoogleLogin
from llx_magic.keys.logins.login import Login
from llx_magic.keys.secret import Secret
from llx_magic.profiles.credential import ProfileCredential
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.profiles.headers import HeaderSource
from llx_magic.profiles.key_source import MISSING, ProfileKeySource
from llx_magic.profiles.login_source import LoginSource
from llx_magic.providers.find import find_provider, provider_at, unknown_provider
from llx_magic.providers.provider import FORMS, OPENAI, Provider

_WITHOUT_ADDRESS = ("simulated", "local")
"""Providers that are in this process or started by it."""

_LONGEST_READING = 2.0
"""How long in seconds to wait for a keyring when profiles are only listed."""


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A member as a row of a list.

    ``host`` and ``key`` are empty for a model that runs in this process or was started by it. ``key`` begins with
    ``found``, ``missing`` or ``none needed``, followed by where or why. ``problem`` says why the member cannot be
    asked at all.
    """

    name: str
    provider: str
    model: str
    host: str
    key: str
    problem: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked, as far as can be told without asking."""
        return self.problem is None and not self.key.startswith(MISSING)


def provider_of(member: ModelProfile) -> Provider:
    """Return the member's provider; an unknown one with an address is assumed to speak OpenAI's format."""
    known = find_provider(member.provider)
    return known or Provider(name=member.provider, base_url=None, key_required=False)


def endpoint_of(member: ModelProfile) -> Endpoint | None:
    """Return where the member is, or None where that is no address or not known."""
    provider = provider_of(member)
    named = member.connection
    base_url = named.base_url or provider.base_url or provider.url_in(named.aws_region or usual_region())
    if base_url is None or provider.name in _WITHOUT_ADDRESS:
        return None
    form = _named_form(member)
    if form is not None:
        base_url = provider.compatible_url(base_url) if form == OPENAI else provider.root_url(base_url)
    return Endpoint(base_url=base_url, model=member.model)


def wire_of(member: ModelProfile, endpoint: Endpoint) -> Wire:
    """Return the form in which the member is asked: the one that its profile names, else that of its address."""
    url, provider = endpoint.base_url, provider_of(member)
    keys = {**member.connection.texts, "provider": provider.name}
    wire = wire_named(_named_form(member) or provider.form_at(url)).configured(url, keys)
    return wire.accented((provider_at(url) or provider).accent)  # whose host it is counts more than its name


def takes_of(member: ModelProfile) -> Takes:
    """Return what the member can be sent beside text: what its form has words for, unless its profile says no.

    A simulated model takes what its profile says, and the embedded model takes text alone.
    """
    asked, endpoint = member.connection, endpoint_of(member)
    if endpoint is None:
        can = provider_of(member).name == "simulated"
        return Takes(can and asked.images is True, can and asked.files is True)
    wire = wire_of(member, endpoint)
    return Takes(wire.takes_images and asked.images is not False, wire.takes_files and asked.files is not False)


def _named_form(member: ModelProfile) -> str | None:
    form = member.connection.form
    return None if form is None else FORMS[form]


def credential_of(member: ModelProfile, endpoint: Endpoint) -> ProfileCredential:
    """Return what reads the member's key and headers."""
    known = provider_of(member)
    at_home = known.own_host(endpoint.base_url)
    shown_in = {"authorization", *(name.lower() for name in wire_of(member, endpoint).proof(Secret("")))}
    own_way = any(each.name.lower() in shown_in for each in member.connection.headers)
    access = Access(member.foreign, origin(endpoint.base_url))
    login = _login_of(member, known.auth if at_home and not own_way else "bearer")
    key = ProfileKeySource(
        member,
        known.key_variable,
        needs_key=known.key_required and at_home and not own_way and login is None,
        own_host=at_home,
        is_local=endpoint.is_loopback,
        access=access,
    )
    instead = member.connection.auth is not None
    source = None if login is None else LoginSource(member.name, login, access, instead, key.usual_variable)
    return ProfileCredential(key, HeaderSource(member.name, member.connection.all_headers, access), source)


def _login_of(member: ModelProfile, usual: str) -> Login | None:
    """Return the login that the profile asks for, or else the ``usual`` one at the provider's own host, if any.

    So AWS's credentials go to the hosts of AWS's own service, unless the profile itself says ``sigv4``.
    """
    named = member.connection
    match named.auth or usual:
        case "sigv4":
            return AwsLogin(named.aws_profile, named.aws_region)
        case "entra":
            return EntraLogin(named.auth_scope or entra.USUAL_SCOPE)
        case "google":
            return GoogleLogin(named.auth_scope or google.USUAL_SCOPE)
    return None


def member_problem(member: ModelProfile) -> str | None:
    """Return why a member cannot be asked, apart from its key, or None. The other members can still be asked."""
    if member.connection.base_url is not None:
        return None
    known = find_provider(member.provider)
    if known is None:
        return unknown_provider(member.provider)
    if known.problem:
        return f"provider {known.name} {known.problem}"
    if known.regional and endpoint_of(member) is None:
        return f"provider {known.name} needs an aws-region (or the variable AWS_REGION), or a base-url"
    needs_address = known.base_url is None and not known.regional and known.name not in _WITHOUT_ADDRESS
    return f"provider {known.name} needs a base-url" if needs_address else None


def limits_of_rows(members: Iterable[ModelProfile]) -> dict[str, int]:
    """Return, by their names, how many rows at once those members are sent at most whose providers are known to."""
    limits = {member.name: provider_of(member).rows_at_once for member in members}
    return {name: most for name, most in limits.items() if most is not None}


def remarks(profile: Profile) -> tuple[str, ...]:
    """Return what a user should know of the members' providers when the profile is loaded, a line each."""
    said = dict[str, None]()
    for member in profile.members:
        if problem := member_problem(member):
            said[f"{member.name} is passed over: {problem}"] = None
        elif find_provider(member.provider) is None and member.connection.form is None:
            said[f"{member.name}: provider {member.provider!r} is not known; taken for OpenAI-compatible"] = None
        if member.connection.shared is not None and member.foreign is not None:
            said[f"{member.name}: shared is not used, since its profile is from elsewhere; set LLX_SHARED"] = None
    return tuple(said)


def facts_of(members: Iterable[ModelProfile]) -> dict[str, MemberFacts]:
    """Return what is known of each member by its name; keys are looked for, and not kept.

    A keyring or a login that does not answer is waited for once, for two seconds.
    """
    patience = _LONGEST_READING
    facts: dict[str, MemberFacts] = {}
    for member in {member.name: member for member in members}.values():
        endpoint, problem, key = endpoint_of(member), member_problem(member), ""
        if endpoint is not None and problem is None:
            try:
                key = _described(credential_of(member, endpoint), patience)
            except KeyMissing as silent:
                key, patience = f"{MISSING}: {silent}", 0.0
        host = "" if endpoint is None else endpoint.label
        facts[member.name] = MemberFacts(member.name, provider_of(member).name, member.model, host, key, problem)
    return facts


def _described(credential: ProfileCredential, patience: float) -> str:
    """Say whether the member's key and the secrets of its headers are there.

    Raises:
        KeyMissing: where the keyring or the login does not answer in time.
    """
    if not credential.may_block:
        return credential.describe()
    reader = KeyReader(credential.describe, lambda: True, lambda: credential.silence, patience)
    return BACKGROUND.run(reader.read())
