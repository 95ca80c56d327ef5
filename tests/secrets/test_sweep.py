"""No secret anywhere: whatever holds a key, and whatever repeats it, it is shown and kept nowhere."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest

import llx_magic as llx
from tests.secrets import scene as scenes
from tests.secrets.conftest import SWEPT
from tests.secrets.places import XMODES, Found, live_in
from tests.secrets.sweep import PREFIX, WINDOW, Sweep, attributes, codings, odd, plain
from tests.signatures import signature_of

MARK = "PLANTED-where-no-key-is"

TAKEN_OUT = "***"
"""What stands in the place of a key."""

NOT_SENT = ("usual-variable", "aws-secret-key")
"""The first goes to its own host only, and with the second requests are signed."""

XMODES_ONCE = ("Verbose",)
"""Every mode once is enough: which key it is makes no difference to a mode."""


def swept(scene: scenes.Scene, found: Found) -> dict[str, dict[str, str]]:
    """Return what each place shows of the scene's secrets."""
    sweep = Sweep(scene.secrets)
    return {place: sweep.found_in(texts) for place, texts in found.items()}


@pytest.mark.parametrize(
    ("furnish", "make_key", "xmodes"),
    [
        (scenes.furnish, odd, XMODES),
        (scenes.furnish, plain, XMODES_ONCE),
        (scenes.in_every_form, odd, XMODES_ONCE),
    ],
)
def test_no_place_shows_a_key(furnish, make_key, xmodes, tmp_path, monkeypatch):
    scene = furnish(tmp_path, make_key, monkeypatch.setenv)
    with scene.server, contextlib.ExitStack() as given:
        for each in scene.logins:
            given.enter_context(each)
        found = live_in(scene, tmp_path, xmodes)
    signed = {signature_of(each) for each in scene.server.requests if "x-amz-date" in each.headers}
    assert bool(signed) is bool(scene.logins)
    signatures = {f"signature {number}": each for number, each in enumerate(signed)}
    hits = swept(replace(scene, secrets=scene.secrets | signatures), found)
    sent = {
        each.headers.get(name) for each in scene.server.requests for name in (*scenes.HEADERS, "x-amz-security-token")
    }
    sent_plain = {value.removeprefix("Bearer ") for value in sent if value}
    assert {key for way, key in scene.secrets.items() if way not in NOT_SENT} <= sent_plain
    SWEPT["places"] |= set(hits)
    SWEPT["ways"] |= {(make_key.__name__, way) for way in scene.secrets}
    SWEPT["found"] |= {(make_key.__name__, place) for place, shown in hits.items() if shown}
    assert not any(hits.values()), "\n".join(f"{place}: {shown}" for place, shown in hits.items() if shown)


def test_every_place_shows_what_is_no_secret(tmp_path):
    """The same world with a mark that may be shown: a place in which it is not found would hide a key as well."""
    scene = scenes.planted(tmp_path, MARK)
    with scene.server:
        hits = swept(scene, live_in(scene, tmp_path))
    assert {place for place, shown in hits.items() if not shown} == set()
    assert set(XMODES) <= {place.removeprefix("traceback: ") for place in hits}


@pytest.mark.parametrize("make_key", [odd, plain])
def test_a_key_is_found_in_every_coding_and_in_part(make_key):
    key = make_key("x")
    sweep = Sweep({"x": key})
    for form in codings(key):
        assert sweep.found_in(["before " + form + " after"])
        assert sweep.found_in([f"before {form[-WINDOW - 8 : -4]} after".encode()])
    assert not sweep.found_in([f"before {PREFIX} after", PREFIX + "-", "nothing"])


def test_what_hangs_on_a_value_is_reached():
    """Through attributes, slots, containers and the chain of an exception."""
    inner = ValueError("inner")
    inner.add_note(MARK)
    outer = RuntimeError("outer")
    outer.__cause__ = inner
    holder = type("Holder", (), {"__slots__": ("_own",)})()
    holder._own = [{"deep": MARK}]
    assert MARK in set(attributes(outer))
    assert MARK in set(attributes(holder))
    assert MARK not in set(attributes(holder, public=True))


@pytest.mark.parametrize("streaming", ["enabled", "disabled"])
async def test_every_form_repeats_its_key_where_it_is_swept(streaming, tmp_path, monkeypatch):
    """In the reasoning and the text of a reply, and in the words of an error: there it was taken out."""
    scene = scenes.in_every_form(tmp_path, odd, monkeypatch.setenv)
    async with llx.load(scene.name, isolated=True) as lb:
        for member in scene.members:
            asked = {"backend": member, "settings": {"streaming": streaming}}
            scene.server.set_default(scenes.text)
            reply = await lb.ask("why", **asked)
            assert TAKEN_OUT in reply.text, member
            assert TAKEN_OUT in reply.reasoning, member
            scene.server.set_default(scenes.text_then_error)
            with pytest.raises(llx.AllBackendsFailed, match=re.escape(TAKEN_OUT)):
                await lb.ask("why", **asked)
    scene.server.close()
