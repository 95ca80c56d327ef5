"""What services tell of their limits, each in its own headers and bodies, and what no one should believe of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.reading.errors import error_of
from llx_magic.backends.reading.rates import NO_WINDOWS, told_by_error, told_by_headers
from llx_magic.backends.wires.anthropic_reader import MessageReader
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.rate_facts import BY_MINUTE, DAY, MINUTE, MONTH, Allowance, Measure, longest_wait
from llx_magic.providers.find import find_provider
from tests.backends.kit import NOON, refusal
from tests.faults.asking import Pieces

REQUESTS, TOKENS, INPUT, OUTPUT = Measure
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
"""Noon of these tests."""


def told(headers, provider: str = "openai"):
    """Return what headers tell of a provider, each limit as a tuple: measure, limit, remaining, reset, window."""
    known = find_provider(provider)
    windows = known.accent.windows if known else NO_WINDOWS
    return flat(told_by_headers({name.replace("_", "-"): value for name, value in headers.items()}, NOON, windows))


def flat(facts):
    return [(each.measure, each.limit, each.remaining, each.resets_in, each.window) for each in facts]


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def test_openai_tells_requests_and_tokens_of_a_minute():
    headers = {
        "x_ratelimit_limit_requests": "500", "x_ratelimit_remaining_requests": "499",
        "x_ratelimit_reset_requests": "120ms", "x_ratelimit_limit_tokens": "30000",
        "x_ratelimit_remaining_tokens": "29000", "x_ratelimit_reset_tokens": "2s",
    }  # fmt: skip
    assert told(headers) == [(REQUESTS, 500, 499, 0.12, MINUTE), (TOKENS, 30_000, 29_000, 2.0, MINUTE)]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("12ms", 0.012), ("1s", 1.0), ("6m0s", 360.0), ("16m17.764s", 977.764), ("1h2m3.5s", 3723.5), ("0s", 0.0),
        ("500µs", 0.0005), ("500us", 0.0005), ("90ns", 9e-8), ("0", 0.0), ("7.5", 7.5), ("60", 60.0),
    ],
)  # fmt: skip
def test_a_reset_is_read_in_every_spelling_of_go_and_in_seconds(written, seconds):
    headers = {"x_ratelimit_remaining_tokens": "1", "x_ratelimit_reset_tokens": written}
    assert told(headers)[0][3] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("limit", "left", "reset"), [("200", "199", "7m12s"), ("10000", "9999", "8.64s"), ("200", "0", "24h0m0s")]
)
def test_requests_that_come_back_as_slowly_as_those_of_a_day_are_those_of_a_day(limit, left, reset):
    """OpenAI's lowest tiers count them so, under the name of those of a minute."""
    headers = {
        "x_ratelimit_limit_requests": limit,
        "x_ratelimit_remaining_requests": left,
        "x_ratelimit_reset_requests": reset,
    }
    assert told(headers)[0][4] == DAY


def test_a_window_that_ends_at_once_is_not_taken_for_a_day():
    """A gateway that counts anew each minute: what is gone and the time to the end say nothing of each other."""
    headers = {
        "x_ratelimit_limit_requests": "1440",
        "x_ratelimit_remaining_requests": "1439",
        "x_ratelimit_reset_requests": "60",
    }
    assert told(headers)[0][4] == MINUTE


def test_of_a_project_and_its_organisation_the_tighter_limit_is_told():
    headers = {
        "x_ratelimit_limit_tokens": "30000", "x_ratelimit_remaining_tokens": "29000",
        "x_ratelimit_limit_project_tokens": "10000", "x_ratelimit_remaining_project_tokens": "900",
        "x_ratelimit_reset_project_tokens": "55s",
    }  # fmt: skip
    assert told(headers) == [(TOKENS, 10_000, 900, 55.0, MINUTE)]


def test_the_older_name_of_openai_s_tokens_is_known():
    headers = {"x_ratelimit_limit_tokens_usage_based": "180,000", "x_ratelimit_remaining_tokens_usage_based": "90,000"}
    assert told(headers) == [(TOKENS, 180_000, 90_000, None, MINUTE)]


@pytest.mark.parametrize("unknown", ["-1", "0"])
def test_a_limit_that_is_given_as_unknown_tells_nothing(unknown):
    headers = {
        "x_ratelimit_limit_requests": unknown,
        "x_ratelimit_remaining_requests": unknown,
        "x_ratelimit_reset_requests": "0",
    }
    assert told(headers) == []


