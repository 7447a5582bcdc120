"""The demo's start page and the endpoints of its embedded issuer."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jose import jws, jwt
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from project.views import TokenView

from .demo import ROOT, manage, running

if TYPE_CHECKING:
    from pytest_django import Settings

    from .demo import Demo

TOKEN = "__zuplo/issuer/token"


def test_key_set_has_a_key_of_each_type_without_kid(demo: Demo) -> None:
    answer = demo.request("GET", "__zuplo/issuer/.well-known/jwks.json")

    assert answer.headers["Content-Type"] == "application/json"
    keys = answer.json()["keys"]
    assert [(key["kty"], key["alg"], key["use"]) for key in keys] == [
        ("OKP", "EdDSA", "sig"),
        ("RSA", "RS256", "sig"),
    ]
    assert not {"d", "p", "q", "k"} & {member for key in keys for member in key}
    assert not [key for key in keys if "kid" in key]


def test_discovery_document_leads_to_the_key_set(demo: Demo) -> None:
    answer = demo.request("GET", "__zuplo/issuer/.well-known/openid-configuration")

    assert answer.json()["issuer"] == demo.issuer
    assert answer.json()["jwks_uri"] == f"{demo.issuer}/.well-known/jwks.json"


def test_keys_are_made_at_each_start(demo: Demo) -> None:
    with running() as other:
        path = "__zuplo/issuer/.well-known/jwks.json"
        ours, theirs = (each.request("GET", path).json()["keys"] for each in (demo, other))

    for member in ("x", "n"):
        assert not {key.get(member) for key in ours} & {key.get(member) for key in theirs} - {None}


def test_token_has_what_was_asked_for(demo: Demo) -> None:
    claims = {"sub": "alice", "key": "a claim like any other", "nested": {"list": [1, None]}}

    token = demo.token(claims=claims, lifetime=60, algorithm="RS256")

    found = jwt.get_unverified_claims(token)
    assert found["exp"] == found["iat"] + 60
    assert {name: found[name] for name in claims} == claims
    assert jwt.get_unverified_header(token) == {"alg": "RS256"}
    (key,) = demo.request("GET", "__zuplo/issuer/.well-known/jwks.json").json()["keys"][1:]
    assert jws.verify(token, key, algorithms=["RS256"])


LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}


def minted(settings: Settings, **changes: str) -> Response:
    """The response of the token page to a request with these changes."""
    settings.DEBUG = settings.DEMO_EMBEDDED_ISSUER = True
    settings.ALLOWED_HOSTS = ["*"]
    settings.JWTAUTH = {"ISSUER": "http://demo.test:8000/__zuplo/issuer"}
    request = APIRequestFactory().post(f"/{TOKEN}", {}, format="json", **LOCAL | changes)
    response = TokenView.as_view()(request)
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "a.localhost:8000", "127.0.0.1", "[::1]:8000"]
)
def test_this_machine_gets_tokens(settings: Settings, address: str, host: str) -> None:
    assert minted(settings, REMOTE_ADDR=address, HTTP_HOST=host).status_code == 200


def test_the_host_that_runserver_was_given_is_local_too(settings: Settings) -> None:
    assert minted(settings, HTTP_HOST="DEMO.test:9000").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": "::ffff:192.0.2.7"},
        {"REMOTE_ADDR": "2001:db8::7"},
        {"REMOTE_ADDR": "10.0.0.7"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "localhost"},
        {"HTTP_HOST": "evil.test"},
        {"HTTP_HOST": "localhost.evil.test"},
        {"HTTP_HOST": "192.0.2.7:8000"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_HOST": "localhost"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
    ],
    ids=str,
)
def test_other_machines_and_proxies_get_no_token_but_an_explanation(
    settings: Settings, changes: dict[str, str]
) -> None:
    response = minted(settings, **changes)

    assert response.status_code == 403
    assert response.data.keys() == {"detail"}
    assert "only for the machine it runs on" in response.data["detail"]
    assert "JWTAUTH_ISSUER" in response.data["detail"]


def test_proxy_headers_are_noticed_by_the_running_demo(demo: Demo) -> None:
    headers = {"X-Forwarded-For": "192.0.2.7"}

    answer = demo.request("POST", TOKEN, json={}, headers=headers)

    assert (answer.status_code, answer.json().keys()) == (403, {"detail"})


def test_token_is_not_stored_on_its_way(demo: Demo) -> None:
    answer = demo.request("POST", TOKEN, json={})

    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"claims": []}, "claims"),
        ({"claims": None}, "claims"),
        ({"lifetime": "soon"}, "lifetime"),
        ({"lifetime": 10**10}, "lifetime"),
        ({"lifetime": -(10**10)}, "lifetime"),
        ({"algorithm": "HS256"}, "algorithm"),
        ({"algorithm": "none"}, "algorithm"),
        ({"stranger": "who"}, "stranger"),
        ({"stranger": None}, "stranger"),
        ({"stranger": 1}, "stranger"),
        ({"kid": "nobody"}, "kid"),
        ({"lifetme": 60}, "lifetme"),
        ([], "non_field_errors"),
        ("text", "non_field_errors"),
    ],
)
def test_wrong_input_is_answered_with_what_is_wrong(demo: Demo, wanted: Any, field: str) -> None:
    answer = demo.request("POST", TOKEN, json=wanted)

    assert answer.status_code == 400
    assert answer.json().keys() == {field}


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "RS256"])
def test_token_of_a_stranger_is_rejected(demo: Demo, algorithm: str) -> None:
    token = demo.token(stranger=True, algorithm=algorithm)

    assert jwt.get_unverified_header(token) == {"alg": algorithm}
    assert demo.protected(token).json()["code"] == "invalid_signature"
    assert demo.protected(demo.token(stranger=False)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"claims":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001],
    ids=["cut off", "deep"],
)
def test_text_that_cannot_be_read_is_wrong_input(demo: Demo, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    answer = demo.request("POST", TOKEN, data=body, headers=headers)

    assert (answer.status_code, answer.json().keys()) == (400, {"detail"})


def test_other_methods_are_not_allowed(demo: Demo) -> None:
    assert demo.request("GET", TOKEN).status_code == 405
    assert demo.request("POST", "__zuplo/issuer/.well-known/jwks.json").status_code == 405


def test_start_page_lets_a_person_try_it(demo: Demo) -> None:
    answer = demo.request("GET", "")

    assert answer.status_code == 200
    assert demo.issuer in answer.text
    assert 'id="token-form"' in answer.text
    for algorithm in ("EdDSA", "Ed25519", "RS256"):
        assert f'value="{algorithm}"' in answer.text


def test_start_page_says_so_where_a_gateway_is_configured() -> None:
    with running(JWTAUTH_ISSUER="https://issuer.test/a&b") as other:
        text = other.request("GET", "").text

    assert "A real gateway is configured" in text
    assert "https://issuer.test/a&amp;b" in text
    assert 'id="token-form"' not in text
    assert "data-token-url" not in text
    assert '<textarea id="token"' in text


def test_start_page_loads_nothing_from_elsewhere_and_nothing_inline(demo: Demo) -> None:
    answer = demo.request("GET", "")

    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|https?://(?!127)", answer.text)
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)
    assert len(loaded) == 3
    for path in loaded:
        served = demo.request("GET", path.removeprefix("/"))
        assert served.status_code == 200
        assert "url(" not in served.text
        assert "@import" not in served.text


def test_start_page_names_every_control(demo: Demo) -> None:
    text = demo.request("GET", "").text

    assert '<html lang="en">' in text
    assert len(re.findall(r"<h1\b", text)) == 1
    unlabelled = re.sub(r"<label>.*?</label>", "", text)
    for control in re.findall(r"<(?:input|select|textarea)\b[^>]*>", unlabelled):
        (name,) = re.findall(r'id="([^"]+)"', control)
        assert f'<label for="{name}">' in text
    for reference in re.findall(r'aria-labelledby="([^"]+)"', text):
        assert f'id="{reference}"' in text


def test_script_and_page_agree_on_their_elements(demo: Demo) -> None:
    script = (ROOT / "project/static/project/start.js").read_text()
    page = demo.request("GET", "").text

    wanted = set(re.findall(r'element\("([^"]+)"\)', script))
    assert wanted <= set(re.findall(r'\sid="([^"]+)"', page))


@pytest.mark.parametrize("path", ["caller/", "nothing/", "docs", "__zuplo/issuer/nothing"])
def test_plain_views_and_unknown_paths_need_a_token(demo: Demo, path: str) -> None:
    answer = demo.request("GET", path)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert "Authorization" in answer.headers["Vary"]


def test_token_opens_plain_views_and_shows_which_paths_exist(demo: Demo) -> None:
    headers = {"Authorization": f"Bearer {demo.token(claims={'sub': 'alice'})}"}

    assert demo.request("GET", "caller/", headers=headers).json() == {"caller": "alice"}
    assert demo.request("GET", "nothing/", headers=headers).status_code == 404


def test_rejected_token_does_not_close_open_views(demo: Demo) -> None:
    headers = {"Authorization": f"Bearer {demo.token(stranger=True)}"}

    for path in ("", "docs/", "schema/", "__zuplo/issuer/.well-known/jwks.json"):
        assert demo.request("GET", path, headers=headers).status_code == 200


def test_browsable_api_shows_the_view_without_a_database(demo: Demo) -> None:
    headers = {"Accept": "text/html", "Authorization": f"Bearer {demo.token()}"}

    answer = demo.request("GET", "protected/", headers=headers)

    assert answer.status_code == 200
    assert "Access granted" in answer.text


def test_description_is_valid_and_complete() -> None:
    done = manage("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json")

    assert (done.returncode, done.stderr) == (0, "")
    described = {
        path: {method: [*operation["responses"]] for method, operation in item.items()}
        for path, item in json.loads(done.stdout)["paths"].items()
    }
    assert described == {
        "/protected/": {"get": ["200", "401", "503"]},
        "/__zuplo/issuer/token": {"post": ["200", "400", "403", "404", "415"]},
    }


def test_description_is_served(demo: Demo) -> None:
    answer = demo.request("GET", "schema/", headers={"Accept": "application/json"})

    assert answer.json()["info"]["title"] == "Behind the gateway"


def test_swagger_ui_loads_nothing_from_elsewhere_and_nothing_inline(demo: Demo) -> None:
    answer = demo.request("GET", "docs/")

    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert "img-src 'self' data:" in policy
    assert not [each for each in policy if "unsafe" in each or "http" in each]
    assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|https?://", answer.text)
    loaded = re.findall(r'(?:src|href)="/([^"]+)"', answer.text)
    assert [path.partition("/")[0] for path in loaded] == ["static"] * 5 + ["docs"]
    for path in loaded:
        assert demo.request("GET", path).status_code == 200


def test_refusals_of_the_token_endpoint_are_json_as_described(demo: Demo) -> None:
    answer = demo.request("POST", TOKEN, data="lifetime=60")

    assert (answer.status_code, answer.json().keys()) == (415, {"detail"})
