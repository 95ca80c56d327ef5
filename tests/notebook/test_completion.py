"""What is offered while a magic is typed, asked of a real shell as a front end asks it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from PIL import Image

from llx_magic.commands.reading import Reading
from llx_magic.commands.table import PROMPT, commands_at
from llx_magic.commands.where import Where
from llx_magic.consent.pairs import KeyPlace, Pair
from llx_magic.core.routing import ROUTINGS
from llx_magic.notebook.completion import LlxCompleter, quoted
from llx_magic.notebook.extension import COMPLETER, register_completer, unregister_completer
from llx_magic.notebook.magics import LlxMagics
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile
from llx_magic.profiles.store import ProfileStore
from llx_magic.providers.table import PROVIDERS
from llx_magic.session.session import Session
from llx_magic.session.turns import Turn
from llx_magic.settings.declaration import SETTINGS


def serve(shell, session) -> LlxCompleter:
    """Have the shell ask the completer of magics over this session."""
    completer = LlxMagics(shell, session).notebook.completer
    register_completer(shell, lambda: completer)
    return completer


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    session = Session(ProfileStore())
    for name in ("alpha", "beta", "gamma"):
        session.store.save(ModelProfile(name, "simulated", "m"))
    session.store.save(LoadBalancerProfile("both", "failover", ("alpha", "beta")))
    session.store.save(LoadBalancerProfile("round", "roundrobin", ("gamma", "alpha")))
    yield session
    session.close()


@pytest.fixture
def shell(session):
    shell = InteractiveShell()
    for name in ("plans", "poems"):
        session.conversations.record(
            name, Turn(cell=None, prompt="p", reply="r", backend="b", model="m", at="2026-01-02T03:04:05+00:00")
        )
    serve(shell, session)._notebook.jobs.add("why", lambda: None)
    return shell


def offered(shell, text, **variables):
    """What each completion makes of the word at the cursor (``^``, else the end), in the order offered."""
    shell.user_ns.update(variables)
    before, _, after = text.partition("^")
    with provisionalcompleter():
        found = list(shell.Completer.completions(before + after, len(before)))
    assert all(each.end == len(before) for each in found)
    return [each.text for each in found]


def lines_after(shell, text):
    """The lines that the completions lead to."""
    with provisionalcompleter():
        return [text[: each.start] + each.text for each in shell.Completer.completions(text, len(text))]


def test_settings_and_unset_are_offered_first(shell):
    """After %llx_set come the names of all settings, in the order of the declaration, and unset."""
    assert offered(shell, "%llx_set ") == [*SETTINGS, "unset"]


def test_prefix_narrows_settings(shell):
    """What is typed of a name leaves the names that begin with it."""
    assert offered(shell, "%llx_set tpm") == ["tpm_threshold", "tpm_basis", "tpm_limit"]


def test_every_setting_offers_values_that_it_accepts(shell):
    """For each setting there are values, each is allowed, and none is offered exactly where it is optional."""
    for key, declared in SETTINGS.items():
        values = offered(shell, f"%llx_set {key} ")
        assert values
        assert ("none" in values) == declared.optional
        for value in values:
            declared.read(value)


def test_nothing_follows_a_value(shell):
    """After key and value there is nothing to add, and IPython adds nothing."""
    assert offered(shell, "%llx_set timeout_ms 500 ") == []


def test_unset_offers_what_the_session_set(shell, session):
    """unset takes the keys that the session set, and --all."""
    session.set("timeout_ms", "500")
    session.set("tpm_threshold", "100")
    assert offered(shell, "%llx_set unset ")[:3] == ["timeout_ms", "tpm_threshold", "--all"]
    assert offered(shell, "%llx_set unset timeout_ms ") == ["tpm_threshold"]
    assert offered(shell, "%llx_set unset --a") == ["--all"]


def test_ipythons_own_names_are_not_mixed_in(shell):
    """Neither where something is offered nor where nothing fits do names such as --abs come in between."""
    shell.user_ns["settings_of_mine"] = 1
    assert offered(shell, "%llx_set --a") == []
    assert offered(shell, "%%llx --ab") == []
    assert offered(shell, "%llx_profile --pr") == []
    assert "--settings_of_mine" not in offered(shell, "%%llx --se")
    assert offered(shell, "%llx_set settings_") == []


def test_profile_actions(shell):
    """%llx_profile offers its actions."""
    actions = ["save", "load", "test", "list", "show", "delete", "set-default", "trust", "untrust", "trusted"]
    assert offered(shell, "%llx_profile ") == actions
    assert offered(shell, "%llx_profile s") == ["save", "show", "set-default"]
    assert offered(shell, "%llx_profile save ") == ["loadbalancer", "model"]


@pytest.mark.parametrize("action", ["load", "show", "set-default"])
def test_profile_names(shell, action):
    """load, show and set-default offer every profile, those that come with the package too."""
    names = offered(shell, f"%llx_profile {action} ")
    assert {"alpha", "beta", "gamma", "both", "round", "demo"} <= set(names)
    assert offered(shell, f"%llx_profile {action} al") == ["alpha"]


def test_only_own_profiles_can_be_deleted(shell):
    """delete offers the profiles of the user's folder only."""
    assert offered(shell, "%llx_profile delete ") == ["alpha", "beta", "both", "gamma", "round"]


