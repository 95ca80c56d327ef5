"""Which files a prompt reads: those of the working folder, and whatever the user's own code names."""

from __future__ import annotations

import os
import pathlib
import re

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image as Pictures

from llx_magic.core.message import File, Image
from llx_magic.pieces.paths import LARGEST_BYTES
from llx_magic.template.errors import InterpolationError
from llx_magic.template.template import Template


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a picture, a hidden file, links, a pipe, and a secret beside it."""
    inside = tmp_path / "work"
    (inside / "plots" / ".cache").mkdir(parents=True)
    Pictures.new("RGB", (8, 8)).save(inside / "plots" / "plot.png")
    (inside / "report.pdf").write_bytes(b"%PDF-1.7")
    (inside / ".env").write_text("KEY=1")
    (inside / "plots" / ".cache" / "a.png").write_bytes(b"x")
    (inside / "empty.png").write_bytes(b"")
    (tmp_path / "secret.pdf").write_bytes(b"%PDF-1.7 secret")
    (inside / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    (inside / "inner.pdf").symlink_to(inside / "report.pdf")
    (inside / "up").symlink_to(tmp_path)
    (inside / "loop").symlink_to(inside / "loop")
    if hasattr(os, "mkfifo"):
        os.mkfifo(inside / "pipe")
    with (inside / "huge.pdf").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    monkeypatch.chdir(inside)
    return inside


def piece(text, **namespace):
    (found,) = Template(text).render(namespace).content
    return found


def refusal(text, **namespace):
    with pytest.raises(InterpolationError) as caught:
        Template(text).render(namespace)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).endswith("(nothing was sent)")
    return str(caught.value)


def test_a_text_names_a_file_of_the_working_folder(folder):
    assert piece("{{ image('plots/plot.png') }}").name == "plot.png"
    assert piece('{{ file("report.pdf") }}') == File(b"%PDF-1.7", name="report.pdf")
    assert piece("{{ file(named) }}", named=str(folder / "report.pdf")).source == b"%PDF-1.7"


@pytest.mark.parametrize("word", ["image", "file"])
@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("../secret.pdf", "lies outside the working folder"),
        ("plots/../../secret.pdf", "lies outside the working folder"),
        ("plots/../report.pdf", "lies outside the working folder"),
        ("/etc/hostname", "lies outside the working folder"),
        ("/dev/zero", "lies outside the working folder"),
        ("/proc/self/environ", "lies outside the working folder"),
        ("~/.ssh/id_rsa", "lies outside|is hidden"),
        (".env", ".env is hidden"),
        ("plots/.cache/a.png", ".cache is hidden"),
        ("link.pdf", "symbolic link"),
        ("inner.pdf", "symbolic link"),
        ("up/secret.pdf", "symbolic link"),
        ("loop", "cannot be read"),
        ("pipe", "cannot be read (not a regular file)"),
        ("plots", "cannot be read (it is a folder)"),
        ("", "cannot be read (it is a folder)"),
        ("nothing.png", "no such file"),
        ("nul\\0l", "cannot be read|lies outside"),
        ("x" * 5000, "cannot be read"),
        ("empty.png", "is empty"),
        ("huge.pdf", "is larger than 32 MiB"),
    ],
)
@pytest.mark.posix("links and pipes")
def test_no_other_file_is_read(folder, word, named, why):
    said = refusal(f"{{{{ {word}('{named}') }}}}")
    assert any(each in said for each in why.split("|")), said


def test_a_path_that_the_notebook_has_made_reaches_any_file(folder):
    secret = folder.parent / "secret.pdf"
    assert piece("{{ file(p) }}", p=secret) == File(b"%PDF-1.7 secret", name="secret.pdf")
    assert piece("{{ file(p) }}", p=folder / "link.pdf").source == b"%PDF-1.7 secret"


@pytest.mark.parametrize(
    "text",
    [
        "{{ file(p / 'secret.pdf') }}",
        "{{ file(p.parent / 'secret.pdf') }}",
        "{{ file(p.joinpath('secret.pdf')) }}",
        "{{ file([p / 'secret.pdf'][0]) }}",
        "{{ file((p / 'secret.pdf') if 1 else p) }}",
        "{{ file(p ~ '/secret.pdf') }}",
        "{{ file(q.parent) }}",
        "{{ file(q.parents[0]) }}",
        "{{ file(*[q]) }}",
        "{{ file(path=q) }}",
        "{{ file(q, q) }}",
        "{{ file() }}",
        "{{ [q] | map('file') }}",
        "{{ q | file }}",
        "{{ file }}",
        "{{ image.open('x') }}",
    ],
)
def test_a_prompt_makes_no_path_of_its_own(folder, text):
    with pytest.raises(InterpolationError) as caught:
        Template(text).render({"p": folder.parent, "q": folder.parent / "secret.pdf"})
    assert "secret" not in re.sub(r"\{\{.*?\}\}", "", str(caught.value)) or "outside" in str(caught.value)


@pytest.mark.posix("devices")
@pytest.mark.parametrize(
    ("path", "why"), [("/dev/zero", "not a regular file"), ("/dev/null", "not a regular file"), ("/tmp", "a folder")]
)
def test_a_device_and_a_folder_are_not_read_whoever_names_them(path, why):
    assert why in refusal("{{ image(p) }}", p=pathlib.Path(path))


def test_a_picture_of_the_notebook_may_have_the_functions_name(folder):
    own = Pictures.new("RGB", (9, 9))
    assert piece("{{ image }}", image=own) == Image(own, name="image")
    assert piece("{{ image('plots/plot.png') }}", image=own).name == "plot.png"


def test_a_function_of_the_notebook_of_that_name_is_the_notebooks(folder):
    def image(named):
        raise AssertionError("a prompt called it")

    assert "a prompt only reads data" in refusal("{{ image('plots/plot.png') }}", image=image)


@pytest.mark.parametrize("given", ["3", "[1]", "none", "{}"])
def test_what_is_no_file_is_refused(given):
    assert "file() takes the path of a file" in refusal(f"{{{{ file({given}) }}}}")


def test_images_stand_where_they_are_named():
    one, two = Pictures.new("RGB", (9, 9)), Pictures.new("RGB", (8, 8))
    content = Template("Is {{ one }} {{ two }} {{ n }} times?").render({"one": one, "two": two, "n": 3}).content
    assert content == ("Is ", Image(one, name="one"), Image(two, name="two"), " 3 times?")


@pytest.mark.parametrize("kind", [list, tuple])
def test_each_of_a_list_of_images_is_one(kind):
    one, two = Pictures.new("RGB", (9, 9)), matplotlib.figure.Figure()
    several = kind([one, two, Image(one, name="mine"), File(b"%PDF-1.7")])
    content = Template("Compare {{ several }}").render({"several": several}).content
    names = ["several[0]", "several[1]", "mine"]
    assert [piece.name for piece in content[1:4]] == names
    assert content[4] == File(b"%PDF-1.7")


@pytest.mark.parametrize("several", [[], [1, b"picture"], [np.zeros((20, 20))]])
def test_a_list_of_anything_else_is_a_text(several):
    assert isinstance(Template("{{ several }}").render({"several": several}).content, str)
