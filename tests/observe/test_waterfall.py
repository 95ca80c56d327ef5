"""The waterfall in HTML: every step in words, every text escaped, nothing that a page could be harmed by."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

from llx_magic.core import events as facts
from llx_magic.core.trace import NOTHING_ASKED, Trace
from llx_magic.observe.palette import ANSWERED, FAILED
from llx_magic.observe.waterfall import as_html
from tests.engine.kit import balancer, failure, simulated


class Page(HTMLParser):
    """The tags in order, each with its attributes, and the texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "col":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def count(self, tag: str, **having: str) -> int:
        return sum(name == tag and having.items() <= attributes.items() for name, attributes in self.tags)


def trace_of_all() -> Trace:
    """A request with a reply that broke off, a wait, a skip and an answer."""
    lb = balancer(
        simulated("a", "503,503,cut:3", latency_ms=300, tokens_per_second=20),
        simulated("b", "503,ok", latency_ms=200),
        simulated("c"),
        failover_retry_count=2,
    )
    lb.open_circuit("c")

    async def main() -> None:
        await lb.ask("why")
        await lb.ask("why")

    asyncio.run(main())
    return lb.trace()


def test_there_is_a_row_per_step_with_its_words():
    trace = trace_of_all()
    page = Page(as_html(trace))
    assert not page.open
    assert page.count("th", scope="row") == len(trace.steps)
    assert [step.text for step in trace.steps if step.text in page.texts] == [step.text for step in trace.steps]
    assert trace.headline in page.texts


def test_it_is_a_table_with_a_caption_and_headings_whose_bars_a_screen_reader_leaves_out():
    page = Page(as_html(trace_of_all()))
    assert page.count("table") == page.count("caption") == page.count("thead") == 1
    assert page.count("th", scope="col") == 4
    bars = [attributes for tag, attributes in page.tags if tag == "svg" and "width" in attributes]
    assert bars
    assert all(attributes["aria-hidden"] == "true" for attributes in bars)


def test_first_token_failure_and_wait_have_marks_of_their_own():
    lb = balancer(simulated("a", "503,ok", latency_ms=500, tokens_per_second=10), failover_retry_count=2)
    asyncio.run(lb.ask("why"))
    page = Page(as_html(lb.trace()))
    assert page.count("path") == 1
    assert sum("stroke-dasharray" in (attributes.get("style") or "") for tag, attributes in page.tags) == 1
    upright = [attributes for tag, attributes in page.tags if tag == "line" and attributes["x1"] == attributes["x2"]]
    assert len(upright) == 1


def test_nothing_is_drawn_outside_of_its_column():
    page = Page(as_html(trace_of_all()))
    for tag, attributes in page.tags:
        if tag == "rect":
            begin, width = (float(str(attributes[key]).rstrip("%")) for key in ("x", "width"))
            assert begin >= 0
            assert begin + width <= 100.01
        assert not {"id", "href", "src"} & set(attributes)
        assert attributes.get("class") in (None, "tex2jax_ignore mathjax_ignore")  # what keeps names from being typeset


def test_colours_are_those_of_the_plots_and_ink_is_that_of_the_theme():
    page = as_html(trace_of_all())
    assert ANSWERED in page
    assert FAILED in page
    assert set(re.findall(r"#[0-9a-f]{3,6}|var\([^)]*\)", page)) <= {ANSWERED, FAILED, "var(--jp-ui-font-color2,#888)"}


def test_hostile_names_and_messages_stay_text():
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\n'
    trace = Trace(
        (
            facts.RequestStarted(at=0, request=1, policy=evil, order=(evil,)),
            facts.BackendSkipped(at=0, request=1, backend=evil, reason=facts.SkipReason.NOT_READY, message=evil),
            facts.AttemptStarted(at=0, request=1, backend=evil, attempt=1, attempts=1),
            facts.AttemptFailed(
                at=1, request=1, backend=evil, attempt=1, failure=failure(message=evil), seconds=1
            ),
            facts.ReplyRestarted(at=1, request=1, failed=evil, reason=evil, next=evil, words=2),
            facts.RequestFailed(at=1, request=1, message=evil, seconds=1),
        )
    )  # fmt: skip
    page = Page(as_html(trace))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert "\x1b" not in "".join(page.texts)
    assert any("<script>alert(1)</script>" in text for text in page.texts)


def test_before_the_first_request_it_says_so():
    assert as_html(Trace(())) == f"<p>{NOTHING_ASKED}</p>"


def test_a_request_under_way_and_one_without_duration_have_bars():
    begun = (
        facts.RequestStarted(at=5, request=1, policy="failover", order=("a",)),
        facts.AttemptStarted(at=5, request=1, backend="a", attempt=1, attempts=2),
    )
    page = Page(as_html(Trace(begun)))
    assert page.count("rect") == 1
    assert "attempt 1/2 under way" in page.texts