def test_nothing_left_of_a_limit_that_is_known_is_told():
    headers = {"x_ratelimit_limit_requests": "60", "x_ratelimit_remaining_requests": "0"}
    assert told(headers) == [(REQUESTS, 60, 0, None, MINUTE)]


@pytest.mark.parametrize("written", ["30,000", "30000", "30000.0", "30000, 30000;w=60", " 30000 "])
def test_a_number_is_read_as_it_is_written(written):
    assert told({"x_ratelimit_limit_tokens": written})[0][1] == 30_000


@pytest.mark.parametrize("rubbish", ["", "many", "nan", "inf", "-5", "1e400", "∞", "0x10"])
def test_what_is_no_number_is_not_believed(rubbish):
    assert told({"x_ratelimit_remaining_tokens": rubbish, "x_ratelimit_limit_tokens": "9"})[0][2] in (None, 0, 1)


# --- Azure ------------------------------------------------------------------------------------------------------------


def test_azure_s_resets_are_whole_seconds_of_a_minute():
    headers = {
        "x_ratelimit_limit_requests": "1440", "x_ratelimit_remaining_requests": "1439",
        "x_ratelimit_reset_requests": "60", "x_ratelimit_limit_tokens": "250000",
        "x_ratelimit_remaining_tokens": "249500", "x_ratelimit_reset_tokens": "60",
    }  # fmt: skip
    assert told(headers, "azure") == [(REQUESTS, 1440, 1439, 60, MINUTE), (TOKENS, 250_000, 249_500, 60, MINUTE)]


def test_azure_s_responses_give_limits_that_mean_nothing():
    headers = {
        "x_ratelimit_limit_tokens": "-1", "x_ratelimit_remaining_tokens": "-1", "x_ratelimit_reset_tokens": "0",
        "x_ratelimit_limit_requests": "-1", "x_ratelimit_remaining_requests": "-1",
    }  # fmt: skip
    assert told(headers, "azure") == []


def test_a_period_that_is_told_is_the_window():
    """Models of Azure AI, and of GitHub."""
    headers = {"x_ratelimit_limit_requests": "10", "x_ratelimit_renewalperiod_requests": "10"}
    assert told(headers, "github") == [(REQUESTS, 10, None, None, 10)]


# --- Anthropic --------------------------------------------------------------------------------------------------------

CLAUDE = {
    "anthropic_ratelimit_requests_limit": "50", "anthropic_ratelimit_requests_remaining": "49",
    "anthropic_ratelimit_requests_reset": "2023-11-14T22:13:22Z",
    "anthropic_ratelimit_input_tokens_limit": "40000", "anthropic_ratelimit_input_tokens_remaining": "39000",
    "anthropic_ratelimit_input_tokens_reset": "2023-11-14T22:13:21Z",
    "anthropic_ratelimit_output_tokens_limit": "8000", "anthropic_ratelimit_output_tokens_remaining": "7000",
    "anthropic_ratelimit_output_tokens_reset": "2023-11-14T22:13:28Z",
}  # fmt: skip


def read_by(reader, headers, clock: float = NOON):
    reader.came_with({name.replace("_", "-"): value for name, value in headers.items()}, clock)


def test_anthropic_tells_input_and_output_apart():
    pieces = Pieces()
    read_by(MessageReader("alpha", "m", pieces), {**CLAUDE, "date": DATE})
    assert [flat(facts) for facts in pieces.rates] == [
        [(REQUESTS, 50, 49, 2, MINUTE), (INPUT, 40_000, 39_000, 1, MINUTE), (OUTPUT, 8000, 7000, 8, MINUTE)]
    ]


def test_a_date_is_compared_with_the_response_s_own_and_not_with_this_machine_s_clock():
    pieces = Pieces()
    read_by(MessageReader("alpha", "m", pieces), {**CLAUDE, "date": DATE}, clock=NOON - 5000)
    assert [each.resets_in for each in pieces.rates[0]] == [2, 1, 8]


def test_a_date_that_has_passed_is_no_wait():
    headers = {"anthropic_ratelimit_tokens_remaining": "0", "anthropic_ratelimit_tokens_reset": "2020-01-01T00:00:00Z"}
    assert told(headers) == [(TOKENS, None, 0, 0, MINUTE)]


def test_the_tightest_of_anthropic_s_limits_is_one_of_tokens():
    headers = {"anthropic_ratelimit_tokens_limit": "48000", "anthropic_ratelimit_tokens_remaining": "46000"}
    assert told(headers) == [(TOKENS, 48_000, 46_000, None, MINUTE)]


