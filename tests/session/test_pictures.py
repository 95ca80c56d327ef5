"""Images and files through profiles: which members are sent them, in which form, and who is passed over."""

from __future__ import annotations

import asyncio
import base64
import io

import pytest
from PIL import Image

import llx_magic as llx
from llx_magic.core.message import Takes
from llx_magic.session.members import takes_of
from tests.faults.asking import KEY
from tests.faults.server import FaultServer
from tests.wires.mocks.anthropic import MODEL, ClaudeServer


def picture():
    page = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(page, format="PNG")
    return page.getvalue()


def model(name, provider, **connection):
    return llx.ModelProfile(name, provider, MODEL, connection=llx.Connection(**connection))


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("PICTURES_TEST_KEY", KEY)
    return "PICTURES_TEST_KEY"


def asked(members, prompt, **options):
    async def run():
        profile = llx.Profile.failover("forms", members, {"failover_retry_count": 1})
        async with llx.load(profile, isolated=True) as balancer:
            return await balancer.ask(prompt, **options)

    return asyncio.run(asyncio.wait_for(run(), 30))


PDF = b"%PDF-1.7 report"
PROMPT = ["What is this?", llx.Image(picture()), llx.File(PDF, name="report.pdf")]


def test_an_image_and_a_file_fail_over_into_another_form(key):
    with FaultServer("503") as first, ClaudeServer() as second:
        members = [
            model("first", "openai", base_url=first.base_url, auth_key_env=key),
            model("claude", "anthropic", base_url=second.root, auth_key_env=key),
        ]
        reply = asked(members, PROMPT)
        assert reply.backend == "claude"
        assert [part["type"] for part in first.requests[0].json["messages"][0]["content"]] == [
            "text",
            "image_url",
            "file",
        ]
        blocks = second.requests[0].json["messages"][0]["content"]
        assert [block["type"] for block in blocks] == ["text", "image", "document"]
        assert base64.b64decode(blocks[1]["source"]["data"]) == picture()
        assert base64.b64decode(blocks[2]["source"]["data"]) == PDF


def test_a_member_that_cannot_take_a_file_is_not_visited(key):
    with FaultServer("ok") as first, FaultServer("ok") as second:
        members = [
            model("first", "openai", base_url=first.base_url, files=False),
            model("second", "openai", base_url=second.base_url),
        ]
        reply = asked(members, PROMPT)
        assert (reply.backend, reply.attempts, reply.notes) == ("second", 1, ("first skipped: does not take files",))
        assert not first.requests
        assert asked(members, PROMPT[:2]).backend == "first"


def test_where_the_only_one_that_takes_it_fails_the_others_are_named(key):
    with FaultServer("ok") as first, FaultServer("503") as second:
        members = [
            model("first", "openai", base_url=first.base_url, images=False),
            model("second", "openai", base_url=second.base_url),
        ]
        with pytest.raises(llx.AllBackendsFailed) as caught:
            asked(members, PROMPT)
        reason = caught.value.reasons[0]
        assert (reason.backend, reason.message) == ("first", "does not take images")
        assert not first.requests


def test_an_address_is_read_by_the_backend(key):
    with FaultServer("ok") as first, FaultServer("ok") as second:
        members = [
            model("first", "openai", base_url=first.base_url),
            model("second", "openai", base_url=second.base_url),
        ]
        asked(members, ["What?", llx.Image("https://a.example/b.png")])
        assert first.requests[0].json["messages"][0]["content"][1]["image_url"] == {"url": "https://a.example/b.png"}


@pytest.mark.parametrize(
    ("provider", "said", "takes"),
    [
        ("openai", {}, Takes(True, True)),
        ("openai", {"images": False}, Takes(False, True)),
        ("anthropic", {"files": False}, Takes(True, False)),
        ("gemini", {}, Takes(True, True)),
        ("ollama", {}, Takes(True, False)),
        ("ollama", {"files": True}, Takes(True, False)),
        ("cohere", {}, Takes(True, False)),
        ("groq", {}, Takes(True, False)),
        ("simulated", {}, Takes(False, False)),
        ("simulated", {"images": True}, Takes(True, False)),
        ("local", {"images": True}, Takes(False, False)),
    ],
)
def test_what_a_member_takes_is_what_its_form_has_unless_its_profile_says_no(provider, said, takes):
    assert takes_of(model("one", provider, **said)) == takes
