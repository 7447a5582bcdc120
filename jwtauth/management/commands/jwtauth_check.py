"""``manage.py jwtauth_check``: find out what happens to requests."""

import json
import time
from contextlib import suppress
from dataclasses import replace
from math import inf

from django.conf import settings as django_settings

from jwtauth.keys.fetch import FetchError
from jwtauth.keys.url_policy import problem_with
from jwtauth.management.report import IssuerCommand, Section, add_keys, duration, shown
from jwtauth.settings import IssuerSettings, Settings
from jwtauth.tokens.jwks import KeySet
from jwtauth.verification import fetcher_for, jwks_cache_for


class Command(IssuerCommand):
    """Fetch the keys of every issuer in JWTAUTH, and report what happens to requests.

    For each issuer, the command shows whether it answers, which of its keys can be
    used, why the others are skipped, whether its discovery document confirms its
    name, whether the clocks agree, and how old the keys in the shared cache are. It
    also shows whether the cache works and can be shared. Keys are fetched as for a
    request, with the same time limit. For an issuer with the setting JWKS, the
    command shows the keys in the setting and fetches nothing.

    The command sees no token, so the iss and aud of tokens may still not match. To
    examine a token, use jwtauth_explain.

    The keys in use and the keys in the cache do not change. To load keys into the
    cache, use jwtauth_refresh.

    The exit code is 1 if there are errors, and 0 if there are only warnings.
    """

    def issuer_section(self, issuer: IssuerSettings, settings: Settings) -> Section:
        section = Section(issuer.issuer)
        keys = add_keys(section, issuer)
        allowed = [key for key in keys or () if not issuer.algorithms.isdisjoint(key.algorithms)]
        if keys and not allowed:
            section.errors.append("The issuer's keys support no algorithm in ALGORITHMS.")
        if issuer.jwks is not None:
            return section
        name = _ask_for_name(section, issuer)
        # A set without usable keys is an answer, not an outage, so it prolongs nothing.
        stale_ttl = issuer.jwks_stale_ttl if keys is None else 0
        left = issuer.jwks_ttl + stale_ttl - _look_into_cache(section, issuer, settings)
        claims = "aud matches" if name == issuer.issuer else "iss and aud match"
        if allowed:
            requests = f"are accepted, if their {claims}"
            if name not in {None, issuer.issuer}:
                requests = f"get 401 if their iss is {shown(name)}"
        elif keys:
            requests = "get 401"
        elif left > 0:
            cached = "are accepted with the keys in the cache"
            requests = f"{cached} for at most {duration(left)}, if their {claims}"
        else:
            requests = "get 503, except from processes that already have keys"
        section.facts["Requests"] = requests
        return section


def _ask_for_name(section: Section, issuer: IssuerSettings) -> str | None:
    """Compare the issuer with the name in its discovery document, and return that name."""
    url = replace(issuer, discovery=True).discovery_url or ""
    section.facts["Issuer"] = "not confirmed by a discovery document"
    # With JWKS_URL, an issuer need not be a URL.
    if problem_with(url, allow_plain_http=django_settings.DEBUG):
        return None
    fetcher = fetcher_for(replace(issuer, jwks_url=url, discovery=False))
    try:
        name = str(json.loads(fetcher.fetch(issuer.jwks_timeout).text)["issuer"])
    except (FetchError, ValueError, RecursionError, LookupError, TypeError):
        return None
    section.facts["Issuer"] = f"{shown(name)} in its discovery document"
    if name != issuer.issuer:
        section.errors.append(
            f"The discovery document names the issuer {shown(name)}, so tokens with this iss are "
            "rejected. Set ISSUER, or the key in ISSUERS, to exactly this value."
        )
    return name


def _look_into_cache(section: Section, issuer: IssuerSettings, settings: Settings) -> float:
    """Return the age of the keys in the cache, in seconds."""
    shared = jwks_cache_for(issuer, settings).read()
    if shared.failure:
        section.warnings.append(
            f"The last fetch by this deployment failed ({shared.failure.reason})."
        )
    section.facts["Cache"] = "no keys"
    if shared.document is not None:
        with suppress(ValueError):  # Another program may have written nonsense.
            keys = len(KeySet.from_text(shared.document.text))
            age = time.time() - shared.document.fetched_at
            section.facts["Cache"] = f"keys: {keys}, fetched {duration(age)} ago"
            return age
    return inf
