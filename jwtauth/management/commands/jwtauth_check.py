"""``manage.py jwtauth_check``: find out what happens to requests."""

import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.conf import settings as django_settings

from jwtauth.keys.fetch import FetchError
from jwtauth.keys.url_policy import problem_with
from jwtauth.management.report import MAX_TEXT, ReportCommand, Section, duration, shown
from jwtauth.settings import IssuerSettings, Settings
from jwtauth.settings.checks import can_be_shared
from jwtauth.tokens.jwks import KeySet
from jwtauth.verification import fetcher_for, jwks_cache_for


class Command(ReportCommand):
    """Fetch the keys of every issuer in JWTAUTH, and report what happens to requests.

    For each issuer, the command shows whether it answers, which of its keys can be
    used, why the others are skipped, whether its discovery document confirms its
    name, whether the clocks agree, whether the cache works and can be shared, and how
    old the keys in the cache are. Each fetch has the time limit JWKS_TIMEOUT. For an
    issuer with the setting JWKS, the command shows the keys in the setting and
    fetches nothing.

    The command sees no token, so the iss and aud of tokens may still not match. To
    examine a token, use jwtauth_explain.

    The command changes no keys. To load keys into the cache, use jwtauth_refresh.

    The exit code is 1 if there are errors, and 0 if there are only warnings.
    """

    def report(self, settings: Settings, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        sections = [self.section_of(issuer, settings) for issuer in settings.issuers.values()]
        failures = sum(bool(section.errors) for section in sections)
        summary = f"Issuers with errors: {failures} of {len(sections)}."
        return {"ok": not failures, "summary": summary, "sections": sections}

    def section_of(self, issuer: IssuerSettings, settings: Settings) -> Section:
        """Return the section about an issuer."""
        section = Section(issuer.issuer)
        keys = add_keys(section, issuer)
        if not keys:
            section.errors.append("Processes that find no keys in memory or the cache answer 503.")
        elif all(issuer.algorithms.isdisjoint(key.algorithms) for key in keys):
            section.errors.append("Requests get 401: no key supports an algorithm in ALGORITHMS.")
        if issuer.jwks is None:
            _add_name(section, issuer)
            add_cache(section, issuer, settings)
        return section


def add_keys(section: Section, issuer: IssuerSettings) -> KeySet | None:
    """Load the issuer's keys as a request would, and return them unless that fails.

    What a callable ``JWKS`` raises propagates.
    """
    jwks: Any = issuer.jwks() if callable(issuer.jwks) else issuer.jwks
    try:
        keys = KeySet(jwks) if issuer.jwks else KeySet.from_text(_fetch(section, issuer))
    except (FetchError, ValueError) as error:
        reason = error if isinstance(error, FetchError) else "the answer is not a JWK Set"
        section.errors.append(f"No usable keys: {reason}.")
        return None
    if not keys:
        section.errors.append("No usable keys: the JWK Set has no usable key.")
    section.facts["Key"] = [
        f"{shown(key.kid) if key.kid else 'without kid'}: {key.kty}, "
        f"for {', '.join(key.algorithms)}"
        for key in keys
    ]
    section.facts["Skipped"] = [f"{key.name}: {key.reason}" for key in keys.skipped]
    return keys


def add_cache(section: Section, issuer: IssuerSettings, settings: Settings) -> None:
    """Try the cache out, and show how long the keys in it are used."""
    cache = jwks_cache_for(issuer, settings)
    if not can_be_shared(settings.cache):
        section.warnings.append("Not all processes can share this cache: they fetch keys, too.")
    if problem := cache.problem():
        section.errors.append(f"The cache does not work: {problem.rstrip('.'):.{MAX_TEXT}}.")
    document = cache.read().document
    section.facts["Cache"] = "no keys"
    if document:
        age = time.time() - document.fetched_at
        left = issuer.jwks_ttl + issuer.jwks_stale_ttl - age
        section.facts["Cache"] = (
            f"keys fetched {duration(age)} ago, used for at most {duration(left)}"
        )


def _fetch(section: Section, issuer: IssuerSettings) -> str:
    # The query may contain a secret.
    section.facts["Fetch"] = re.sub(r"\?.*", "?...", issuer.jwks_url or issuer.discovery_url or "")
    asked_at = time.time()
    document = fetcher_for(issuer).fetch(issuer.jwks_timeout)
    if document.sent_at is not None:
        # The issuer sent the answer within that whole second, and between the request and now.
        ahead, behind = asked_at - (document.sent_at + 1), document.sent_at - time.time()
        error, side = max((ahead, "ahead of"), (behind, "behind"))
        clock = f"{duration(error)} {side} the issuer's"
        section.facts["Clock"] = clock if error > 0 else "agrees with the issuer's"
        if error > issuer.leeway:
            section.warnings.append("The clocks differ. Synchronize the host's, or raise LEEWAY.")
    return document.text


def _add_name(section: Section, issuer: IssuerSettings) -> None:
    """Compare the issuer with the name in its discovery document."""
    url = replace(issuer, discovery=True).discovery_url or ""
    fetcher = fetcher_for(replace(issuer, jwks_url=url, discovery=False))
    section.facts["Issuer"] = "not confirmed by a discovery document"
    # With JWKS_URL, an issuer need not be a URL.
    if problem_with(url, allow_plain_http=django_settings.DEBUG) is None:
        with suppress(FetchError, ValueError, RecursionError, LookupError, TypeError):
            name = json.loads(fetcher.fetch(issuer.jwks_timeout).text)["issuer"]
            section.facts["Issuer"] = f"{shown(name)} in its discovery document"
            if name != issuer.issuer:
                section.errors.append(f"Its tokens are rejected: set ISSUER to {shown(name)}.")
