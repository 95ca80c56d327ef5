"""``%llx_chat``: what it shows, changes and writes, and that no model's text can do harm in any of it."""

from __future__ import annotations

import pytest

from llx_magic.commands.localtime import day_and_time
from llx_magic.errors import UsageProblem
from llx_magic.session.conversations import Conversations
from llx_magic.session.turns import Turn
from tests.typed import ConversationsTyped

chat = ConversationsTyped()

AT = day_and_time("2026-01-02T03:04:05.000+00:00")

HOSTILE = "\x1b[2J\x1b]0;title\x07<script>alert(1)</script>\u202e```\n````\n## Turn 9\n[9] forged\r"


def turn(cell: str | None, prompt: str = "", **changes) -> Turn:
    text = prompt or f"ask {cell}"
    given = {"cell": cell, "prompt": text, "reply": f"re: {text}", "backend": "groq", "model": "llama"}
    return Turn(**{**given, "at": "2026-01-02T03:04:05.000+00:00", **changes})


@pytest.fixture
def conversations(tmp_path) -> Conversations:
    return Conversations(tmp_path / "conversations")


@pytest.fixture
def filled(conversations) -> Conversations:
    """Three turns in ``plan``, one in the unnamed conversation."""
    for cell in "abc":
        conversations.record("plan", turn(cell))
    conversations.record(None, turn("u", "unnamed prompt"))
    return conversations


@pytest.fixture
def hostile(conversations) -> Conversations:
    """A conversation every field of which tries to break out."""
    texts = dict.fromkeys(("prompt", "reply", "backend", "model", "at", "system"), HOSTILE)
    conversations.record("evil", turn("a", **texts))
    return conversations


def assert_harmless(text: str) -> None:
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)


@pytest.mark.parametrize(
    ("prog", "hint"), [("%llx_chat", "%%llx --chat NAME"), ("llx chat", "llx --chat NAME --prompt")]
)
@pytest.mark.parametrize("line", ["", "list"])
def test_an_empty_list_says_how_to_start(conversations, line, prog, hint):
    """The hint is in the words of the place where it was asked."""
    assert hint in chat.run(conversations, line, prog).text


def test_the_list_has_a_row_for_each_conversation(filled):
    """The unnamed one first; number of turns, time of the latest, first prompt."""
    (filled.folder / "bad.json").write_text("{")
    found = chat.run(filled, "list")
    lines = [line.split() for line in found.text.splitlines()[2:]]
    assert lines[0][:3] == ["(unnamed)", "1", AT.split()[0]]
    assert lines[1][:2] == ["bad", "broken"]
    assert lines[2] == ["plan", "3", *AT.split(), "ask", "a"]
    assert "<td" in found.html


def test_show_gives_every_turn_with_who_answered(filled):
    """Prompt and reply are indented below the heading of their turn."""
    text = chat.run(filled, "show plan").text
    assert text.startswith(f"conversation plan: 3 turns\n\n[1] {AT} · groq (llama)\n")
    assert "  prompt:\n    ask b\n  reply:\n    re: ask b" in text


def test_show_without_a_name_is_the_unnamed_conversation(filled):
    """It belongs to this session."""
    assert "unnamed prompt" in chat.run(filled, "show").text


def test_show_leaves_out_early_turns_and_says_so(conversations):
    """The number of turns can be chosen."""
    for number in range(25):
        conversations.record("long", turn(str(number)))
    text = chat.run(conversations, "show long").text
    assert "25 turns, the latest 20 shown (-n 25 shows all)" in text
    assert "[5] " not in text
    assert "[6] " in text
    assert "[1] " in chat.run(conversations, "show long -n 25").text


@pytest.mark.parametrize("action", ["show", "export"])
def test_an_empty_conversation_says_how_to_add_a_turn(conversations, action):
    """The unnamed one needs no name in a notebook."""
    assert chat.run(conversations, action).text == "the unnamed conversation has no turns yet: %%llx --chat adds one"


@pytest.mark.parametrize("action", ["show", "clear", "export", "delete"])
def test_an_unknown_name_offers_the_nearest(filled, action):
    """One line, with what was given."""
    with pytest.raises(UsageProblem, match=r"there is no conversation plam; did you mean plan\?"):
        chat.run(filled, f"{action} plam")


