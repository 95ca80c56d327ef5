"""OpenTelemetry's conventions for generative AI, as their own package has them: every name, every fact wanted."""

from __future__ import annotations

import asyncio
import inspect
import json
import re

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.semconv.schemas import Schemas

import llx_magic
from llx_magic.commands import prompt
from llx_magic.core.sampling import sampling_of
from llx_magic.engine.clocks import LoopClock, VirtualClock
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe.otel import instrument
from llx_magic.observe.otel.names import SCHEMA_URL, Instruments, about_backend
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.providers.table import PROVIDERS
from llx_magic.session.session import Session
from tests.faults.server import FaultServer
from tests.home import own_home
from tests.observe.test_otel import Watched, simulated
from tests.typed import options

pytestmark = pytest.mark.skipif(
    not hasattr(gen_ai_attributes, "GEN_AI_REQUEST_STREAM"), reason="this version of the conventions is older than ours"
)

FULL = {
    "temperature": 0.5, "top_p": 1, "top_k": 40, "max_tokens": 100, "seed": 7, "stop": ["END", "\n\n"],
    "frequency_penalty": 0.25, "presence_penalty": -0.5, "n": 2, "response_format": {"type": "json_object"},
}  # fmt: skip


def current(module: object) -> set[str]:
    """The names that a module of the conventions has and does not replace or take back."""
    source = inspect.getsource(module)  # type: ignore[arg-type]
    found = re.findall(r'^[A-Z_]+: Final = \(?\s*"([^"]+)"\s*\)?\n"""\n(.*?)"""', source, re.MULTILINE | re.DOTALL)
    return {name for name, said in found if not re.match(r"Deprecated: (Replaced|Removed|Obsoleted)", said)}


ATTRIBUTES = set().union(*map(current, (gen_ai_attributes, error_attributes, http_attributes, server_attributes)))


def real(name: str, server: FaultServer, **params) -> ModelProfile:
    return ModelProfile(name, "openai", f"{name}-1", connection=Connection(base_url=server.base_url), params=params)


@pytest.fixture
def server():
    with FaultServer("ok", text="Two is a prime, you know.") as made:
        yield made


def asked(*members: ModelProfile, **how) -> Watched:
    watched = Watched(*members, clock=LoopClock())
    watched.ask(**how)
    return watched


# --- names -----------------------------------------------------------------------------------------------------------


def test_every_name_but_our_own_is_one_of_the_conventions(server):
    watched = Watched(simulated("a", "503"), real("b", server), clock=LoopClock(), failover_retry_count=1)
    watched.ask(params=FULL)
    names = {name for span in watched.spans for name in span.attributes}
    names |= {name for event in watched.request.events for name in event.attributes}
    names |= {
        name
        for metric in ("gen_ai.client.operation.duration", "gen_ai.client.token.usage", "llx.attempt.duration")
        for point in watched.points(metric)
        for name in point.attributes
    }
    others = {name for name in names if not name.startswith("llx.")}
    assert {"gen_ai.request.seed", "server.port", "error.type"} <= others
    assert others - ATTRIBUTES == set()


def test_every_metric_but_our_own_is_one_of_the_conventions_with_its_unit():
    meter = MeterProvider().get_meter("test")
    ours = [each for each in vars(Instruments(meter)).values() if each.name.startswith("gen_ai.")]
    assert len(ours) == 4
    for made in ours:
        makers = (getattr(gen_ai_metrics, name) for name in dir(gen_ai_metrics) if name.startswith("create_gen_ai"))
        (theirs,) = (each for each in (maker(meter) for maker in makers) if each.name == made.name)
        assert made.unit == theirs.unit


def test_every_metric_of_the_conventions_for_clients_is_kept():
    wanted = {name for name in vars(gen_ai_metrics).values() if str(name).startswith("gen_ai.client.")}
    ours = {each.name for each in vars(Instruments(MeterProvider().get_meter("test"))).values()}
    assert wanted <= ours


def test_a_provider_that_the_conventions_know_has_their_name():
    theirs = {each.value for each in gen_ai_attributes.GenAiProviderNameValues}
    known = {"openai", "anthropic", "gemini", "deepseek", "groq", "mistral", "xai", "perplexity", "cohere"}
    for name in known & {provider.name for provider in PROVIDERS.values()}:
        assert about_backend(ModelProfile("a", name, "m"))["gen_ai.provider.name"] in theirs, name


def test_the_scope_has_our_version_and_the_conventions_schema(server):
    watched = asked(real("a", server))
    assert SCHEMA_URL in {schema.value for schema in Schemas}
    (metrics,) = watched.reader.get_metrics_data().resource_metrics
    for scope in (watched.request.instrumentation_scope, metrics.scope_metrics[0].scope):
        assert (scope.name, scope.version, scope.schema_url) == ("llx_magic", llx_magic.__version__, SCHEMA_URL)


# --- facts -----------------------------------------------------------------------------------------------------------


def test_a_request_tells_how_it_was_asked(server):
    attributes = asked(real("a", server, temperature=0.9, top_p=1), params=FULL).request.attributes
    told = {name: attributes[name] for name in attributes if name.startswith(("gen_ai.request", "gen_ai.output"))}
    assert told == {
        "gen_ai.request.model": "a-1",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END", "\n\n"),
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": -0.5,
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "json",
    }
    assert isinstance(told["gen_ai.request.top_p"], float)


def test_without_a_stream_that_is_said(server):
    assert (
        asked(real("a", server), settings={"streaming": "disabled"}).request.attributes["gen_ai.request.stream"]
        is False
    )


