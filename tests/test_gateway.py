"""The gateway's side, in ``examples/gateway/`` and in the pages, is what Zuplo documents."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from rest_framework.test import APIRequestFactory

from jwtauth.settings.schema import KEYS
from jwtauth.testing import Issuer
from jwtauth.views import ProtectedView

from .gateway import HANDLERS, PLUGIN_OPTIONS, option_problems, plugin_options, policy_problems
from .jwtauth_settings.reading import read
from .pages import Page, names
from .readme import README, ROOT, blocks

if TYPE_CHECKING:
    from pytest_django import Settings

GATEWAY = ROOT / "examples/gateway"
MODULE = (GATEWAY / "modules/zuplo.runtime.ts").read_text("utf-8")
POLICIES = {
    policy["name"]: policy
    for policy in json.loads((GATEWAY / "config/policies.json").read_text("utf-8"))["policies"]
}
TOKEN_POLICY = POLICIES["token-for-the-backend"]
ROUTES = json.loads((GATEWAY / "config/routes.oas.json").read_text("utf-8"))


def backend_settings() -> dict[str, Any]:
    """The settings that match the gateway."""
    namespace: dict[str, Any] = {}
    exec((GATEWAY / "settings.py").read_text("utf-8"), namespace)
    settings: dict[str, Any] = namespace["JWTAUTH"]
    return settings


def documented(language: str) -> list[str]:
    """The blocks of one language in the README and in all pages."""
    of_pages = [block.text for name in names() for block in Page(name).of(language)]
    return [*blocks(language), *of_pages]


def policies_in_the_docs() -> list[dict[str, Any]]:
    """Every policy in the README and in all pages."""
    found = [json.loads(text) for text in documented("json")]
    return [value for value in found if "policyType" in value]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_policies_of_the_example_have_documented_options(policy: dict[str, Any]) -> None:
    assert policy_problems(policy) == []


def test_policies_in_the_docs_have_documented_options() -> None:
    found = policies_in_the_docs()

    assert found
    assert [problem for policy in found for problem in policy_problems(policy)] == []


def test_no_page_names_the_option_that_no_longer_exists() -> None:
    for text in (README, *(Page(name).text for name in names())):
        assert "tokenExpiration" not in text


def test_readme_and_page_show_the_policy_and_the_module_of_the_example() -> None:
    page = Page("how-to/gateway.md")

    assert [json.loads(text) for text in blocks("json")] == [TOKEN_POLICY]
    assert TOKEN_POLICY in [json.loads(block.text) for block in page.of("json")]
    assert f"// modules/zuplo.runtime.ts\n{MODULE}" in [block.text for block in page.of("ts")]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tokenExpiration", 300),
        ("expireIn", 300),
        ("expiresIn", None),
        ("audience", ""),
        ("additionalClaims", {"iss": "https://my-api.zuplo.app/__zuplo/issuer"}),
        ("claimsFromUser", {"scope": "data.scope"}),
        ("claimsFromUser", {"sub": "sub", "scope": "user.data.scope"}),
        ("headername", "X-Gateway-Token"),
    ],
)
def test_a_mistake_in_the_policy_is_found(option: str, value: object) -> None:
    policy = deepcopy(TOKEN_POLICY)
    policy["handler"]["options"][option] = value

    assert policy_problems(policy) != []


@pytest.mark.parametrize("module", [MODULE, *documented("ts")])
def test_the_plugin_gets_documented_options(module: str) -> None:
    if "JwtServicePlugin(" in module:
        assert set(plugin_options(module)) <= PLUGIN_OPTIONS


def test_the_route_authenticates_the_caller_before_it_signs_and_forwards() -> None:
    ((path, item),) = ROUTES["paths"].items()
    route = item["get"]["x-zuplo-route"]
    handler = route["handler"]

    assert path == "/protected/"
    assert route["policies"]["inbound"] == ["api-key", "token-for-the-backend"]
    assert option_problems(handler["options"], HANDLERS[handler["export"]]) == []
    assert handler["options"]["baseUrl"] == "${env.BACKEND_URL}"


def test_the_settings_match_the_policy_and_the_plugin() -> None:
    settings = backend_settings()
    options = TOKEN_POLICY["handler"]["options"]

    assert read(settings).issuers
    assert settings["AUDIENCE"] == options["audience"]
    assert settings["SCOPE_CLAIM"] in options["claimsFromUser"]
    assert settings["REQUIRED_CLAIMS"].keys() <= options["claimsFromUser"].keys()
    # The plugin has its defaults, and so has the header of the policy.
    assert plugin_options(MODULE) == []
    assert settings["ALGORITHMS"] == ["EdDSA"]
    assert settings["ISSUER"].endswith(".zuplo.app/__zuplo/issuer")
    assert "headerName" not in options
    assert "tokenPrefix" not in options
    assert (KEYS["HEADER"].default, KEYS["PREFIX"].default) == ("Authorization", "Bearer")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"sub": "alice", "scope": "orders:read"}, 200),
        ({"sub": "alice"}, 200),  # The consumer has no scope in its metadata.
        ({"sub": ...}, 401),
        ({"sub": "alice", "aud": "https://another.example.com"}, 401),
    ],
)
def test_the_settings_accept_the_tokens_of_this_policy_alone(
    claims: dict[str, Any], status: int, settings: Settings
) -> None:
    settings.JWTAUTH = backend_settings()
    audience = {"aud": settings.JWTAUTH["AUDIENCE"]}
    with Issuer(settings.JWTAUTH["ISSUER"], ["EdDSA"], claims=audience) as issuer:
        headers = {"Authorization": f"Bearer {issuer.token(**claims)}"}
        request = APIRequestFactory().get("/protected/", headers=headers)
        response = ProtectedView.as_view()(request)

    assert response.status_code == status