def test_set_default_can_be_cleared(shell):
    """set-default offers --clear beside the names."""
    assert "--clear" in offered(shell, "%llx_profile set-default ")


def test_what_was_allowed_can_be_taken_back(shell, session):
    """By the pair itself, or by the profile that asked for it; a path is completed as a file."""
    pair = Pair(KeyPlace("variable", "WORK_KEY"), "https://gateway.example")
    session.store.trust.remember([pair])
    assert offered(shell, "%llx_profile untrust W") == ["WORK_KEY@gateway.example"]
    assert "alpha" in offered(shell, "%llx_profile untrust ")
    assert offered(shell, "%llx_profile untrust --a") == ["--all"]
    assert "alpha" in offered(shell, "%llx_profile trust ")


def test_load_balancer_is_put_together(shell):
    """save loadbalancer NAME offers the policies, then model profiles that are not named yet."""
    first = offered(shell, "%llx_profile save loadbalancer new ")
    assert [word for word in first if not word.startswith("-")] == [*ROUTINGS]
    members = offered(shell, "%llx_profile save loadbalancer new failover ")
    assert {"alpha", "beta", "gamma"} <= set(members)
    assert not {"both", "round"} & set(members)
    later = offered(shell, "%llx_profile save loadbalancer new failover beta ")
    assert "beta" not in later
    assert "alpha" in later


def test_a_weight_is_offered_for_each_member_that_is_named(shell):
    """--weight takes the members of the line, each once."""
    line = "%llx_profile save loadbalancer both weighted alpha beta --weight "
    assert offered(shell, line) == ["alpha=", "beta="]
    assert offered(shell, f"{line}alpha=2 --weight ") == ["beta="]
    assert offered(shell, f"{line}alpha=") == []


def test_file_that_becomes_a_load_balancer_is_no_member_any_more(shell, session):
    """Which profiles can be members follows the files as they change."""
    line = "%llx_profile save loadbalancer new failover "
    assert "gamma" in offered(shell, line)
    session.store.delete("round")
    session.store.delete("gamma")
    session.store.save(LoadBalancerProfile("gamma", "failover", ("alpha", "beta")))
    assert "gamma" not in offered(shell, line)


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_model_is_put_together(shell):
    """save model offers its options, provider names, key variables and settings that a member may have."""
    line = "%llx_profile save model new "
    assert {"--provider", "--model", "--base-url", "--key-env", "--set"} <= set(offered(shell, line))
    assert "--key" not in offered(shell, line + "--key")
    assert offered(shell, line + "--provider ") == list(PROVIDERS)
    assert offered(shell, line + "--provider gr") == ["groq"]
    assert offered(shell, line + "--provider groq --key-env ") == ["GROQ_API_KEY"]
    settings = offered(shell, line + "--set ")
    assert "timeout_ms=" in settings
    assert "circuit_breaker_enabled=" not in settings


def test_alternatives_exclude_each_other(shell):
    """Once the key's variable is given, the other ways to name a key are not offered."""
    line = "%llx_profile save model new --provider groq --key-env GROQ_API_KEY --"
    assert not {"--key-name", "--key-file", "--key-env"} & set(offered(shell, line))