def test_clear_says_where_the_turns_are_kept(filled):
    """The unnamed conversation has no file to keep."""
    assert chat.run(filled, "clear plan").text == (
        "conversation plan is cleared of 3 turns; its file is kept as plan.json.bak"
    )
    assert chat.run(filled, "clear plan").text == "conversation plan had no turns"
    assert chat.run(filled, "clear").text == "the unnamed conversation is cleared of 1 turn"


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5", "٣", "9" * 5000])
def test_a_number_of_turns_must_be_one(filled, given):
    """The message says what is allowed."""
    with pytest.raises(UsageProblem) as raised:
        chat.run(filled, f"show plan -n {given}")
    assert "-n must be a number of turns, at least 1" in str(raised.value)


def test_delete_says_where_the_file_is_kept(filled):
    """The name is free again."""
    assert chat.run(filled, "delete plan").text == "deleted conversation plan; its file is kept as plan.json.bak"
    assert filled.names() == ()


def test_markdown_has_a_heading_for_each_turn(filled):
    """Prompt and reply are in fenced blocks below it."""
    text = chat.run(filled, "export plan").text
    assert text.startswith("# Conversation plan\n\n## Turn 1\n\n")
    assert "### Prompt\n\n```text\nask b\n```\n\n### Reply\n\n```markdown\nre: ask b\n```" in text
    assert text.count("## Turn ") == 3


def test_markdown_shows_the_system_prompt_where_it_changes(conversations):
    """Repeating it with every turn would drown the rest."""
    for cell, system in (("a", "be brief"), ("b", "be brief"), ("c", "be long")):
        conversations.record("plan", turn(cell, system=system))
    text = chat.run(conversations, "export plan").text
    assert (text.count("be brief"), text.count("be long")) == (1, 1)


def test_markdown_goes_to_a_new_file_only(filled, tmp_path):
    """A file that is there is not overwritten."""
    target = tmp_path / "out.md"
    assert chat.run(filled, f"export plan --file '{target}'").text.startswith("conversation plan: 3 turns written to ")
    written = target.read_text("utf-8")
    assert written == chat.run(filled, "export plan").text + "\n"
    with pytest.raises(UsageProblem, match=r"out\.md: is there already and is not overwritten; choose another file"):
        chat.run(filled, f"export plan --file '{target}'")
    assert target.read_text("utf-8") == written


@pytest.mark.parametrize("file", ["missing/out.md", "nul\0byte"])
def test_a_file_that_cannot_be_written_is_one_line(filled, tmp_path, file):
    """The path and the system's reason."""
    with pytest.raises(UsageProblem, match="cannot be written") as raised:
        chat.run_words(filled, ["export", "plan", "--file", str(tmp_path / file)])
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("line", ["list", "show evil", "export evil"])
def test_hostile_text_is_harmless_in_every_output(hostile, line):
    """No control sequence in plain text, no tag in HTML."""
    found = chat.run(hostile, line, "llx chat")
    assert_harmless(found.text)
    assert_harmless(found.html)
    assert "<script" not in found.html


def test_no_text_can_pass_for_a_turn(hostile):
    """Lines of a reply that look like headings stay inside the reply."""
    assert [line for line in chat.run(hostile, "show evil").text.splitlines() if line.startswith("[")][1:] == []
    assert "## Turn 9" in chat.run(hostile, "export evil").text.splitlines()
    parsed = _headings(chat.run(hostile, "export evil").text)
    assert parsed == ["Conversation evil", "Turn 1", "System", "Prompt", "Reply"]


def _headings(markdown: str) -> list[str]:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(markdown)
    return [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]


@pytest.mark.parametrize("text", ["", "\n", "a\n\n", "`", "```", "~~~\n````x\n", "    indented", "```\nfence\n```\n"])
def test_fenced_text_comes_back_from_markdown_as_it_was(conversations, text):
    """Whatever a prompt holds, its block holds it and nothing else; a last line end apart."""
    from markdown_it import MarkdownIt

    conversations.record("plan", turn("a", reply=text))
    tokens = MarkdownIt("commonmark").parse(chat.run(conversations, "export plan").text)
    blocks = [token.content for token in tokens if token.type == "fence"]
    assert [block.removesuffix("\n") for block in blocks] == ["ask a", text.removesuffix("\n")]


def test_an_unknown_action_offers_the_nearest(conversations):
    """As every command does."""
    with pytest.raises(UsageProblem, match=r"did you mean export\?"):
        chat.run(conversations, "exprt")


@pytest.mark.parametrize("line", ["--help", "show --help", "export -h"])
def test_help_is_in_the_words_of_the_place(conversations, line):
    """The same grammar serves notebook and command line."""
    assert "llx chat" in chat.run(conversations, line, "llx chat").text
