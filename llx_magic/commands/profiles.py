"""``%llx_profile`` and ``llx profile``: save, load, list, show, delete, and the default."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from llx_magic.commands import profile_list, trust
from llx_magic.commands.grammar import Grammar, pairs, shell_words
from llx_magic.commands.output import Output, bullet_list
from llx_magic.core.routing import ROUTINGS
from llx_magic.errors import UsageProblem
from llx_magic.files.strictjson import DocumentProblem, check_depth
from llx_magic.key_shapes import (
    looks_like_a_key,
    might_be_a_key,
    not_repeated,
    path_looks_like_a_key,
)
from llx_magic.keys.keychain import Keychain, session_key_names
from llx_magic.keys.redaction import LIVE_KEYS, named_secret
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import SINGLE, Document, LoadBalancerProfile, ModelProfile
from llx_magic.profiles.headers import typed_header
from llx_magic.profiles.key_source import MISSING
from llx_magic.profiles.store import SaveResult
from llx_magic.providers.table import find_provider
from llx_magic.session import consent, wiring
from llx_magic.session.consent import Request
from llx_magic.session.members import facts_of
from llx_magic.session.session import Session
from llx_magic.settings.declaration import SETTINGS
from llx_magic.settings.layers import Values, read_values
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import shown_path

_POLICIES = " or ".join(ROUTINGS)

_USAGE = """Save, load and look after profiles.

  {0} save loadbalancer NAME POLICY MEMBER... [--set k=v]...
                      POLICY is {policies}; the settings in force are saved
  {0} save model NAME --provider P --model M [--base-url U] [--key-env VAR | --key-name N | --key-file F]
                      [--header 'n=v']... [--param k=v]... [--set k=v]... [--price-input X --price-output X]
                      a header's value names a secret by its variable: x-api-key=${{GATEWAY_KEY}};
                      prices are per million tokens, in your currency
  {0} list
  {0} show NAME
  {0} delete NAME
  {0} set-default NAME | set-default --clear
  {0} trust NAME_OR_PATH | untrust NAME_OR_PATH | untrust KEY@HOST | untrust --all | trusted
                      a profile from elsewhere gets a key of yours only after you have allowed it to go to its host
