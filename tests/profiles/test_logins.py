"""Logins of AWS, Entra and Google: which profile uses which, what is sent, and when they are read anew."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest

from llx_magic.errors import AllBackendsFailed, KeyMissing, ProfileError
from llx_magic.keys.logins.aws import AwsLogin, place_of
from llx_magic.keys.logins.entra import EntraLogin
from llx_magic.keys.logins.google import GoogleLogin
from llx_magic.keys.logins.login import LoginProblem
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.session.members import credential_of, endpoint_of, facts_of, member_problem
from llx_magic.session.session import Session
from tests.faults.server import FaultServer, Received
from tests.home import own_home
from tests.logins import ACCESS_KEY, REGION, LoginServer, aws_in, entra_in, google_in, without_logins
from tests.notebook.kit import write_model
from tests.signatures import scope_of, signature_problem
from tests.typed import Typed

profiles = Typed("profile")

KEY, SECRET, TOKEN = "AKIDOFTHEVARIABLES", "a-secret/of+the=variables", "a-session-token-of-the-variables=="
BEARER = "a-bearer-token-0123456789"
HOME_OF_BEDROCK = f"https://bedrock-runtime.{REGION}.amazonaws.com"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    without_logins(tmp_path, monkeypatch.setenv)
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return own_home(tmp_path, monkeypatch)


@pytest.fixture
def variables(monkeypatch):
    """Credentials of AWS in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def member(provider="openai", **connection) -> ModelProfile:
    return ModelProfile("work", provider, "m", connection=Connection(**connection))


def proof_of(profile: ModelProfile):
    endpoint = endpoint_of(profile)
    assert endpoint is not None
    return credential_of(profile, endpoint).read()


def sent_by(home, **connection) -> Received:
    """The one request that a profile sends."""
    with FaultServer() as server:
        write_model(home, "work", base_url=server.base_url, **connection)
        asyncio.run(Session().balancer("work").ask("why"))
        return server.requests[0]


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_a_signature_stands_up_to_a_servers_own_check(home, variables):
    sent = sent_by(home, auth="sigv4", aws_region=REGION)
    assert signature_problem(sent, KEY, SECRET, TOKEN) is None
    assert signature_problem(sent, KEY, "another", TOKEN) == "InvalidSignatureException"
    assert scope_of(sent) == (REGION, "bedrock")


@pytest.mark.parametrize("transport", ["direct", "httpx"])
def test_what_is_signed_is_what_is_sent_though_the_model_is_escaped_in_the_path(
    home, variables, monkeypatch, transport
):
    monkeypatch.setenv("LLX_HTTP_TRANSPORT", transport)
    with FaultServer("500") as server:
        write_model(home, "a.b:0", base_url=server.base_url, provider="bedrock", auth="sigv4", aws_region=REGION)
        (home / "profiles" / "a.b:0.json").rename(home / "profiles" / "work.json")
        with pytest.raises(AllBackendsFailed):
            asyncio.run(Session().balancer("work").ask("why"))
        sent = server.requests[0]
    assert sent.path == "/v1/model/a.b%3A0-model/converse-stream"
    assert signature_problem(sent, KEY, SECRET, TOKEN) is None


def test_credentials_that_a_container_gives_sign_as_well(home, monkeypatch):
    with LoginServer(TOKEN) as given:
        aws_in(given, monkeypatch.setenv)
        sent = sent_by(home, auth="sigv4", aws_region=REGION)
        assert signature_problem(sent, ACCESS_KEY, given.secret, TOKEN) is None


def test_a_profile_of_awss_files_is_taken_by_name(home, tmp_path, variables):
    (tmp_path / "aws-credentials").write_text(
        "[team]\naws_access_key_id = AKIDOFTHETEAM\naws_secret_access_key = of-the-team\n"
    )
    (tmp_path / "aws-config").write_text("[profile team]\nregion = ap-south-1\n")
    sent = sent_by(home, auth="sigv4", aws_profile="team")
    assert signature_problem(sent, "AKIDOFTHETEAM", "of-the-team") is None
    assert scope_of(sent)[0] == "ap-south-1"


