"""Images and files in the prompts of a notebook, from the cell to the request and the screen."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import llx_magic
from llx_magic.errors import UsageProblem
from tests.notebook.kit import PlainShell, opened, wait_until, write_balancer, write_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a picture and a document."""
    inside = tmp_path / "work"
    inside.mkdir()
    Image.new("RGB", (30, 20), "red").save(inside / "plot.png")
    (inside / "report.pdf").write_bytes(b"%PDF-1.7 report")
    monkeypatch.chdir(inside)
    return inside


def parts(server, number=-1):
    """What the user's last turn was made of, when it was sent in pieces."""
    return server.requests[number].json["messages"][-1]["content"]


def kinds(server):
    return [part.get("text") or part["type"] for part in parts(server)]


def test_images_and_files_are_sent_where_they_stand(user, first, folder):
    user["fig"] = Figure()
    user("%%llx\nIs {{ fig }} like {{ image('plot.png') }} in {{ file('report.pdf') }}?").fine()
    assert kinds(first) == ["Is ", "image_url", " like ", "image_url", " in ", "file", "?"]
    data = base64.b64encode((folder / "plot.png").read_bytes()).decode()
    assert parts(first)[3]["image_url"]["url"] == f"data:image/png;base64,{data}"
    assert parts(first)[5]["file"]["filename"] == "report.pdf"


@pytest.mark.parametrize("option", ["-i fig", "--image fig", "-i plot.png", "-i 'image(\"plot.png\")'", "-i path"])
def test_an_option_adds_an_image_before_the_text(user, first, folder, option):
    user["fig"], user["path"] = Image.new("RGB", (9, 9)), folder / "plot.png"
    user(f"%llx {option} What is this?").fine()
    assert kinds(first) == ["image_url", "What is this?"]


@pytest.mark.parametrize("option", ["-i https://example.com/x.png", "-i 'https://example.com/x.png?a=(1)'", "-i url"])
def test_the_option_takes_an_https_address(user, first, option):
    user["url"] = "https://example.com/x.png"
    user(f"%llx {option} What is this?").fine()
    assert parts(first)[0]["image_url"]["url"].startswith("https://example.com/x.png")


def test_the_option_may_be_repeated_and_goes_with_raw(user, first, folder):
    user("%llx -i plot.png -i report.pdf --raw {{ this }}").fine()
    assert kinds(first) == ["image_url", "file", "{{ this }}"]


def test_an_image_alone_is_a_prompt(user, first, folder):
    user("%%llx -i plot.png\n").fine()
    assert kinds(first) == ["image_url"]


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("-i nofig", "'nofig' is not defined"),
        ("-i nofig", "-i nofig: 'nofig' is not defined, and there is no such file (nothing was sent)"),
        ("-i numbr", "-i numbr: 'numbr' is not defined; did you mean number?"),
        ("-i nothing.png", ": nothing.png: cannot be read (no such file or directory) (nothing was sent)"),
        ("-i plot.pn", ": plot.pn: cannot be read (no such file or directory)"),
        ("-i no-such.png", ": no-such.png: cannot be read (no such file or directory)"),
        ("-i 'my plot.png'", ": my plot.png: cannot be read (no such file or directory)"),
        ("-i plots/nothing.png", ": plots/nothing.png: cannot be read (no such file or directory)"),
        ("-i ../plot.png", ": ../plot.png: lies outside the working folder"),
        ("-i ~/plot.png", ": ~/plot.png: lies outside the working folder"),
        ("-i empty.png", ": empty.png: is empty"),
        ("-i number.png", ": number.png: cannot be read (no such file or directory)"),
        ("-i number.plot", "has no attribute 'plot'"),
        ("-i np.zeros((5,5))", "-i np.zeros((5,5)): np is a module; assign it first: x = np.zeros((5,5)), then -i x"),
        ("-i np", "-i np: np is a module; assign it first: x = …, then -i x"),
        ("-i 'number +'", "-i number +: this is neither an expression nor a file"),
        ("-i http://example.com/x.png", "must begin with https://"),
        ("-i number", "3 is no image"),
        ("-i .", ": .: cannot be read ("),
    ],
)
def test_what_is_no_image_is_one_line_and_nothing_is_sent(user, first, folder, option, why):
    (folder / "empty.png").touch()
    user["number"], user["np"] = 3, np
    failure = user(f"%llx {option} what").failure
    assert why in failure
    assert "{{" not in failure
    assert "--raw" not in failure
    assert str(folder) not in failure
    assert not first.requests


def test_what_is_sent_is_shown_small_above_the_reply(viewer, folder):
    ran = viewer("%llx -i plot.png -i report.pdf What is this?").fine()
    above = ran.shown[0]["data"]
    assert above["text/plain"] == "image plot.png, PNG, 30 x 20 pixels, 1 kB\nfile report.pdf, PDF, 1 kB"
    assert above["text/html"].count("<img") == 1
    assert "First" in ran.shown[-1]["data"]["text/plain"]
    assert not any("<img" in each["data"]["text/html"] for each in ran.shown[1:])


def test_a_quiet_cell_shows_no_images(viewer, folder):
    assert viewer("%llx -q -i plot.png What is this?").fine().shown == []