def test_a_priority_tier_that_is_used_up_keeps_no_request_back():
    """What goes beyond it is answered at the ordinary tier."""
    headers = {"anthropic_priority_input_tokens_limit": "10000", "anthropic_priority_input_tokens_remaining": "0"}
    assert told(headers) == []


def test_a_subscription_that_is_used_up_says_until_when():
    headers = {
        "anthropic_ratelimit_unified_status": "rejected",
        "anthropic_ratelimit_unified_reset": str(int(NOON) + 9),
    }
    assert told(headers) == [(REQUESTS, None, 0, 9, None)]


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic_ratelimit_unified_status": "allowed", "anthropic_ratelimit_unified_reset": "1700001000"},
        {"anthropic_ratelimit_unified_status": "allowed_warning", "anthropic_ratelimit_unified_5h_reset": "1700001000"},
        {"anthropic_ratelimit_unified_overage_status": "rejected"},
    ],
)
def test_a_subscription_that_is_not_used_up_tells_nothing(headers):
    """That no more may be bought is no limit either."""
    assert told(headers) == []


# --- Groq, Cerebras, Mistral, Together --------------------------------------------------------------------------------

GROQ = {
    "x_ratelimit_limit_requests": "14400", "x_ratelimit_remaining_requests": "14370",
    "x_ratelimit_reset_requests": "2m59.56s", "x_ratelimit_limit_tokens": "18000",
    "x_ratelimit_remaining_tokens": "17997", "x_ratelimit_reset_tokens": "7.66s",
}  # fmt: skip


@pytest.mark.parametrize("provider", ["groq", "openai", "somebody"])
def test_groq_s_requests_are_those_of_a_day_and_its_tokens_those_of_a_minute(provider):
    """Also behind a gateway under another name."""
    assert told(GROQ, provider) == [(REQUESTS, 14_400, 14_370, 179.56, DAY), (TOKENS, 18_000, 17_997, 7.66, MINUTE)]


def test_what_is_known_of_a_service_reaches_the_reader_of_its_replies():
    pieces, provider = Pieces(), find_provider("groq")
    assert provider is not None
    read_by(
        wire_named("openai").accented(provider.accent).reader("alpha", "m", pieces), {"x-ratelimit-limit-requests": "9"}
    )
    assert [each.window for each in pieces.rates[0]] == [DAY]


def test_a_subscription_of_anthropic_that_is_used_up_is_waited_for():
    found = refusal(
        429, {}, anthropic_ratelimit_unified_status="rejected", anthropic_ratelimit_unified_reset=str(int(NOON) + 900)
    )
    assert found.retry_after == 900


def test_groq_s_requests_are_those_of_a_day_also_where_few_are_used():
    headers = {**GROQ, "x_ratelimit_remaining_requests": "14399", "x_ratelimit_reset_requests": "6s"}
    assert told(headers, "groq")[0] == (REQUESTS, 14_400, 14_399, 6, DAY)


def test_the_window_of_cerebras_is_in_the_name():
    headers = {
        "x_ratelimit_limit_requests_day": "14400", "x_ratelimit_remaining_requests_day": "14399",
        "x_ratelimit_reset_requests_day": "33011.382867", "x_ratelimit_limit_tokens_minute": "60000",
        "x_ratelimit_remaining_tokens_minute": "59900", "x_ratelimit_reset_tokens_minute": "11.382867",
    }  # fmt: skip
    assert told(headers, "cerebras") == [
        (REQUESTS, 14_400, 14_399, 33_011.382867, DAY), (TOKENS, 60_000, 59_900, 11.382867, MINUTE),
    ]  # fmt: skip


def test_mistral_tells_requests_and_tokens_of_a_minute():
    headers = {
        "x_ratelimit_limit_req_minute": "60", "x_ratelimit_remaining_req_minute": "59",
        "x_ratelimit_limit_tokens_minute": "500000", "x_ratelimit_remaining_tokens_minute": "499000",
        "x_ratelimit_tokens_query_cost": "1000",
    }  # fmt: skip
    assert told(headers, "mistral") == [(REQUESTS, 60, 59, None, MINUTE), (TOKENS, 500_000, 499_000, None, MINUTE)]


