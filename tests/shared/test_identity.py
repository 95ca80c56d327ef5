"""Under what name a backend is shared."""

from __future__ import annotations

import pytest

from llx_magic.core.ports import Account
from llx_magic.keys.secret import Secret
from llx_magic.shared.identity import name_of

KEY = "sk-test-0123456789"
ACCOUNT = Account("api.example.org", "m", (Secret(KEY),))


def test_the_same_account_has_the_same_name_everywhere():
    assert name_of(ACCOUNT, "word") == name_of(Account("api.example.org", "m", (Secret(KEY),)), "word")


@pytest.mark.parametrize(
    "other",
    [
        Account("api.example.com", "m", (Secret(KEY),)),
        Account("api.example.org", "n", (Secret(KEY),)),
        Account("api.example.org", "m", (Secret("sk-test-other"),)),
        Account("api.example.org", "m", ()),
        Account("api.example.orgm", "", (Secret(KEY),)),
        Account("api.example.org", "m", (Secret(KEY[:4]), Secret(KEY[4:]))),
    ],
)
def test_another_host_model_or_key_is_another_name(other):
    assert name_of(other, "word") != name_of(ACCOUNT, "word")


def test_the_name_depends_on_the_password_of_the_server():
    assert name_of(ACCOUNT, "word") != name_of(ACCOUNT, "another word")


def test_an_account_does_not_show_its_key():
    assert KEY not in repr(ACCOUNT)