def test_a_terminal_says_what_is_sent(user, folder):
    assert "image plot.png, PNG, 30 x 20 pixels, 1 kB\nFirst" in user("%llx -i plot.png What?").fine().printed


def test_a_dry_run_says_type_and_size_and_sends_nothing(user, first, folder):
    said = user("%llx --dry-run Is {{ image('plot.png') }} red?").fine().printed
    assert "[user]\nIs [image plot.png, PNG, 30 x 20 pixels, 1 kB] red?" in said
    assert not first.requests


def test_a_large_image_is_scaled_as_the_setting_says(user, first, folder):
    Image.new("RGB", (4000, 100)).save("wide.png")
    assert "2,048 x 51" in user("%llx --dry-run -i wide.png what").fine().printed
    assert "1,000 x 25" in user("%llx --set image_max_pixels=1000 --dry-run -i wide.png what").fine().printed
    user("%llx_set image_max_pixels 500").fine()
    assert "500 x 13" in user("%llx --dry-run -i wide.png what").fine().printed


def test_a_conversation_remembers_that_an_image_was_there(user, first, folder):
    user("%llx --chat=a -i plot.png What is this?").fine()
    user("%llx --chat=a And now?").fine()
    turns = first.requests[-1].json["messages"]
    assert [turn["content"] for turn in turns][::2] == ["[image plot.png] What is this?", "And now?"]


def test_a_background_prompt_takes_images(user, first, folder):
    user("%%llx --bg -i plot.png -o seen\nWhat is this?").fine()
    assert wait_until(lambda: isinstance(user["seen"], llx_magic.Reply))
    assert kinds(first) == ["image_url", "What is this?"]
    assert "[image plot.png] What is this?" in user("%llx_jobs").fine().printed


# --- who can take them ------------------------------------------------------------------------------------------------


@pytest.fixture
def blind_first(home, second, folder):
    """A load balancer whose first member says that it takes no images, and a shell that has it loaded."""
    write_model(home, "blind", base_url="http://127.0.0.1:9/v1", images=False)
    write_model(home, "second", base_url=second.base_url, files=False)
    write_balancer(home, "mixed", ["blind", "second"])
    with opened(PlainShell) as shell:
        shell("%llx_profile load mixed").fine()
        yield shell


def test_a_member_that_takes_no_images_is_passed_over_without_a_visit(blind_first, second):
    blind_first("%llx -i plot.png What is this?").fine()
    assert kinds(second) == ["image_url", "What is this?"]
    assert "blind skipped: does not take images" in blind_first.last.notes
    assert "does not take images" in str(blind_first.last.trace)
    assert blind_first.last.attempts == 1


def test_the_plan_says_who_is_passed_over(blind_first):
    said = blind_first("%llx --dry-run -i plot.png What is this?").fine().printed
    assert re.search(r"1\. blind +skipped: does not take images\n +2\. second +asked", said)


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("%llx -b blind -i plot.png what", "nobody can be asked this: blind does not take images; nothing was sent"),
        (
            "%llx what is {{ file('report.pdf') }} in {{ image('plot.png') }}",
            "blind does not take images, second does not take files",
        ),
    ],
)
def test_where_nobody_takes_them_one_line_says_so(blind_first, second, typed, why):
    failed = blind_first(typed)
    assert isinstance(failed.error, UsageProblem)
    assert why in failed.failure
    assert not second.requests


def test_the_embedded_model_takes_text_alone(user, folder):
    user("%llx_profile save model own --provider local --model smollm2-135m-instruct")
    assert "own does not take images; nothing was sent" in user("%llx -p own -i plot.png what").failure


def test_a_text_file_is_text_that_everybody_takes(blind_first, second, folder):
    (folder / "notes.md").write_text("# Notes")
    said = blind_first("%llx --dry-run -b blind Sum up {{ file('notes.md') }}").fine().printed
    assert "notes.md:\n\n```\n# Notes\n```" in said


# --- Python -----------------------------------------------------------------------------------------------------------


def test_python_asks_with_images_and_files(user, first, folder):
    llx_magic.ask(["What is this?", llx_magic.Image("plot.png"), llx_magic.File("report.pdf")])
    assert kinds(first) == ["What is this?", "image_url", "file"]
    llx_magic.ask(llx_magic.Image(Figure()))
    assert kinds(first) == ["image_url"]


def test_python_asks_with_images_in_a_conversation(user, first, folder):
    earlier = llx_magic.Message("user", ("What?", llx_magic.Image("plot.png")))
    llx_magic.ask(
        [earlier, llx_magic.Message("assistant", "A plot."), "And this?", llx_magic.Image(folder / "plot.png")]
    )
    turns = first.requests[-1].json["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [part["type"] for part in turns[0]["content"]] == ["text", "image_url"]
    assert kinds(first) == ["And this?", "image_url"]


@pytest.mark.parametrize("source", ["nothing.png", b"odd", 3, "http://a.example/b.png"])
def test_what_python_cannot_read_is_one_line_and_nothing_is_sent(user, first, folder, source):
    with pytest.raises(UsageProblem, match="nothing was sent") as caught:
        llx_magic.ask(["what", llx_magic.Image(source)])
    assert len(str(caught.value).splitlines()) == 1
    assert not first.requests