@pytest.mark.parametrize(("auth", "give", "scope"), [
    ("entra", entra_in, "https://ai.azure.com"),
    ("google", google_in, "https://www.googleapis.com/auth/cloud-platform"),
])  # fmt: skip
def test_a_token_is_sent_as_a_bearers_whatever_the_form(home, tmp_path, monkeypatch, auth, give, scope):
    with LoginServer(BEARER) as given:
        give(given, monkeypatch.setenv, *([tmp_path] if give is google_in else []))
        sent = sent_by(home, auth=auth)
        assert sent.headers["authorization"] == f"Bearer {BEARER}"
        assert given.scopes == [scope]


def test_a_token_is_asked_for_the_scope_that_the_profile_names(home, monkeypatch):
    with LoginServer(BEARER) as given:
        entra_in(given, monkeypatch.setenv)
        sent_by(home, auth="entra", auth_scope="https://cognitiveservices.azure.com/.default")
        assert given.scopes == ["https://cognitiveservices.azure.com"]


def test_a_header_of_the_profile_outweighs_a_login(home, variables, monkeypatch):
    monkeypatch.setenv("MINE", "a-key-of-mine-0123")
    sent = sent_by(home, auth="sigv4", aws_region=REGION, custom_headers={"authorization": "Key ${MINE}"})
    assert sent.headers["authorization"] == "Key a-key-of-mine-0123"


@pytest.mark.parametrize(("host", "found"), [
    ("bedrock-runtime.us-gov-west-1.amazonaws.com", ("bedrock", "us-gov-west-1")),
    ("bedrock-mantle.us-east-2.api.aws", ("bedrock-mantle", "us-east-2")),
    ("vpce-0a1-x.bedrock-runtime.eu-west-3.vpce.amazonaws.com", ("bedrock", "eu-west-3")),
    ("abc123.execute-api.us-west-2.amazonaws.com", ("execute-api", "us-west-2")),
    ("abc.lambda-url.us-west-2.on.aws", ("lambda", "us-west-2")),
    ("gateway.example", ("bedrock", None)),
])  # fmt: skip
def test_what_is_signed_for_stands_in_the_host(host, found):
    assert place_of(f"https://{host}/model/x/converse") == found


def test_without_any_region_nothing_is_sent_and_the_line_says_what_to_do(home, variables):
    with FaultServer() as server:
        write_model(home, "work", base_url=server.base_url, auth="sigv4")
        with pytest.raises(AllBackendsFailed, match="save the profile with --aws-region, or set AWS_REGION"):
            asyncio.run(Session().balancer("work").ask("why"))
        assert server.requests == []


# --- which credential is used, and where it may go ------------------------------------------------------------------


def test_bedrocks_own_hosts_get_what_awss_chain_has_and_no_other_host_does(variables):
    assert proof_of(member("bedrock", aws_region=REGION)).sign is not None
    for url in (f"https://bedrock-runtime-fips.{REGION}.amazonaws.com", HOME_OF_BEDROCK):
        assert proof_of(member("bedrock", base_url=url)).sign is not None
    for url in (
        "https://gateway.example", "http://127.0.0.1:1", f"{HOME_OF_BEDROCK}.evil.example", f"{HOME_OF_BEDROCK}:8443",
        "https://bedrock-runtime.evil.amazonaws.com", HOME_OF_BEDROCK.replace("https", "http"),
        f"https://x.execute-api.{REGION}.amazonaws.com",
    ):  # fmt: skip
        assert proof_of(member("bedrock", base_url=url)).secrets == ()


def test_another_host_gets_a_signature_where_the_profile_itself_says_so(variables):
    assert proof_of(member("bedrock", base_url="https://gateway.example", auth="sigv4")).sign is not None


