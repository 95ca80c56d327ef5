"""What a dashboard says in every situation, to those who see it and to those who do not."""

from __future__ import annotations

import pytest

from llx_magic.dashboard import panel
from llx_magic.observe.status.status import status_of
from tests.dashboard.situations import SITUATIONS
from tests.dashboard.test_panel import Elements, text_of


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_says_in_words_what_happens(name: str) -> None:
    snapshot, view, says = SITUATIONS[name]()
    said = text_of(*panel.draw(snapshot, view).values())
    assert [words for words in says if words not in said] == []


@pytest.mark.parametrize("name", SITUATIONS)
def test_who_does_not_see_it_is_told_the_sentence(name: str) -> None:
    """The image that a page without styles shows has the sentence as its text."""
    snapshot, view, _says = SITUATIONS[name]()
    (image,) = Elements(panel.whole(snapshot, view)).named("img")
    assert status_of(snapshot).sentence in (image["alt"] or "")
