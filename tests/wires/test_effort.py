"""Every form says how much to reason in its own words, or a note says that it cannot."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.message import Message
from llx_magic.core.reply import ChatRequest, Effort
from llx_magic.providers.provider import FORMS


@pytest.mark.parametrize("effort", get_args(Effort))
@pytest.mark.parametrize("form", sorted(set(FORMS.values())))
def test_an_effort_is_said_or_noted(form, effort):
    wire = wire_named(form)
    plain = ChatRequest(messages=(Message("user", "why"),))
    asked = wire.encode(ChatRequest(messages=plain.messages, effort=effort), "m")
    assert asked.notes or json.loads(asked.body) != json.loads(wire.encode(plain, "m").body)
