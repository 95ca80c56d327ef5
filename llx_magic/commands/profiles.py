"""What ``%llx_profile`` and ``llx profile`` do: save, load, delete, and the default."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from llx_magic.commands.connections import connection_of
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, bullet_list
from llx_magic.commands.reading import Asked
from llx_magic.core.routing import FAILOVER, ROUTINGS, without_weights
from llx_magic.errors import UsageProblem, brief
from llx_magic.files.folders import shipped_profile
from llx_magic.files.strictjson import DocumentProblem, check_depth
from llx_magic.hosts import command
from llx_magic.key_shapes import looks_like_a_key, might_be_a_key, not_repeated, typed_key
from llx_magic.keys.keychain import Keychain, session_key_names
from llx_magic.keys.names import names_a_secret
from llx_magic.keys.redaction import LIVE_KEYS, named_secret
from llx_magic.profiles.document import SINGLE, LoadBalancerProfile, ModelProfile, Profile
from llx_magic.profiles.headers import typed_header
from llx_magic.profiles.key_source import MISSING
from llx_magic.profiles.store import SaveResult
from llx_magic.providers.find import find_provider
from llx_magic.session import consent, wiring
from llx_magic.session.members import facts_of
from llx_magic.session.session import Session
from llx_magic.settings.declaration import DEFAULTS, SETTINGS
from llx_magic.settings.layers import Values, read_values
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import shown_path


def save_balancer(here: Here, asked: Asked) -> Output:
    """Save several models behind a policy.

    Raises:
        UsageProblem: for a name, policy, setting or member that cannot be; nothing is written.
    """
    name, settings = _name(asked), read_values(pairs(asked.all("set"), "--set"))
    policy, members, weights = asked["policy"], tuple(asked.all("members")), _weights(asked)
    if policy not in ROUTINGS and here.is_profile(policy):
        typed = command(f"profile save loadbalancer {name} {FAILOVER.name} {' '.join((policy, *members))}")
        raise UsageProblem(f"{policy} is a profile, and a policy stands before the profiles; type {typed}")
    if weights and (idle := without_weights(policy)):
        raise UsageProblem(f"--weight: {idle}")
    document = here.session.balancer_document(name, policy, members, settings)
    result = here.session.store.save(replace(document, weights=weights))
    places = Counter(members).items()
    remarks = [f"{name} has {count} places, and is asked again in each" for name, count in places if count > 1]
    remarks += [*_taken_along(here.session, settings), *_overridden(here.session, document, result)]
    if problem := wiring.clocks_problem(_models(here.session, document)):
        remarks.append(f"{name} cannot be asked yet: {problem}")
    return _saved(here.session, name, result, remarks)


def _weights(asked: Asked) -> dict[str, float]:
    """Return the weights that were given, by member.

    Raises:
        UsageProblem: for what is no number.
    """
    weights = {}
    for name, word in pairs(asked.all("weight"), "--weight").items():
        try:
            weights[name] = int(word) if word.isdecimal() else float(word)
        except ValueError:
            raise UsageProblem(f"--weight {name} must be a number above 0, got {brief(word)}") from None
    return weights


def save_model(here: Here, asked: Asked) -> Output:
    """Save one model at one provider.

    Raises:
        UsageProblem: also for a key where a name belongs; it is not repeated, and nothing is written.
    """
    name, settings = _name(asked), read_values(pairs(asked.all("set"), "--set"))
    if "key" in asked:
        raise UsageProblem(typed_key(name))
    _refuse_keys_as_names(asked, Keychain(here.session.store.state_folder))
    known = find_provider(asked["provider"])
    connection = connection_of(asked.get, tuple(typed_header(each) for each in asked.all("header")))
    provider = known.name if known is not None else asked["provider"].strip()
    params = read_params(asked.all("param"))
    model = ModelProfile(name, provider, asked["model"], params=params, settings=settings, connection=connection)
    wiring.check(Profile.single(model))  # what could not be asked anything is not saved
    result, facts = here.session.store.save(model), facts_of([model])[name]
    where = f"{facts.provider} at {facts.host}" if facts.host else facts.provider
    remarks = [f"{where}, key {facts.key}"] if facts.key.startswith(MISSING) else []
    return _saved(here.session, name, result, remarks)


def _name(asked: Asked) -> str:
    if looks_like_a_key(asked["name"]):
        what = asked.prog.removesuffix(" model").removesuffix(" loadbalancer")
        raise UsageProblem(f"{what} takes the profile's name first; what was given looks like a key{not_repeated()}")
    return asked["name"]


def _saved(session: Session, name: str, result: SaveResult, remarks: list[str]) -> Output:
    """Say what was saved; from now on the profile in use counts as it was saved."""
    if result.is_new and shipped_profile(name) is not None:
        back = command(f"profile delete {name}")
        remarks.append(f"it stands in place of the example {name} that comes with llx_magic; {back} brings that back")
    if said := session.take_up_saved(name):
        remarks.append(said)
    if result.backup is not None:
        head = f"saved {name}; the previous file is {result.backup.name}"
    elif result.is_new:
        head = f"saved {name}"
    else:
        head = f"{name} was saved like this before: nothing has changed"
    return Output(bullet_list(head, [*result.changes, *remarks]))


def _taken_along(session: Session, typed: Values) -> list[str]:
    """Name the settings that were not typed with the command: those in force that are not the defaults."""
    taken = [
        f"{key} {SETTINGS[key].show(found.value)} (from: {found.origin(session.profile_name)})"
        for key, found in session.resolved_here().items()
        if found.value != DEFAULTS[key] and key not in typed
    ]
    said = f"saved with the settings in force: {', '.join(taken)}; --set KEY=VALUE saves another value"
    return [said] if taken else []


def _overridden(session: Session, balancer: LoadBalancerProfile, result: SaveResult) -> list[str]:
    """Say of each setting of a member that it does not count, since the load balancer has another value."""
    said = []
    for member in _models(session, balancer):
        for key, value in member.member_settings.items():
            if key in balancer.settings and balancer.settings[key] != value:
                show = SETTINGS[key].show
                said.append(
                    f"{key} of {member.name} ({show(value)}) is overridden by {show(balancer.settings[key])}; "
                    f"to keep it, take {key} out of {shown_path(result.path)}"
                )
    return said


def _models(session: Session, balancer: LoadBalancerProfile) -> list[ModelProfile]:
    found = [session.store.document(name) for name in dict.fromkeys(balancer.members)]
    return [each for each in found if isinstance(each, ModelProfile)]


def read_params(given: list[str]) -> dict[str, JsonValue]:
    """Return ``name=value`` words with each value read as JSON where it is JSON, else as text.

    Raises:
        UsageProblem: also for a key or password, which would be kept in the notebook and in a profile in clear, and for
            JSON that Python cannot hold.
    """
    params = {name: _json_or_text(name, value) for name, value in pairs(given, "--param").items()}
    if name := named_secret(params):
        raise UsageProblem(f"--param {name}: {typed_key()} (a header of each request: --header 'NAME=${{VARIABLE}}')")
    return params


def _refuse_keys_as_names(asked: Asked, keychain: Keychain) -> None:
    """Refuse what was given as the name of a variable or of a key and may be the key itself.

    Raises:
        UsageProblem: without repeating it; a name passes where something is known by it.
    """
    variable, key_name = asked.get("key-env"), asked.get("key-name")
    stored = {*session_key_names(), *keychain.names()} if key_name else ()
    for option, name, is_known, how in (
        ("--key-env", variable, bool(os.environ.get(variable or "")), "set the variable"),
        ("--key-name", key_name, key_name in stored, f"type {command('key set NAME')}"),
    ):
        if name and (LIVE_KEYS.holds(name) or (might_be_a_key(name) and not is_known)):
            raise UsageProblem(
                f"{option} takes a name; what was given looks like a key and is not repeated: {how} first, "
                "if it is the name"
            )


def _json_or_text(name: str, value: str) -> JsonValue:
    try:
        found: JsonValue = json.loads(value)
        check_depth(value)
    except json.JSONDecodeError:
        return value
    except (RecursionError, DocumentProblem):
        raise UsageProblem(f"--param {name} is nested too deeply to be read") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise UsageProblem(f"--param {name} holds a number of too many digits to be read") from None
    return found


def load(here: Here, asked: Asked) -> Output:
    """Make a profile the active one of a notebook.

    Raises:
        UsageProblem: on a command line, and for a profile that cannot be used.
    """
    session, named = here.session, asked["profile"]
    if not here.lasts:
        raise UsageProblem(
            f"{asked.prog} would last no longer than this command: give -p {named} with a prompt, "
            f"or type llx profile set-default {named}"
        )
    loaded = session.load(named)
    profile = loaded.balancer.profile
    session.consent.seek(profile)
    what = f"{', '.join(loaded.balancer.members)} ({profile.policy})"
    if profile.policy == SINGLE:
        what = f"{profile.members[0].model} at {profile.members[0].provider}"
    remarks = [*consent.lines(profile), *(f"note: {note}" for note in loaded.notes)]
    if waiting := consent.pending(profile):
        members = ", ".join(dict.fromkeys(each.member for each in waiting))
        trust = command(f'profile trust "{named}"' if " " in named else f"profile trust {named}")
        remarks.append(f"passed over until you allow it: {members}; type {trust}")
    if loaded.dropped:
        remarks.insert(0, f"the profile replaces this session's {', '.join(loaded.dropped)}")
    return Output(bullet_list(f"profile {profile.name} is active: {what}", remarks))


def delete(here: Here, asked: Asked) -> Output:
    """Delete a profile; its file is kept as .bak. The errors are those of the store."""
    result = here.session.store.delete(asked["profile"])
    remarks = [f"{name} has it as a member and cannot be loaded now" for name in result.used_by]
    if result.was_default:
        remarks.append("it was the default profile; there is none now")
    if shipped_profile(asked["profile"]) is not None:
        remarks.append("the example of that name, which comes with llx_magic, is there again")
    return Output(bullet_list(f"deleted {asked['profile']}; its file is kept as {result.backup.name}", remarks))


def set_default(here: Here, asked: Asked) -> Output:
    """Choose the profile that is used where none is loaded, or none."""
    name = asked.get("profile")
    if ("clear" in asked) == (name is not None):
        raise UsageProblem("set-default takes the name of a profile, or --clear")
    if name is None:
        here.session.store.clear_default()
        return Output("there is no default profile now")
    here.session.store.set_default(name)
    return Output(f"{name} is the default profile: it is used where none is loaded")


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Return ``key=value`` words as a mapping.

    Raises:
        UsageProblem: for a word without ``=`` or without a key, and for a key of a service, which is not repeated.
    """
    found = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageProblem(f"{option} takes key=value, got {word!r}")
        if option == "--set" and names_a_secret(key):
            raise UsageProblem(f"there is no setting {key.strip()}; {typed_key()}")
        found[key.strip()] = value
    return found
