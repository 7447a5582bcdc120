"""What Zuplo documents about its policies, plugins and handlers, to compare our samples with.

From the documentation that ships with the npm package ``zuplo`` 7.6.4.
"""

from __future__ import annotations

import re
from typing import Any, Final

RUNTIME: Final = "$import(@zuplo/runtime)"

POLICIES: Final[dict[str, dict[str, Any]]] = {
    "api-key-inbound": {
        "export": "ApiKeyInboundPolicy",
        "options": {
            "allowUnauthenticatedRequests": bool,
            "authHeader": str,
            "authScheme": str,
            "bucketId": str,
            "cacheTtlSeconds": int,
            "disableAutomaticallyAddingKeyHeaderToOpenApi": bool,
        },
    },
    "upstream-zuplo-jwt-auth-inbound": {
        "export": "UpstreamZuploJwtAuthInboundPolicy",
        "options": {
            "additionalClaims": dict,
            "audience": str,
            "claimsFromUser": dict,
            "expiresIn": int | str,
            "headerName": str,
            "subject": str,
            "tokenPrefix": str,
        },
    },
}
"""The policies in our samples, by ``policyType``."""

HANDLERS: Final = {
    "urlForwardHandler": {"baseUrl": str, "forwardSearch": bool, "followRedirects": bool},
}

PLUGIN_OPTIONS: Final = {"algorithm", "basePath", "expiresIn"}
"""The options of ``JwtServicePlugin``."""


def policy_problems(policy: dict[str, Any]) -> list[str]:
    """Say what Zuplo, or the contract, would not accept in an entry of ``policies``."""
    known = POLICIES.get(policy.get("policyType", ""))
    if known is None:
        return [f"unknown policyType {policy.get('policyType')!r}"]
    handler = policy["handler"]
    options = handler["options"]
    problems = [f"unknown member {name}" for name in policy.keys() - _POLICY_MEMBERS]
    problems += option_problems(options, known["options"])
    if (handler["export"], handler["module"]) != (known["export"], RUNTIME):
        problems.append("another export or module")
    if policy["policyType"] == "upstream-zuplo-jwt-auth-inbound":
        problems += _token_problems(options)
    return problems


def option_problems(options: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """Name the options that are not documented, or have a value of another type."""
    return [
        f"option {name}"
        for name, value in options.items()
        if name not in known or not isinstance(value, known[name])
    ]


def plugin_options(module: str) -> list[str]:
    """Return the names of the options that a runtime module passes to the plugin."""
    (arguments,) = re.findall(r"new JwtServicePlugin\(([^)]*)\)", module)
    return re.findall(r"(\w+):", arguments)


_POLICY_MEMBERS = {"name", "policyType", "handler"}


def _token_problems(options: dict[str, Any]) -> list[str]:
    problems = []
    if "iss" in options.get("additionalClaims", {}):
        problems.append("additionalClaims cannot set iss")
    if not options.get("audience"):
        problems.append("no audience")
    selectors = options.get("claimsFromUser", {})
    if selectors.get("sub") != "sub":
        problems.append("no sub from the user")
    problems += [
        f"selector of {name}"
        for name, selector in selectors.items()
        if not re.fullmatch(r"sub|data(\.\w+)+", str(selector))
    ]
    return problems