def test_mistral_s_older_headers_tell_tokens_of_a_minute_and_of_a_month():
    headers = {
        "ratelimitbysize_reset": "41", "x_ratelimitbysize_limit_month": "1000000000",
        "x_ratelimitbysize_remaining_month": "999000000", "x_ratelimitbysize_limit_minute": "500000",
        "x_ratelimitbysize_remaining_minute": "0",
    }  # fmt: skip
    assert told(headers, "mistral") == [
        (TOKENS, 1_000_000_000, 999_000_000, None, MONTH), (TOKENS, 500_000, 0, 41, MINUTE),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "tokens",
    [("x_ratelimit_limit_tokens", "x_ratelimit_remaining_tokens"), ("x_tokenlimit_limit", "x_tokenlimit_remaining")],
)
def test_together_counts_by_the_second(tokens):
    headers = {"x_ratelimit_limit": "10", "x_ratelimit_remaining": "9", "x_ratelimit_reset": "1",
               tokens[0]: "3000", tokens[1]: "2900"}  # fmt: skip
    assert told(headers, "together") == [(REQUESTS, 10, 9, 1, 1), (TOKENS, 3000, 2900, None, 1)]


# --- others, by the names of their headers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        # Fireworks
        ({"x_ratelimit_limit_tokens_prompt": "60000", "x_ratelimit_limit_tokens_generated": "6000",
          "x_ratelimit_over_limit": "no"}, [(INPUT, 60_000, None, None, MINUTE), (OUTPUT, 6000, None, None, MINUTE)]),
        # SambaNova
        ({"x_ratelimit_limit_requests": "20", "x_ratelimit_remaining_requests": "19",
          "x_ratelimit_reset_requests": "1700000030", "x_ratelimit_limit_requests_day": "400"},
         [(REQUESTS, 20, 19, 30, MINUTE), (REQUESTS, 400, None, None, DAY)]),
        # Kong
        ({"x_ratelimit_limit_minute": "10", "x_ratelimit_remaining_minute": "3", "x_ratelimit_limit_hour": "100",
          "x_ratelimit_remaining_hour": "93"}, [(REQUESTS, 10, 3, None, 60), (REQUESTS, 100, 93, None, 3600)]),
        # LiteLLM's proxy, which repeats those of the service behind it
        ({"llm_provider-x_ratelimit_limit_requests": "500", "x_ratelimit_limit_requests": "500",
          "x_ratelimit_api_key_remaining_requests": "3"}, [(REQUESTS, None, 3, None, MINUTE)]),
        # Cohere
        ({"x_trial_endpoint_call_limit": "20", "x_trial_endpoint_call_remaining": "19",
          "x_endpoint_monthly_call_limit": "1000"},
         [(REQUESTS, 20, 19, None, 60), (REQUESTS, 1000, None, None, MONTH)]),
        # GitHub
        ({"x_ratelimit_limit": "5000", "x_ratelimit_remaining": "4999", "x_ratelimit_reset": "1700003600",
          "x_ratelimit_used": "1", "x_ratelimit_resource": "core"}, [(REQUESTS, 5000, 4999, 3600, None)]),
        ({"x_rate_limit_limit": "90", "x_rate_limit_remaining": "80"}, [(REQUESTS, 90, 80, None, None)]),
        # the drafts of a standard
        ({"ratelimit_limit": "100, 100;w=10", "ratelimit_remaining": "50", "ratelimit_reset": "5"},
         [(REQUESTS, 100, 50, 5, 10)]),
        ({"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit_policy": "100;w=60"},
         [(REQUESTS, 100, 50, 5, 60)]),
        ({"ratelimit": '"burst";r=3;t=1, "daily";r=900;t=80000',
          "ratelimit_policy": '"burst";q=10;w=1,"daily";q=1000;w=86400'},
         [(REQUESTS, 10, 3, 1, 1), (REQUESTS, 1000, 900, 80_000, DAY)]),
        ({"ratelimit": '"api";r=499;t=295'}, [(REQUESTS, None, 499, 295, None)]),
    ],
)  # fmt: skip
def test_a_service_that_is_not_known_is_read_by_the_names_of_its_headers(headers, expected):
    assert sorted(told(headers, "somebody"), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_type": "application/json", "date": DATE, "x_request_id": "1"},
        {"x_limit": "5", "content_limit": "3", "remaining": "2"},
        {"x_ratelimit_limit_images": "5", "x_ratelimit_limit_concurrent": "5"},
        {"x_ratelimit_reset": "5"},
        {"retry_after": "5"},
    ],
)
def test_headers_without_a_limit_tell_nothing(headers):
    assert told(headers) == []


