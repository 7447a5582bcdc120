"""``manage.py jwtauth_check``: find out what happens to requests."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings

from jwtauth.keys.fetch import FetchError
from jwtauth.keys.url_policy import problem_with
from jwtauth.management.report import (
    IssuerCommand,
    Section,
    add_published_keys,
    duration,
    name_of,
    number_of_keys,
    shown,
)
from jwtauth.settings import get_settings
from jwtauth.tokens.jose_keys import ED25519_LIBRARY
from jwtauth.tokens.jwks import KeySet
from jwtauth.verification import fetcher_for, jwks_cache_for

if TYPE_CHECKING:
    from jwtauth.settings import IssuerSettings, Settings


class Command(IssuerCommand):
    """Ask every issuer in JWTAUTH for its keys, and report what happens to requests.

    The command uses HTTP within the limits of a request. For each issuer it shows
    whether it answers, its keys, the keys that cannot be used and why, whether its
    discovery document names it as JWTAUTH does, the difference of the clocks, and
    the age of the keys in the shared cache. It also shows whether the cache works
    and can be shared. It looks at no token: the iss and aud of tokens may still not
    match. To examine a token, use jwtauth_explain. For an issuer with the setting
    JWKS it shows the keys there, and fetches nothing.

    Nothing is changed. To load keys into the cache, use jwtauth_refresh.

    The exit code is 1 if something fails, and 0 if there are only warnings.
    """

    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        self.show(f"Ed25519 is verified by {ED25519_LIBRARY}.")
        super().report(settings, options)

    def issuer_section(self, issuer: IssuerSettings) -> Section:
        section = Section(issuer.issuer)
        keys = add_published_keys(section, issuer)
        name, cached_age = None, None
        if issuer.jwks is None:
            if keys is not None or issuer.discovery_url:
                # An issuer that does not answer is asked only once.
                name = _compare_name(section, issuer)
            cached_age = _look_into_cache(section, issuer)
        claims = [] if name == issuer.issuer else ["iss"]
        claims += ["aud"] if issuer.verify_audience else []
        verb = "match" if len(claims) > 1 else "matches"
        condition = f", if their {' and '.join(claims)} {verb}" if claims else ""
        if keys is not None and len(keys):
            requests = f"are served{condition}"
            if name not in {None, issuer.issuer}:
                requests = f"get 401 if their iss is {shown(name)}"
            if not _compare_algorithms(section, issuer, keys):
                requests = "get 401"
        elif issuer.jwks is not None:
            requests = "fail until JWKS has keys"
        else:
            # An issuer that publishes no keys is not unreachable: the old ones are not prolonged.
            lifetime = issuer.jwks_ttl + (issuer.jwks_stale_ttl if keys is None else 0)
            left = 0 if cached_age is None else lifetime - cached_age
            requests = "get 503, unless their process has keys already"
            if left > 0:
                cached = "are served with the keys in the cache"
                requests = f"{cached} for another {duration(left)}{condition}"
        section.facts["Requests"] = requests
        return section


def _compare_name(section: Section, issuer: IssuerSettings) -> str | None:
    """Compare the issuer with the name in its discovery document, and return that name."""
    base = issuer.issuer.removesuffix("/")
    url = issuer.discovery_url or f"{base}/.well-known/openid-configuration"
    section.facts["Issuer"] = "not confirmed, since it has no discovery document"
    # With JWKS_URL, an issuer need not be a URL.
    if problem_with(url, allow_plain_http=django_settings.DEBUG):
        return None
    fetcher = fetcher_for(replace(issuer, jwks_url=url, discovery=False))
    try:
        metadata = json.loads(fetcher.fetch(issuer.jwks_timeout).text)
    except (FetchError, ValueError, RecursionError):
        return None
    name = metadata.get("issuer") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        return None
    section.facts["Issuer"] = f"{shown(name)} in its discovery document"
    if name != issuer.issuer:
        section.errors.append(
            f"Its discovery document names the issuer {shown(name)}: tokens with that iss are "
            "rejected. Write it exactly so in ISSUER or ISSUERS."
        )
    return name


def _compare_algorithms(section: Section, issuer: IssuerSettings, keys: KeySet) -> bool:
    """Compare the keys with ``ALGORITHMS``, and return whether any of them may be used."""
    rejected = [key for key in keys if issuer.algorithms.isdisjoint(key.algorithms)]
    if len(rejected) == len(keys):
        section.errors.append("None of its keys is for an algorithm in ALGORITHMS.")
        return False
    for key in rejected:
        section.warnings.append(
            f"Tokens of the key {name_of(key)} are rejected: ALGORITHMS allows none of "
            f"{', '.join(key.algorithms)}."
        )
    return True


def _look_into_cache(section: Section, issuer: IssuerSettings) -> float | None:
    """Return the age of the keys in the cache, in seconds, if there are any."""
    shared = jwks_cache_for(issuer, get_settings()).read()
    if failure := shared.failure:
        section.warnings.append(
            f"The last fetches of this deployment failed, {failure.failures} in a row "
            f"({failure.reason})."
        )
    section.facts["Cache"] = "no keys"
    if shared.document is None:
        return None
    try:
        keys = len(KeySet.from_text(shared.document.text))
    except ValueError:
        return None
    age = time.time() - shared.document.fetched_at
    section.facts["Cache"] = f"{number_of_keys(keys)}, fetched {duration(age)} ago"
    return age if keys else None
