"""What a prompt may be asked with, declared once."""

from __future__ import annotations

import inspect

import pytest

import llx_magic as llx
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.options import AskOptions


@pytest.mark.parametrize("function", [llx.ask, LoadBalancer.ask, LoadBalancer.stream, LoadBalancer.prepare])
def test_the_signature_shows_each_option(function):
    shown = inspect.signature(function).parameters
    assert set(AskOptions.__annotations__) <= set(shown)
    assert shown["system"].annotation == "str | None"
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in shown.values())


def test_an_option_that_does_not_exist_is_refused_as_python_does():
    with pytest.raises(TypeError, match="unexpected keyword argument 'sytem'; there are system, settings"):
        llx.ask("why", sytem="Be brief.")


@pytest.mark.parametrize("name", ["images", "image", "files", "attachments"])
def test_images_and_files_beside_the_prompt_are_told_to_go_into_it(name):
    with pytest.raises(TypeError, match=rf"argument '{name}'; images and files go into the prompt: \['What is this"):
        llx.ask("why", **{name: ["plot.png"]})