def test_a_reply_without_such_headers_reports_nothing():
    pieces = Pieces()
    read_by(wire_named("openai").reader("alpha", "m", pieces), {"content_type": "text/event-stream", "date": DATE})
    assert pieces.rates == []


# --- bodies -----------------------------------------------------------------------------------------------------------


def told_in(error, headers=None):
    return flat(told_by_error(error_of({"error": error}), headers or {}, NOON))


def openrouter(words: str, limit: str, reset: float):
    quoted = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset * 1000))}
    return {"code": 429, "message": words, "metadata": {"headers": quoted, "limit_source": "account"}}


def test_openrouter_tells_its_limits_in_the_body_of_a_refusal():
    """As texts, and the reset as a Unix time in milliseconds."""
    error = openrouter("Rate limit exceeded: free-models-per-min.", "20", NOON + 30)
    assert told_in(error) == [(REQUESTS, 20, 0, 30, MINUTE)]


def test_openrouter_s_reset_is_compared_with_the_response_s_own_date():
    error = openrouter("Rate limit exceeded: free-models-per-min.", "20", NOON + 30)
    assert told_in(error, {"date": "Tue, 14 Nov 2023 22:13:40 GMT"})[0][3] == 10


def test_openrouter_s_free_models_of_a_day_are_those_of_a_day():
    error = openrouter("Rate limit exceeded: free-models-per-day-high-balance", "1000", NOON + 40_000)
    assert told_in(error) == [(REQUESTS, 1000, 0, 40_000, DAY)]


def google(quota: str, wait: str = "37s", value: str | None = "15"):
    violation = {"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": quota}
    if value is not None:
        violation["quotaValue"] = value
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait},
    ]
    return {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "exceeded your quota", "details": details}


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", (REQUESTS, 15, 0, 37, MINUTE)),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", (INPUT, 15, 0, 37, MINUTE)),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", (REQUESTS, 15, 0, None, DAY)),
        ("GenerateContentTokensPerDay", (TOKENS, 15, 0, None, DAY)),
    ],
)
def test_gemini_names_the_quota_that_is_used_up(quota, expected):
    """The wait beside a quota of a day is that of a minute, and not believed."""
    assert told_in(google(quota)) == [expected]


def test_gemini_may_keep_the_size_of_a_quota_to_itself():
    assert told_in(google("GenerateRequestsPerMinute", "1.5s", None)) == [(REQUESTS, None, 0, 1.5, MINUTE)]


@pytest.mark.parametrize("error", ["slow down", {"message": "slow down"}, google("Unheard"), google("RequestsPerMoon")])
def test_a_body_that_names_no_limit_tells_nothing(error):
    assert told_in(error) == []


@pytest.mark.parametrize(
    ("error", "is_spent"),
    [
        (openrouter("Rate limit exceeded: free-models-per-min.", "20", NOON + 30), False),
        (openrouter("Rate limit exceeded: free-models-per-day. Add 10 credits", "50", NOON + 40_000), True),
        (openrouter("Rate limit exceeded: free-models-per-day-high-balance", "1000", NOON + 40_000), True),
        (google("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), False),
        (google("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), True),
    ],
)
def test_a_quota_of_a_day_is_used_up_for_long_and_one_of_a_minute_is_waited_for(error, is_spent):
    found = refusal(429, {"error": error})
    assert (found.quota_exhausted, found.retry_after is not None) == (is_spent, True)


# --- together ---------------------------------------------------------------------------------------------------------


def test_the_longest_wait_of_what_is_used_up_counts():
    def left(remaining, resets_in):
        return Allowance(measure=REQUESTS, remaining=remaining, resets_in=resets_in)

    assert longest_wait((left(0, 5.0), left(0, 9.0), left(1, 60.0), left(0, None))) == 9.0
    assert longest_wait((left(1, 60.0),)) is None


@given(
    st.dictionaries(
        st.sampled_from(
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining", "x-ratelimit-reset-tokens", "ratelimit",
             "ratelimit-policy", "anthropic-ratelimit-tokens-reset", "x-ratelimit-limit-tokens", "date",
             "x-ratelimit-renewalperiod-tokens", "x-ratelimit-remaining-tokens"]
        ),
        st.one_of(st.text(max_size=30), st.integers().map(str), st.floats().map(str)),
    )
)  # fmt: skip
def test_no_header_is_too_strange(headers):
    """Figures are never negative, and waits always end."""
    for each in told_by_headers(headers, NOON, BY_MINUTE):
        for figure in (each.limit, each.remaining, each.resets_in, each.window):
            assert figure is None or 0 <= figure < float("inf")