"""

_ONLY_IN_A_SESSION = "  {0} load NAME_OR_PATH\n"


def grammar(prog: str = "%llx_profile") -> Grammar:
    """Return the grammar of the command."""
    usage = _USAGE + _ONLY_IN_A_SESSION if _in_notebook(prog) else _USAGE
    parser = Grammar(prog, usage.format(prog, policies=_POLICIES))
    _save_grammar(parser.add_action("save", "Save a load balancer or a model as a profile."), prog)
    load = parser.add_action("load", "Make a profile the active one (in a notebook; a command line takes -p NAME).")
    load.add_argument("profile", metavar="NAME_OR_PATH")
    parser.add_action("list", "List every profile, broken ones with what is wrong.")
    for action, what in (
        ("show", "Show a profile's file, without keys."),
        ("delete", "Delete a profile (kept as .bak)."),
    ):
        parser.add_action(action, what).add_argument("profile", metavar="NAME")
    default = parser.add_action("set-default", "Choose the profile that is used where none is loaded.")
    default.add_argument("profile", metavar="NAME", nargs="?")
    default.add_argument("--clear", action="store_true", help="have no default profile")
    trust_ = parser.add_action("trust", "Allow a profile from elsewhere to send the keys that it names to its host.")
    trust_.add_argument("profile", metavar="NAME_OR_PATH")
    untrust = parser.add_action("untrust", "Take that back.")
    untrust.add_argument("profile", metavar="NAME_OR_PATH_OR_PAIR", nargs="?")
    untrust.add_argument("--all", action="store_true", dest="everything", help="all that has been allowed")
    parser.add_action("trusted", "List which key may go to which host.")
    return parser


def run(session: Session, line: str, prog: str = "%llx_profile") -> Output:
    """Carry out the command.

    Raises:
        UsageProblem: for words that make no sense, or a profile that is missing, broken or not allowed.
    """
    return run_words(session, shell_words(line), prog)


def run_words(session: Session, words: list[str], prog: str = "%llx_profile") -> Output:
    """Carry out the command, its line split into words already."""
    asked = grammar(prog).read(words)
    asked.prog = prog
    actions: dict[str, Callable[[Session, argparse.Namespace], Output]] = {
        "save": _save,
        "load": _load,
        "list": profile_list.overview,
        "show": profile_list.show,
        "delete": _delete,
        "set-default": _set_default,
        "trust": lambda session, asked: trust.trust(session, asked.profile, lasts=_in_notebook(asked.prog)),
        "untrust": lambda session, asked: trust.untrust(session, asked.profile, everything=asked.everything),
        "trusted": lambda session, _asked: trust.trusted(session),
    }
    if asked.action is None:
        return Output(grammar(prog).format_help().rstrip())
    return actions[asked.action](session, asked)


def _in_notebook(prog: str) -> bool:
    return prog.startswith("%")


def _key_command(prog: str) -> str:
    return "%llx_key" if _in_notebook(prog) else "llx key"


def _save_grammar(parser: Grammar, prog: str) -> None:
    balancer = parser.add_action("loadbalancer", "Save several models behind a routing.", "kind")
    balancer.add_argument("name", metavar="NAME")
    balancer.add_argument("policy", metavar="POLICY", help=_POLICIES)
    balancer.add_argument("members", metavar="MEMBER", nargs="*", help="model profiles, by priority")
    model = parser.add_action("model", "Save one model at one provider.", "kind")
    model.add_argument("name", metavar="NAME")
    model.add_argument("--provider", required=True, metavar="P", help="openai, groq, ollama, local, simulated …")
    model.add_argument("--model", required=True, metavar="M", help="the model's name at the provider")
    model.add_argument("--base-url", metavar="U", help="where the provider is, if not at its usual address")
    key = model.add_mutually_exclusive_group()
    key.add_argument("--key-env", metavar="VAR", help="the environment variable that holds the key")
    key.add_argument(
        "--key-name", metavar="N", help=f"the key's name in the keyring ({_key_command(prog).replace('%', '%%')} set N)"
    )
    key.add_argument("--key-file", metavar="F", help="the file that holds the key, readable by you alone")
    key.add_argument("--key", metavar="", help=argparse.SUPPRESS)
    model.add_argument(
        "--header", action="append", default=[], metavar="n=v", dest="headers", help="a header of each request"
    )
    model.add_argument("--price-input", metavar="X", help="price of a million prompt tokens")
    model.add_argument("--price-output", metavar="X", help="price of a million completion tokens")
    model.add_argument("--param", action="append", default=[], metavar="k=v", help="a parameter of the model")
    for each in (balancer, model):
        each.add_argument("--set", action="append", default=[], metavar="k=v", dest="sets", help="a setting to save")


def _save(session: Session, asked: argparse.Namespace) -> Output:
    if looks_like_a_key(asked.name):
        raise UsageProblem(
            f"{asked.prog} save takes the profile's name first; what was given looks like a key{not_repeated()}"
        )
    settings = read_values(pairs(asked.sets, "--set"))
    document: Document
    if asked.kind == "loadbalancer":
        document = session.balancer_document(asked.name, asked.policy, tuple(asked.members), settings)
    else:
        document = _model_document(asked, settings, session.store.state_folder)
    wiring.check_document(document)
    result = session.store.save(document)
    remarks = _remarks(session, document, result)
    if said := session.take_up_saved(document.name):
        remarks.append(said)
    return Output(_saved(document, result, remarks))


def _remarks(session: Session, document: Document, result: SaveResult) -> list[str]:
    if isinstance(document, LoadBalancerProfile):
        return _overridden(session, document, result)
    facts = facts_of([document])[document.name]
    where = f"{facts.provider} at {facts.host}" if facts.host else facts.provider
    return [f"{where}, key {facts.key}"] if facts.key.startswith(MISSING) else []


def _overridden(session: Session, balancer: LoadBalancerProfile, result: SaveResult) -> list[str]:
    """Say of each setting of a member that it does not count, since the load balancer has another value."""
    said = []
    for name in dict.fromkeys(balancer.members):
        member = session.store.document(name)
        own = member.member_settings if isinstance(member, ModelProfile) else {}
        for key, value in own.items():
            if key in balancer.settings and balancer.settings[key] != value:
                show = SETTINGS[key].show
                said.append(
                    f"{key} of {name} ({show(value)}) is overridden by {show(balancer.settings[key])}; "
                    f"to keep it, take {key} out of {shown_path(result.path)}"
                )
    return said


def _model_document(asked: argparse.Namespace, settings: Values, state_folder: Path) -> ModelProfile:
    if asked.key is not None:
        raise UsageProblem(
            f"a key does not belong in a cell or a command: store it with {_key_command(asked.prog)} set {asked.name} "
            f"and give --key-name {asked.name}, or give --key-env VAR or --key-file FILE"
        )
    _refuse_keys_as_names(asked, Keychain(state_folder))
    known = find_provider(asked.provider)
    if path_looks_like_a_key(asked.key_file or ""):  # before it is made the path of a file in this folder
        raise UsageProblem(f"--key-file must be the path of a file; what was given looks like a key{not_repeated()}")
    connection = Connection(
        base_url=asked.base_url,
        auth_key_env=asked.key_env,
        auth_key_name=asked.key_name,
        auth_keyfile=_absolute(asked.key_file),
        headers=tuple(typed_header(each) for each in asked.headers),
        price_input=_price("--price-input", asked.price_input),
        price_output=_price("--price-output", asked.price_output),
    )
    return ModelProfile(
        asked.name,
        known.name if known is not None else asked.provider.strip(),
        asked.model,
        params=read_params(asked.param),
        settings=settings,
        connection=connection,
    )


def read_params(given: list[str]) -> dict[str, JsonValue]:
    """Return ``name=value`` words with each value read as JSON where it is JSON, else as text.

    Raises:
        UsageProblem: also for a key or password, which would be kept in the notebook and in a profile in clear, and for
            JSON that Python cannot hold.
    """
    params = {name: _json_or_text(name, value) for name, value in pairs(given, "--param").items()}
    if name := named_secret(params):
        raise UsageProblem(
            f"--param {name}: a key or password does not belong in a cell or a command, and no profile holds one; "
            "save the profile with --key-env, --key-name or --key-file, or with --header 'NAME=${VARIABLE}'"
        )
    return params


def _refuse_keys_as_names(asked: argparse.Namespace, keychain: Keychain) -> None:
    """Refuse what was given as the name of a variable or of a key and may be the key itself.

    Raises:
        UsageProblem: without repeating it; a name passes where something is known by it.
    """
    stored = {*session_key_names(), *keychain.names()} if asked.key_name else ()
    for option, name, is_known, how in (
        ("--key-env", asked.key_env, bool(os.environ.get(asked.key_env or "")), "set the variable"),
        ("--key-name", asked.key_name, asked.key_name in stored, f"type {_key_command(asked.prog)} set NAME"),
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


def _absolute(path: str | None) -> str | None:
    """Return the path as it will still be right from another working folder; ``~`` stays as it is."""
    return path if path is None or path.startswith("~") else str(Path(path).absolute())


def _price(option: str, given: str | None) -> float | None:
    if given is None:
        return None
    try:
        price = float(given)
    except ValueError:
        price = -1.0
    if not 0 <= price < float("inf"):
        raise UsageProblem(f"{option} must be a price per million tokens, 0 or more, got {given!r}")
    return price


def _saved(document: Document, result: SaveResult, remarks: list[str]) -> str:
    if result.backup is not None:
        head = f"saved {document.name}; the previous file is {result.backup.name}"
    elif result.is_new:
        head = f"saved {document.name}"
    else:
        head = f"{document.name} was saved like this before: nothing has changed"
    return bullet_list(head, [*result.changes, *remarks])


def _load(session: Session, asked: argparse.Namespace) -> Output:
    if not _in_notebook(asked.prog):
        raise UsageProblem(
            f"{asked.prog} load would last no longer than this command: give -p {asked.profile} with a prompt, "
            f"or type {asked.prog} set-default {asked.profile}"
        )
    loaded = session.load(asked.profile)
    profile = loaded.balancer.profile
    session.consent.seek(profile)
    what = f"{profile.policy}, {', '.join(loaded.balancer.members)}"
    if profile.policy == SINGLE:
        what = f"{profile.members[0].model} at {profile.members[0].provider}"
    remarks = [*consent.lines(profile), *(f"note: {note}" for note in loaded.notes)]
    if waiting := consent.pending(profile):
        remarks.append(_how_to_allow(asked.profile, waiting))
    if loaded.dropped:
        remarks.insert(0, f"the profile replaces this session's {', '.join(loaded.dropped)}")
    return Output(bullet_list(f"profile {profile.name} is active: {what}", remarks))


def _how_to_allow(named: str, waiting: Sequence[Request]) -> str:
    members = ", ".join(dict.fromkeys(each.member for each in waiting))
    quoted = f'"{named}"' if " " in named else named
    return f"passed over until you allow it: {members}; type %llx_profile trust {quoted}"


def _delete(session: Session, asked: argparse.Namespace) -> Output:
    result = session.store.delete(asked.profile)
    remarks = [f"{name} has it as a member and cannot be loaded now" for name in result.used_by]
    if result.was_default:
        remarks.append("it was the default profile; there is none now")
    return Output(bullet_list(f"deleted {asked.profile}; its file is kept as {result.backup.name}", remarks))


def _set_default(session: Session, asked: argparse.Namespace) -> Output:
    if asked.clear == (asked.profile is not None):
        raise UsageProblem("set-default takes the name of a profile, or --clear")
    if asked.clear:
        session.store.clear_default()
        return Output("there is no default profile now")
    session.store.set_default(asked.profile)
    return Output(f"{asked.profile} is the default profile: it is used where none is loaded")
