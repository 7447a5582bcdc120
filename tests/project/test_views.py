"""The demo's start page and the endpoints of its embedded issuer."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jose import jws, jwt

from .demo import ROOT, manage, running

if TYPE_CHECKING:
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
        "/__zuplo/issuer/token": {"post": ["200", "400", "404", "415"]},
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