def test_where_it_went_and_what_the_server_calls_its_reply_is_told(server):
    watched = asked(real("a", server))
    port = int(server.base_url.rpartition(":")[2].partition("/")[0])
    assert watched.request.attributes["server.address"] == "127.0.0.1"
    assert watched.request.attributes["server.port"] == port
    assert watched.attempts()[0].attributes["server.port"] == port
    assert watched.request.attributes["gen_ai.response.id"]
    (point,) = watched.points("gen_ai.client.operation.duration")
    assert point.attributes["server.port"] == port


@pytest.mark.parametrize(
    ("provider", "base_url", "server"),
    [
        ("openai", None, ("api.openai.com", 443)),
        ("openai", "https://gateway.example/v1", ("gateway.example", 443)),
        ("openai", "http://127.0.0.1:8000/v1", ("127.0.0.1", 8000)),
        ("openai", "http://[::1]:8000/v1", ("::1", 8000)),
        ("openai", "gateway.example:8443/v1/chat/completions", ("gateway.example", 8443)),
        ("ollama", None, ("localhost", 11434)),
        ("local", None, None),
        ("simulated", None, None),
        ("unheard-of", None, None),
    ],
)
def test_the_server_is_that_of_the_base_url(provider, base_url, server):
    about = about_backend(ModelProfile("a", provider, "m", connection=Connection(base_url=base_url)))
    told = (about["server.address"], about["server.port"]) if "server.address" in about else None
    assert told == server


def test_after_a_failover_server_and_parameters_are_those_of_the_backend_that_answered(server):
    watched = asked(real("b", server, temperature=0.5), simulated("c"))
    assert watched.request.attributes["gen_ai.request.temperature"] == 0.5
    with FaultServer("503") as broken:
        watched = asked(real("a", broken, temperature=0.5, seed=3), simulated("b", "503"), simulated("c"))
    assert watched.request.attributes["llx.backend"] == "c"
    assert not {"server.address", "gen_ai.request.temperature", "gen_ai.request.seed"} & set(watched.request.attributes)
    assert watched.attempts()[0].attributes["gen_ai.request.seed"] == 3


def test_a_request_that_nobody_answers_names_the_last_server(server):
    server.set_default("503")
    watched = Watched(real("a", server), clock=LoopClock())
    with pytest.raises(AllBackendsFailed):
        watched.ask(settings={"failover_retry_count": 1})
    assert watched.request.attributes["server.address"] == "127.0.0.1"
    assert watched.request.attributes["gen_ai.request.stream"] is True


def test_what_sampling_starts_with_is_there_when_every_backend_has_a_server(server):
    """A sampler sees what a span is created with."""
    seen = []

    class Sampler:
        def on_start(self, span, parent_context=None):
            seen.append(dict(span.attributes))

        def on_end(self, span):
            pass

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=0):
            return True

    watched = Watched(real("a", server), real("b", server), processor=Sampler(), clock=LoopClock())
    watched.ask()
    assert seen[0]["server.address"] == "127.0.0.1"
    assert seen[0]["gen_ai.provider.name"] == "openai"
    assert seen[0]["gen_ai.operation.name"] == "chat"


@pytest.mark.parametrize("name", ["trip", ""])
def test_a_conversation_is_named_the_same_at_every_turn(tmp_path, monkeypatch, name):
    own_home(tmp_path, monkeypatch)
    session = Session(clock=VirtualClock())
    session.store.save(simulated("a"))
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(session.balancer("a"), tracers, MeterProvider())
    for text in ("one", "two"):
        balancer, ask = prompt.prepare(session, options(f"-p a --chat={name}"), text)
        asyncio.run(balancer.run(ask, lambda _part: None))
    requests = [span for span in exporter.get_finished_spans() if span.parent is None]
    ids = {span.attributes["gen_ai.conversation.id"] for span in requests}
    assert (len(requests), len(ids)) == (2, 1)
    assert not name or ids == {name}


def test_a_prompt_of_no_conversation_names_none():
    watched = Watched(simulated("a"))
    watched.ask()
    assert "gen_ai.conversation.id" not in watched.request.attributes


def test_the_mean_time_from_one_piece_to_the_next_is_kept_for_each_streamed_reply():
    watched = Watched(simulated("a", reply="one two three four five", tokens_per_second=4, latency_ms=100))
    watched.ask()
    (point,) = watched.points("gen_ai.client.operation.time_per_output_chunk")
    assert (point.count, round(point.sum, 3)) == (1, 0.25)


# --- and nothing else ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": "hot"}, {"temperature": True}, {"temperature": float("nan")}, {"max_tokens": 1.5},
        {"seed": None}, {"stop": 7}, {"stop": [{"a": 1}]}, {"stop": "x" * 65}, {"response_format": {"type": "SECRET"}},
        {"response_format": "json"}, {"user": "SECRET"}, {"metadata": {"a": "SECRET"}}, {"tools": [{"SECRET": 1}]},
        {"n": "2"}, {},
    ],
    ids=str,
)  # fmt: skip
def test_a_parameter_of_another_name_or_type_is_told_to_nobody(params):
    assert sampling_of(params, json=False) is None


def test_json_that_was_asked_for_as_a_form_is_told():
    assert json.loads(sampling_of({"temperature": 1}, json=True)) == {
        "response_format": "json_object", "temperature": 1,
    }  # fmt: skip


def test_the_events_frame_has_it_as_text():
    watched = Watched(simulated("a"))
    watched.ask(params={"temperature": 0.5, "user": "somebody"})
    frame = watched.lb.events()
    (told,) = frame.loc[frame["event"] == "AttemptStarted", "sampling"]
    assert json.loads(told) == {"temperature": 0.5}
