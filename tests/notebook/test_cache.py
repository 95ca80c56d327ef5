"""``%%llx --cache`` and ``%llx_cache`` as a notebook's user meets them."""

from __future__ import annotations

from llx_magic.replies.store import default_path


def test_a_cell_that_runs_again_is_answered_from_the_store(user, first):
    user("%%llx --cache\nSay hello").fine()
    ran = user("%%llx --cache\nSay hello").fine()
    assert len(first.requests) == 1
    assert user.last.text == "First **says** hello."
    assert "First **says** hello." in ran.printed
    assert "from the store, asked " in ran.printed


def test_a_dry_run_says_that_nobody_would_be_asked(user, first):
    user("%%llx --cache\nSay hello").fine()
    ran = user("%%llx --cache --dry-run\nSay hello").fine()
    assert "nobody: first (first-model) gave the reply that is in the store" in ran.printed


def test_the_store_is_shown_and_cleared(user, first):
    assert "there is no store yet" in user("%llx_cache").fine().printed
    user("%%llx --cache\nSay hello").fine()
    shown = user("%llx_cache").fine().printed
    assert "replies.sqlite: 1 reply, " in shown
    assert "pair" in shown
    assert ": 1 deleted, 0 left, " in user("%llx_cache clear").fine().printed
    user("%%llx --cache\nSay hello").fine()
    assert len(first.requests) == 2


def test_no_key_is_in_the_store(user, first, home, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-live-0123456789abcdef0123456789abcdef")
    user("%%llx --cache --set keep_prompts=true\nSay hello").fine()
    assert b"sk-live" not in b"".join(path.read_bytes() for path in default_path().parent.glob("replies*"))