def test_bedrocks_key_comes_before_the_chain(variables, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", BEARER)
    found = proof_of(member("bedrock", aws_region=REGION))
    assert (found.key.reveal(), found.sign) == (BEARER, None)
    assert proof_of(member("bedrock", aws_region=REGION, auth="sigv4")).key is None
    assert proof_of(member("bedrock", base_url="https://gateway.example")).secrets == ()


def test_a_key_that_is_named_and_missing_is_not_replaced_by_a_login(variables):
    with pytest.raises(KeyMissing, match="set the environment variable NOWHERE"):
        proof_of(member("bedrock", aws_region=REGION, auth_key_env="NOWHERE"))


def test_where_there_is_neither_both_are_named():
    with pytest.raises(KeyMissing, match=r"aws sso login .*; or set AWS_BEARER_TOKEN_BEDROCK to a key"):
        proof_of(member("bedrock", aws_region=REGION))
    with pytest.raises(KeyMissing) as caught:
        proof_of(member("bedrock", aws_region=REGION, auth="sigv4"))
    assert "BEARER" not in str(caught.value)


def test_a_profile_that_says_bearer_uses_no_login(variables):
    with pytest.raises(KeyMissing, match="set AWS_BEARER_TOKEN_BEDROCK"):
        proof_of(member("bedrock", aws_region=REGION, auth="bearer"))


VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
OTHERS_OF_VERTEX = ("https://aiplatform.googleapis.com", "https://aiplatform.eu.rep.googleapis.com/v1/projects/p")


@pytest.mark.parametrize("provider", ["vertex", "anthropic-vertex"])
def test_vertexs_hosts_get_googles_login_unasked_and_no_other_host_does(provider, tmp_path, monkeypatch):
    with LoginServer(BEARER) as given:
        google_in(given, monkeypatch.setenv, tmp_path)
        for url in (VERTEX, f"{VERTEX}/endpoints/openapi", *OTHERS_OF_VERTEX):
            found = proof_of(member(provider, base_url=url))
            assert found.headers["Authorization"].reveal() == f"Bearer {BEARER}"
        for url in ("https://gateway.example", "https://aiplatform.googleapis.com.evil.example", f"{VERTEX}"[:8] + "x"):
            assert proof_of(member(provider, base_url=url)).secrets == ()
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token-of-mine-0123")
        assert proof_of(member(provider, base_url=VERTEX)).key.reveal() == "a-token-of-mine-0123"


def test_where_vertex_has_neither_a_login_nor_a_token_both_are_named():
    with pytest.raises(KeyMissing, match=r"gcloud auth .*; or set GOOGLE_OAUTH_ACCESS_TOKEN to a key"):
        proof_of(member("vertex", base_url=VERTEX))


@pytest.mark.parametrize("auth", ["sigv4", "entra", "google"])
def test_nothing_of_a_login_is_sent_unencrypted(home, auth, monkeypatch, tmp_path, variables):
    with LoginServer(BEARER) as given:
        entra_in(given, monkeypatch.setenv)
        google_in(given, monkeypatch.setenv, tmp_path)
        write_model(home, "work", base_url="http://gateway.example/v1", auth=auth, aws_region=REGION)
        with pytest.raises(AllBackendsFailed, match="never sent unencrypted"):
            asyncio.run(Session().balancer("work").ask("why"))


def test_the_region_comes_from_the_profile_and_then_from_the_environment(monkeypatch):
    assert "needs an aws-region (or the variable AWS_REGION)" in member_problem(member("bedrock"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert endpoint_of(member("bedrock")).label == "bedrock-runtime.us-east-1.amazonaws.com"
    assert endpoint_of(member("bedrock-mantle")).base_url == "https://bedrock-mantle.us-east-1.api.aws/v1"
    assert endpoint_of(member("bedrock", aws_region=REGION)).base_url == HOME_OF_BEDROCK
    monkeypatch.setenv("AWS_DEFAULT_REGION", "evil.example/")
    assert endpoint_of(member("bedrock")) is None


# --- when a login is read -------------------------------------------------------------------------------------------


def logins(given: LoginServer, tmp_path, setenv):
    aws_in(given, setenv)
    entra_in(given, setenv)
    google_in(given, setenv, tmp_path)
    return AwsLogin(), EntraLogin(), GoogleLogin()


def test_what_lasts_is_fetched_once_and_what_ends_soon_anew(tmp_path, monkeypatch):
    """AWS's library renews 15 minutes before the end, Google's 4, and here an Entra token lasts 5 at least."""
    with LoginServer(BEARER, seconds=3600) as given:
        for login in logins(given, tmp_path, monkeypatch.setenv):
            before = given.asked
            assert [secret.reveal() for _ in range(3) for secret in login.read().secrets[-1:]] == [BEARER] * 3
            assert given.asked == before + 1
    with LoginServer(BEARER, seconds=100) as given:
        for login in logins(given, tmp_path, monkeypatch.setenv):
            before = given.asked
            login.read()
            login.read()
            assert given.asked >= before + 2


def test_a_login_that_was_changed_is_read_anew_at_once(tmp_path, monkeypatch):
    with LoginServer(BEARER) as old, LoginServer("another-token-9876543210") as new:
        assert len({login.read().secrets[-1] for login in logins(old, tmp_path, monkeypatch.setenv)}) == 1
        for login in logins(new, tmp_path, monkeypatch.setenv):
            assert login.read().secrets[-1].reveal() == new.token


@pytest.mark.parametrize(("login", "module", "extra", "mend"), [
    (AwsLogin(), "botocore.session", "aws", "aws sso login"),
    (EntraLogin(), "azure.identity", "azure", "az login"),
    (GoogleLogin(), "google.auth", "google", "gcloud auth application-default login"),
])  # fmt: skip
def test_where_there_is_nothing_one_line_says_what_to_type(monkeypatch, login, module, extra, mend):
    with pytest.raises(LoginProblem, match=mend):
        login.read()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LoginProblem, match=rf"not installed; type .*install .*({extra}|botocore)") as caught:
        login.read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", ["[team", "[profile team]\nsso_session = gone\n", "[profile other]\n"])
def test_broken_files_of_awss_tools_are_a_line_of_ours(tmp_path, broken):
    (tmp_path / "aws-config").write_text(broken)
    with pytest.raises(LoginProblem, match=r"the AWS profile team .*; type aws sso login --profile team"):
        AwsLogin("team").read()


def test_the_list_of_profiles_says_whether_a_login_is_there(variables):
    found = facts_of([member("bedrock", aws_region=REGION)])["work"]
    assert (found.key, found.is_ready) == ("found: your AWS credentials", True)


def test_no_log_of_a_library_shows_a_login(tmp_path, monkeypatch, caplog):
    """At DEBUG botocore writes what it signs, and the replies that hold its credentials."""
    caplog.set_level(logging.DEBUG)
    with LoginServer(BEARER) as given:
        for login in logins(given, tmp_path, monkeypatch.setenv):
            found = login.read()
            if found.sign:
                signed = found.sign("POST", HOME_OF_BEDROCK, {"Content-Type": "application/json"}, b"{}")
                assert signed.secrets[0].reveal() not in caplog.text
        assert BEARER not in caplog.text
        assert given.secret not in caplog.text


# --- the profile's keys ---------------------------------------------------------------------------------------------


def test_the_keys_of_a_login_are_read_and_written(home):
    typed = "save model b --provider bedrock --model m --auth sigv4 --aws-region us-east-1 --aws-profile team"
    profiles.run(Session(), typed)
    text = (home / "profiles" / "b.json").read_text()
    assert all(f'"{key}": "{value}"' in text for key, value in (("auth", "sigv4"), ("aws-region", "us-east-1")))
    again = read_document(write_document(read_document(text, "b")), "b")
    assert (again.connection.auth, again.connection.aws_profile) == ("sigv4", "team")


@pytest.mark.parametrize(("given", "said"), [
    ({"auth": "kerberos"}, "auth must be one of bearer, sigv4, entra, google; got 'kerberos'"),
    ({"aws_region": "Frankfurt"}, "aws-region must be a region such as us-east-1; got 'Frankfurt'"),
    ({"aws_profile": "a b"}, "aws-profile must be the name of a profile"),
    ({"auth_scope": "x y"}, "auth-scope must be what a token is for"),
    ({"auth": "sigv4", "auth_key_env": "MINE"}, "uses a login in the place of a key; leave out auth-key-env"),
    ({"auth": "entra", "auth_key": "sk-1"}, "leave out auth-key"),
    ({"aws_profile": "AKIAIOSFODNN7EXAMPLE"}, "looks like a key itself"),
])  # fmt: skip
def test_a_login_that_cannot_be_is_refused_in_one_line(given, said):
    with pytest.raises(ProfileError) as caught:
        Connection(**given)
    assert said in str(caught.value)
    assert "AKIAIOSF" not in str(caught.value)