def test_file_names_are_left_to_ipython(shell, tmp_path, monkeypatch):
    """Where a path is typed, the files that IPython finds are offered."""
    (tmp_path / "keyfile.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert any("keyfile.txt" in each for each in offered(shell, "%llx_profile save model n --key-file keyf"))
    assert any("keyfile.txt" in each for each in offered(shell, "%llx_profile load ./keyf"))


@pytest.mark.parametrize("start", ["%%llx ", "%llx ", "r = %llx "])
def test_every_option_of_a_prompt(shell, start):
    """A cell, a line and an expression offer every option of the grammar, short and long."""
    assert set(offered(shell, start)) == {
        form for option in Reading(PROMPT.load(), "%llx", Where.NOTEBOOK).options() for form in option.forms
    }
    assert set(offered(shell, start + "--p")) >= {"--profile", "--param"}


def test_option_given_once_is_not_offered_again(shell):
    """An option given before or after the cursor is left out, in all its forms; a repeatable one stays."""
    left = offered(shell, "%%llx -p both --set timeout_ms=5 ^--no-stream")
    assert not {"-p", "--profile", "--profile-load", "--no-stream"} & set(left)
    assert {"--set", "--param", "-b"} <= set(left)


@pytest.mark.parametrize("option", ["-p ", "--profile ", "--profile=", "--profile-load "])
def test_profile_of_a_prompt(shell, option):
    """The profile's option offers the profiles' names, after a blank and after an equals sign."""
    assert lines_after(shell, f"%%llx {option}al") == [f"%%llx {option}alpha"]


def test_backends_are_those_of_the_profile_that_applies(shell, session):
    """-b offers the members of the profile on this line, else of the active one, else of the default."""
    assert offered(shell, "%%llx -b ") == ["local"]
    session.store.set_default("gamma")
    assert offered(shell, "%%llx -b ") == ["gamma"]
    session.load("both")
    assert offered(shell, "%%llx -b ") == ["alpha", "beta"]
    assert offered(shell, "%%llx -p round -b ") == ["gamma", "alpha"]
    assert offered(shell, "%%llx -b ^ -p round") == ["gamma", "alpha"]


def test_settings_of_a_cell(shell):
    """--set offers what one request may set, then values; the circuit breaker can only be switched off."""
    names = offered(shell, "%%llx --set ")
    assert "timeout_ms=" in names
    assert "circuit_breaker_failure_threshold=" not in names
    assert lines_after(shell, "%%llx --set tpm_basis=") == [
        "%%llx --set tpm_basis=elapsed",
        "%%llx --set tpm_basis=busy",
    ]
    assert lines_after(shell, '%%llx --set "tpm_basis=b') == ['%%llx --set "tpm_basis=busy"']
    assert offered(shell, "%%llx --set circuit_breaker_enabled=") == ["false"]
    assert "timeout_ms=" not in offered(shell, "%%llx --set timeout_ms=5 --set ")


def test_text_of_a_line_is_left_alone(shell):
    """Where the prompt's text has begun, options are over."""
    assert "--profile" not in offered(shell, "%llx -p both tell me --pro")
    assert "alpha" not in offered(shell, "%llx tell me -p ")


@pytest.mark.parametrize("magic", [f"llx_{row.name}" for row in commands_at(Where.NOTEBOOK)])
def test_every_magic_offers_its_options(shell, magic):
    """Every registered magic has a grammar here and offers the options of it."""
    assert set(offered(shell, f"%{magic} -")) >= {"-h", "--help"}


def test_other_magics(shell):
    """The remaining magics offer what their grammars hold."""
    assert offered(shell, "%llx_local ") == ["pull", "status", "stop"]
    assert offered(shell, "%llx_key ") == ["set", "list", "delete"]
    assert offered(shell, "%llx_stats ") == ["lb", "-p", "--profile", "--all", "--reset"]
    assert offered(shell, "%llx_stats -p bo") == ["both"]
    assert "-n" in offered(shell, "%llx_log ")


@pytest.mark.parametrize("action", ["open", "close", "reset"])
def test_circuits_are_named_by_backend(shell, action):
    """Of the active profile, or of the one that is named."""
    assert {"open", "close", "reset"} <= set(offered(shell, "%llx_circuit "))
    assert offered(shell, f"%llx_circuit {action} -p both al") == ["alpha"]


def test_conversations_and_jobs(shell):
    """Where sources of names are given, they are offered; in a cell after --chat, on a line behind its equals sign."""
    assert offered(shell, "%%llx --chat ")[:2] == ["plans", "poems"]
    assert "--profile" in offered(shell, "%%llx --chat --p")
    assert lines_after(shell, "%llx --chat=po") == ["%llx --chat=poems"]
    assert "plans" not in offered(shell, "%llx --chat ")
    assert offered(shell, "%llx_chat show ") == ["plans", "poems", "-n"]
    assert offered(shell, "%llx_jobs cancel ") == ["1"]
    assert offered(shell, "%%llx -f ") == ["markdown", "text", "code", "json"]


def test_raw_prompt_has_no_expressions(shell, session):
    """With --raw braces are text, and nothing of ours is offered there."""
    text = "{}\nGreet {{{{ ci"
    assert offered(shell, text.format("%%llx"), city="Bern", cinema=math) == ["city"]
    raw = text.format("%%llx --raw")
    unregister_completer(shell)
    expected = offered(shell, raw)
    assert "cinema" in expected
    serve(shell, session)
    assert offered(shell, raw) == expected


def test_the_notebooks_pictures(shell):
    """A figure and an image are offered for -i, and files where no picture begins so."""
    assert offered(shell, "%%llx -i ", fig=Figure(), photo=Image.new("RGB", (9, 9)), number=3) == ["fig", "photo"]
    assert offered(shell, "%llx --image ph") == ["photo"]


def test_variables_in_a_cell(shell):
    """Inside braces come the notebook's variables, without modules, hidden names and IPython's own."""
    names = offered(shell, "%%llx\nGreet {{ ", city="Bern", _hidden=1, math=math)
    assert names == ["city"]
    assert offered(shell, "%%llx -p both\nfirst {{ city }}\nthen {{ci") == ["city"]
    assert offered(shell, "%llx greet {{ ci") == ["city"]
    assert offered(shell, "%%llx\n{{ f(ci") == ["city"]
    assert offered(shell, "%%llx\n{{ im", imp=1) == ["image", "imp"]


@pytest.mark.parametrize("text", ["%%llx\nnothing open {{ city }} ci", "%%llx\n{ ci"])
def test_outside_braces_nothing_is_suppressed(shell, text):
    """In the text of a prompt IPython offers what it always does."""
    plain = InteractiveShell()
    assert offered(shell, text, city="Bern") == offered(plain, text, city="Bern")


def test_filters_and_computed_values_offer_no_variables(shell):
    """After a bar come filters, after a call something unknown: no variable is offered there."""
    assert offered(shell, "%%llx\n{{ city | ci", city="Bern") == []
    assert offered(shell, "%%llx\n{{ city.upper().ci", city="Bern") == []


@dataclass(frozen=True, slots=True)
class Slotted:
    inner: SimpleNamespace


class Watched:
    """Counts how often its property was computed."""

    def __init__(self):
        self.computed = 0
        self.part = SimpleNamespace(deep=1)

    @property
    def costly(self):
        self.computed += 1
        return SimpleNamespace(never=1)


def test_attributes_are_listed_without_computing_any(shell):
    """After a dot come the object's public attributes; no property is computed, not even to go deeper."""
    watched = Watched()
    assert offered(shell, "%%llx\n{{ watched.", watched=watched) == ["computed", "costly", "part"]
    assert offered(shell, "%%llx\n{{ watched.part.d") == ["deep"]
    assert offered(shell, "%%llx\n{{ watched.costly.") == []
    assert watched.computed == 0


def test_methods_that_an_expression_may_not_call_are_not_offered(shell):
    """A text's own reading methods are; what changes a list is not, unless expressions reach anything."""
    assert {"upper", "split"} <= set(offered(shell, "%%llx\n{{ city.", city="Bern"))
    found = offered(shell, "%%llx\n{{ numbers.", numbers=[1])
    assert "count" in found
    assert not {"append", "clear", "sort"} & set(found)


def test_attributes_go_through_slots_and_dictionaries(shell):
    """Fields kept in slots and entries of a dictionary are followed, as the template follows them."""
    assert offered(shell, "%%llx\n{{ s.inner.", s=Slotted(SimpleNamespace(x=1))) == ["x"]
    assert offered(shell, "%%llx\n{{ d.inn", d={"inner": {"last": 1}}) == ["inner"]
    assert offered(shell, "%%llx\n{{ d.inner.la") == ["last"]


def test_object_that_cannot_list_itself_offers_nothing(shell):
    """An object whose __dir__ raises offers nothing, and nothing is raised."""

    class Broken:
        def __dir__(self):
            raise RuntimeError("no")

    assert offered(shell, "%%llx\n{{ broken.", broken=Broken()) == []


@pytest.mark.parametrize(
    ("text", "raw", "quote", "replaced"),
    [
        ("first talk", "", "", '"first talk"'),
        ("plain", "", "", "plain"),
        ("first talk", "'first t", "'", "'first talk'"),
    ],
)
def test_names_with_spaces_are_quoted(text, raw, quote, replaced):
    """A value that holds a blank is quoted."""
    assert quoted(text, raw, quote) == replaced


def test_an_open_quote_is_continued_and_closed(shell):
    """Behind a blank and behind an equals sign."""
    assert lines_after(shell, "%%llx -p 'al") == ["%%llx -p 'alpha'"]
    assert lines_after(shell, '%%llx --profile="al') == ['%%llx --profile="alpha"']


def test_continued_line(shell):
    """A line that is continued with a backslash is read as one."""
    assert "--model" in offered(shell, "%llx_profile save model new \\\n  --mo")


@pytest.mark.parametrize(
    "text",
    [
        "imp",
        "x = 1\nx.re",
        "%tim",
        "%%llx",
        "%llx_se",
        "# %llx\nimp",
        "%%bash\nech",
        "'%llx' + st",
        "x = %llx_set 1\nimp",
    ],
)
def test_elsewhere_ipythons_completions_stand(shell, text):
    """Outside our magics' words nothing is added and nothing is suppressed."""
    assert offered(shell, text) == offered(InteractiveShell(), text)


def test_other_magics_bodies_may_hold_ours(shell):
    """A line of ours below another cell magic is completed as well; in a prompt it is text."""
    assert offered(shell, "%%time\n%llx_set tpm_b") == ["tpm_basis"]
    assert "tpm_basis" not in offered(shell, "%%llx\n%llx_set tpm_b")


@pytest.mark.posix("links need a right on Windows")
def test_broken_profiles_never_raise(shell, session, capsys):
    """Broken files, a broken note of the default and a folder that is a file leave completion silent."""
    folder = session.store.folder
    (folder / "broken.json").write_text("{")
    (folder / "bad name.json").write_text("{}")
    (folder / "gone.json").symlink_to(folder / "nowhere")
    session.store.state_folder.mkdir(exist_ok=True)
    (session.store.state_folder / "default-profile").write_text("no name!\n")
    assert "broken" in offered(shell, "%llx_profile delete ")
    assert "bad name" not in offered(shell, "%llx_profile delete ")
    assert "gone" not in offered(shell, "%llx_profile save loadbalancer n failover ")
    assert offered(shell, "%%llx -p broken -b ") == []
    assert offered(shell, "%%llx -p missing -b ") == []
    assert offered(shell, "%%llx -b ") == []
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("a file")
    assert "demo" in offered(shell, "%llx_profile load ")
    assert offered(shell, "%llx_profile delete al") == []
    assert capsys.readouterr().err == ""


def test_one_line_interface(shell):
    """The older interface, which knows one line only, gives the same."""
    with pytest.warns(PendingDeprecationWarning):
        assert shell.complete("", "%llx_set tpm_b", 14) == ("tpm_b", ["tpm_basis"])


def ours(shell):
    return [each for each in shell.Completer.matchers if getattr(each, "matcher_identifier", "") == COMPLETER]


def test_registering_twice_leaves_one(shell, session):
    """A second registration replaces the first."""
    serve(shell, session)
    assert len(ours(shell)) == 1


def test_unregistering_leaves_no_trace(shell):
    """After unregistering the shell asks what it asked before, other people's included; twice is harmless."""
    other = lambda text: []  # noqa: E731
    shell.Completer.custom_matchers.append(other)
    unregister_completer(shell)
    unregister_completer(shell)
    assert shell.Completer.custom_matchers == [other]
    assert offered(shell, "%llx_set tpm_b") == offered(InteractiveShell(), "%llx_set tpm_b")


def test_a_schema_is_completed_with_what_may_be_one(shell):
    """Classes, dictionaries and lists of the notebook; no number, no text."""
    variables = {"Ticket": dict, "tickets": [], "short": {"label": str}, "total": 3}
    found = offered(shell, "%%llx --schema ", **variables)
    assert {"Ticket", "tickets", "short"} <= set(found)
    assert "total" not in found
    assert offered(shell, "%%llx --effort ") == ["none", "low", "medium", "high"]


def test_the_rows_of_a_map_are_the_variables_that_hold_some(shell):
    frame = pd.DataFrame({"text": ["a"]})
    assert offered(shell, "%%llx_map re", reviews=frame, report="text", rest=[1, 2]) == ["reviews", "rest"]


def test_the_columns_of_the_rows_are_offered_in_the_prompt_before_the_variables(shell):
    frame = pd.DataFrame({"text": ["a"], "two words": ["b"]})
    found = offered(shell, "%%llx_map reviews -o rated\nRate {{ ", reviews=frame, tone="dry")
    assert found[:2] == ["text", "row"]
    assert {"reviews", "tone"} == set(found[2:])
    assert "two words" not in found


def test_a_column_is_completed_in_the_prompt_of_a_map(shell):
    assert offered(shell, "%%llx_map reviews\nRate {{ te", reviews=[{"text": "a"}]) == ["text"]


def test_the_options_of_a_map_are_offered_on_its_first_line(shell):
    assert offered(shell, "%%llx_map reviews --dr", reviews=[1]) == ["--dry-run"]
    assert offered(shell, "%%llx_map reviews --retry ", reviews=[1]) == ["errors"]
