"""What a prompt may be asked with, declared once."""

from __future__ import annotations

import inspect

import pytest

import llx_magic as llx
from llx_magic.errors import UsageProblem
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.options import AskOptions
from tests.engine.kit import balancer, simulated

OF_EVERY_PROMPT = [
    ({"system": 3}, "system must be a text; got 3"),
    ({"settings": "foo"}, "settings must be a dictionary of names and values; got 'foo'"),
    ({"params": "foo"}, "params must be a dictionary of names and values; got 'foo'"),
    ({"settings": {3: 1}}, "settings must be a dictionary of names and values; got the name 3"),
    ({"params": {3: 1}}, "params must be a dictionary of names and values; got the name 3"),
    ({"params": ""}, "params must be a dictionary of names and values; got ''"),
    ({"backend": 3}, "backend must be the name of a backend; got 3"),
    ({"effort": ["high"]}, r"effort must be one of .*high.*; got \['high'\]"),
]
OF_ROWS = [
    ({"dedupe": "no"}, "dedupe must be True or False; got 'no'"),
    ({"fresh": 1}, "fresh must be True or False; got 1"),
    ({"prefix": 3}, "prefix must be a text; got 3"),
    ({"store": 3}, "store must be the path of a file; got 3"),
    ({"samples": "2"}, "samples must be a whole number, 1 or more; got '2'"),
    ({"limit": 1.5}, "limit must be a whole number, 1 or more; got 1.5"),
    ({"retry": True}, "retry must be 'errors' or None; got True"),
]


@pytest.mark.parametrize("function", [llx.ask, LoadBalancer.ask, LoadBalancer.stream, LoadBalancer.prepare])
def test_the_signature_shows_each_option(function):
    shown = inspect.signature(function).parameters
    assert set(AskOptions.__annotations__) <= set(shown)
    assert shown["system"].annotation == "str | None"
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in shown.values())


def test_an_option_that_does_not_exist_is_refused_as_python_does():
    with pytest.raises(TypeError, match=r"argument 'sytem'; there are profile, system, .*; did you mean system"):
        llx.ask("why", sytem="Be brief.")


@pytest.mark.parametrize("name", ["images", "image", "files", "attachments"])
def test_images_and_files_beside_the_prompt_are_told_to_go_into_it(name):
    with pytest.raises(TypeError, match=rf"argument '{name}'; images and files go into the prompt: \['What is this"):
        llx.ask("why", **{name: ["plot.png"]})


@pytest.mark.parametrize(("options", "says"), [*OF_EVERY_PROMPT, ({"cache": "yes"}, "cache must be True or False")])
@pytest.mark.parametrize("name", ["ask", "stream", "prepare"])
async def test_a_value_of_the_wrong_type_beside_a_prompt_is_refused_in_one_line(name, options, says):
    asked = getattr(balancer(simulated("a")), name)
    with pytest.raises(UsageProblem, match=says):
        await asked("why", **options)


@pytest.mark.parametrize(("options", "says"), [*OF_EVERY_PROMPT, *OF_ROWS])
@pytest.mark.parametrize("name", ["map", "map_rows"])
async def test_a_value_of_the_wrong_type_beside_rows_is_refused_in_one_line(name, options, says):
    asked = getattr(balancer(simulated("a")), name)
    with pytest.raises(UsageProblem, match=says):
        await asked(["why"], "{{ row }}", **options)


@pytest.mark.parametrize("name", ["map", "map_rows"])
async def test_a_template_that_is_no_text_is_refused_in_one_line(name):
    asked = getattr(balancer(simulated("a")), name)
    with pytest.raises(UsageProblem, match=r"the template must be a text, as 'Rate \{\{ text \}\}'; got 5"):
        await asked(["why"], 5)


def test_a_keyword_of_ask_itself_is_offered_for_one_that_is_like_it():
    with pytest.raises(TypeError, match=r"argument 'profil'; there are profile, .*, cache; did you mean profile\?"):
        llx.ask("why", profil="demo")


def test_a_keyword_of_map_itself_is_offered_for_one_that_is_like_it():
    with pytest.raises(TypeError, match=r"there are profile, progress, .*, client; did you mean progress\?"):
        llx.map(["why"], "{{ row }}", progres=False)


def test_a_method_of_a_loaded_profile_offers_no_keyword_that_it_does_not_take():
    with pytest.raises(TypeError, match=r"argument 'profil'; there are system, (?!.*profile)"):
        balancer(simulated("a")).prepare("why", profil="demo")
