"""Profiles: ``%llx_profile`` and ``llx profile``."""

from __future__ import annotations

from llx_magic.commands import sources
from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.where import ANYWHERE
from llx_magic.core.routing import ROUTINGS
from llx_magic.keys.logins.login import AUTHS
from llx_magic.providers.provider import FORMS

_RUN = "llx_magic.commands.profiles"
_LIST = "llx_magic.commands.profile_list"
_TRUST = "llx_magic.commands.trust"

_NAME = Argument("name", "NAME")

_SAVE_BALANCER = Command(
    "loadbalancer",
    "Save several models behind a policy, with the settings in force.",
    run=f"{_RUN}:save_balancer",
    arguments=(
        _NAME,
        Argument(
            "policy", "POLICY", f"how the models are ordered: {' or '.join(ROUTINGS)}", complete=lambda _at: ROUTINGS
        ),
        Argument("members", "MEMBER", "model profiles, by priority", complete=sources.members, many=True),
    ),
    options=(
        Option(
            "--weight",
            "m=w",
            f"a member's weight, if not 1, for {' and '.join(name for name, each in ROUTINGS.items() if each.weighs)}",
            complete=sources.weights,
            repeats=True,
        ),
        Option("--set", "k=v", "a setting to save", complete=sources.settings, repeats=True),
    ),
)

_SAVE_MODEL = Command(
    "model",
    "Save one model at one provider.",
    run=f"{_RUN}:save_model",
    arguments=(_NAME,),
    options=(
        Option(
            "--provider",
            "P",
            "openai, anthropic, gemini, ollama, local, simulated …",
            complete=sources.providers,
            needed=True,
        ),
        Option("--model", "M", "the model's name at the provider", complete=sources.models, needed=True),
        Option("--base-url", "U", "where the provider is, if not at its usual address"),
        Option(
            "--key-env",
            "VAR",
            "the environment variable that holds the key",
            complete=sources.key_variables,
            group="key",
        ),
        Option("--key-name", "N", "the key's name in the keyring", complete=sources.key_names, group="key"),
        Option(
            "--key-file", "F", "the file that holds the key, readable by you alone", complete=sources.files, group="key"
        ),
        Option("--key", "KEY", "refused, since it would be kept in a notebook or a history", hidden=True, group="key"),
        Option(
            "--header",
            "n=v",
            "a header of each request; its value names a secret by its variable: x-api-key=${GATEWAY_KEY}",
            repeats=True,
        ),
        Option("--api-version", "V", "the version of Azure's service, for addresses that want one: 2024-10-21"),
        Option("--deployment", "D", "the name of the deployment at Azure, if not the model's"),
        Option("--form", "F", "how the service is spoken to, if not as usual", complete=lambda _at: FORMS),
        Option(
            "--auth", "A", f"what proves who asks: {', '.join(AUTHS)} (a key, or a login)", complete=lambda _at: AUTHS
        ),
        Option("--auth-scope", "S", "what a token of Entra or Google is for, if not the usual scope"),
        Option("--aws-region", "R", "the region of AWS, if not the one that AWS_REGION names"),
        Option("--aws-profile", "N", "the profile of AWS's own files, if not the usual one"),
        Option("--price-input", "X", "price of a million prompt tokens, in your currency"),
        Option("--price-output", "X", "price of a million completion tokens"),
        Option("--price-cached", "X", "price of a million prompt tokens that come from the cache, if it is another"),
        Option("--images", "YES", "whether the model takes images: true or false", choices=("true", "false")),
        Option("--files", "YES", "whether the model takes files: true or false", choices=("true", "false")),
        Option("--context-window", "N", "how many tokens the model takes, if its service does not list that"),
        Option("--shared", "URL", "the server of Redis through which kernels share what they meet at the model"),
        Option("--param", "k=v", "a parameter of the model", repeats=True),
        Option("--set", "k=v", "a setting to save", complete=sources.member_settings, repeats=True),
    ),
)

COMMAND = Command(
    actions=(
        Command("save", "Save a load balancer or a model as a profile.", actions=(_SAVE_BALANCER, _SAVE_MODEL)),
        Command(
            "load",
            "Make a profile the active one (in a notebook; a command line takes -p NAME).",
            run=f"{_RUN}:load",
            arguments=(Argument("profile", "NAME_OR_PATH", complete=sources.profiles),),
        ),
        Command(
            "test",
            "Ask each member for one word, and say which are up, with which key and model, and what mends the others. "
            "In a shell it ends with status 1 unless all are up.",
            run="llx_magic.commands.profile_test:test",
            arguments=(Argument("profile", "NAME_OR_PATH", complete=sources.profiles, optional=True),),
        ),
        Command("list", "List every profile, broken ones with what is wrong.", run=f"{_LIST}:overview"),
        Command(
            "show",
            "Show a profile's file, without keys.",
            run=f"{_LIST}:show",
            arguments=(Argument("profile", "NAME", complete=sources.profile_names),),
        ),
        Command(
            "delete",
            "Delete a profile (kept as .bak).",
            run=f"{_RUN}:delete",
            arguments=(Argument("profile", "NAME", complete=sources.own_profiles),),
        ),
        Command(
            "set-default",
            "Choose the profile that is used where none is loaded.",
            run=f"{_RUN}:set_default",
            arguments=(Argument("profile", "NAME", complete=sources.profile_names, optional=True, group="which"),),
            options=(Option("--clear", "", "have no default profile", group="which"),),
        ),
        Command(
            "trust",
            "Allow a profile from elsewhere to send the keys that it names to its host.",
            run=f"{_TRUST}:trust",
            arguments=(Argument("profile", "NAME_OR_PATH", complete=sources.profiles),),
        ),
        Command(
            "untrust",
            "Take that back, by the profile or by KEY@HOST.",
            run=f"{_TRUST}:untrust",
            arguments=(
                Argument("profile", "NAME_OR_PATH_OR_PAIR", complete=sources.trusted, optional=True, group="which"),
            ),
            options=(Option("--all", "", "all that has been allowed", group="which"),),
        ),
        Command("trusted", "List which key may go to which host.", run=f"{_TRUST}:trusted"),
    ),
    notes={ANYWHERE: "A profile from elsewhere gets a key of yours only after you have allowed it to go to its host."},
)
