"""Find out how requests fare: ask each issuer, and try out the cache.

The result is facts and verdicts for commands to show. Nothing here prints, and nothing changes for
the processes that serve.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from urllib3.exceptions import LocationValueError

from .keys.fetch import FetchError
from .keys.url_policy import problem_with
from .settings.checks import can_be_shared
from .tokens.jwks import KeySet
from .verification import fetcher_for, jwks_cache_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .keys.fetch import Document
    from .settings import IssuerSettings, Settings

_LONGEST_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key that can verify signatures, and its algorithms."""

    kid: str | None
    kty: str
    algorithms: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to call it in a text."""
        return "without kid" if self.kid is None else shown(self.kid)


@dataclass(frozen=True, slots=True)
class SkippedFacts:
    """A key that cannot be used: its ``kid`` in JSON or its position, and the reason."""

    name: str
    reason: str


@dataclass(slots=True)
class CacheFacts:
    """The cache through which processes share keys."""

    alias: str
    backend: str
    shared: bool
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class IssuerFacts:
    """An issuer as it answered now, and what the processes share about it.

    ``named_issuer`` is the issuer's name in its discovery document, if it has one. ``reachable`` is
    ``None`` if nothing is fetched, since the setting ``JWKS`` has the keys. ``seconds`` is the
    duration of the fetch, ``clock_skew`` the seconds by which the clock here is certainly ahead of
    the issuer's (or behind, if negative), and ``cached_age`` the age in seconds of the keys in the
    cache. ``requests`` says what happens to requests with a token of the issuer.
    """

    issuer: str
    url: str
    named_issuer: str | None = None
    reachable: bool | None = False
    seconds: float = 0
    keys: list[KeyFacts] = field(default_factory=list)
    skipped: list[SkippedFacts] = field(default_factory=list)
    algorithms_without_key: list[str] = field(default_factory=list)
    clock_skew: float | None = None
    cached_keys: int = 0
    cached_age: float | None = None
    requests: str = ""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def diagnose_cache(settings: Settings) -> CacheFacts | None:
    """Write a value to the cache and read it, within the time that a request gives it.

    ``None`` if the cache is not used, since the setting ``JWKS`` has the keys of every issuer.
    """
    issuers = [issuer for issuer in settings.issuers.values() if issuer.jwks is None]
    if not issuers:
        return None
    alias = settings.cache
    facts = CacheFacts(alias, str(django_settings.CACHES[alias]["BACKEND"]), can_be_shared(alias))
    if not facts.shared:
        facts.warnings.append("Processes cannot share it: each fetches the keys for itself.")
    problem = jwks_cache_for(issuers[0], settings).problem()
    if problem is not None:
        facts.errors.append(f"It does not work: {_printable(problem)}.")
    return facts


def diagnose_issuer(issuer: IssuerSettings, settings: Settings) -> IssuerFacts:
    """Load the keys of the issuer as a request would, and draw conclusions."""
    facts = IssuerFacts(issuer.issuer, without_query(issuer.jwks_url or issuer.discovery_url or ""))
    if issuer.jwks is not None:
        keys = _read_setting(issuer.jwks, facts)
        if keys is None:
            return facts
    else:
        keys = _ask_for_keys(issuer, facts)
        _ask_for_name(issuer, facts)
        _look_into_cache(issuer, settings, facts)
    condition = _condition(issuer, facts)
    if keys is None or not len(keys):
        # An issuer that publishes no keys is not unreachable: the old ones work until they expire.
        lifetime = issuer.jwks_ttl + (issuer.jwks_stale_ttl if keys is None else 0)
        left = 0 if facts.cached_age is None else lifetime - facts.cached_age
        facts.requests = (
            f"are served with the keys in the cache for another {duration(left)}{condition}"
            if facts.cached_keys and left > 0
            else "get 503, unless their process has keys already"
        )
        return facts
    facts.requests = f"are served{condition}"
    if facts.named_issuer not in {None, issuer.issuer}:
        facts.requests = f"get 401 if their iss is {shown(facts.named_issuer)}"
    served = {name for key in keys for name in key.algorithms}
    facts.algorithms_without_key = sorted(issuer.algorithms - served)
    if issuer.algorithms.isdisjoint(served):
        facts.errors.append("None of its keys is for an algorithm in ALGORITHMS.")
        facts.requests = "get 401"
    for key in facts.keys:
        if issuer.algorithms.isdisjoint(key.algorithms):
            facts.warnings.append(
                f"Tokens of the key {key.name} are rejected: ALGORITHMS allows none of "
                f"{', '.join(key.algorithms)}."
            )
    return facts


def shown(value: Any) -> str:
    """Return a JSON value, which a stranger may have written, as text that is safe to print."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def without_query(url: str) -> str:
    """Return the URL without its query, which may hold a secret."""
    path, question_mark, _query = url.partition("?")
    return f"{path}?..." if question_mark else path


def duration(seconds: float) -> str:
    """Return so many seconds in a suitable unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def number_of_keys(number: int) -> str:
    """Return the number with its noun."""
    return "1 key" if number == 1 else f"{number} keys"


def _ask_for_keys(issuer: IssuerSettings, facts: IssuerFacts) -> KeySet | None:
    """Return the issuer's keys, or ``None`` if it does not answer with a JWK Set."""
    started, started_at = time.monotonic(), time.time()
    try:
        document = _fetch(issuer)
    except FetchError as error:
        facts.errors.append(f"It gives no keys: {error}{_cause(error)}.")
        return None
    finally:
        facts.seconds = time.monotonic() - started
    facts.reachable = True
    if document.sent_at is not None:
        _compare_clocks(document.sent_at, started_at, issuer, facts)
    try:
        keys = KeySet.from_text(document.text)
    except ValueError:
        facts.errors.append("Its answer is not a JWK Set.")
        return None
    _list_keys(keys, facts)
    return keys


def _read_setting(
    jwks: Mapping[str, Any] | Callable[[], object], facts: IssuerFacts
) -> KeySet | None:
    """Return the keys in the setting ``JWKS``, or ``None`` if there is no usable key."""
    facts.reachable = None
    facts.requests = "get 503"
    try:
        result = jwks() if callable(jwks) else jwks
    except Exception as error:  # noqa: BLE001 - the project's code may raise anything.
        facts.errors.append(f"The callable JWKS raised {type(error).__name__}.")
        facts.requests = "get 500, the exception of the callable JWKS"
        return None
    try:
        keys = KeySet(result)
    except ValueError:
        facts.errors.append("The callable JWKS did not return a JWK Set.")
        return None
    _list_keys(keys, facts)
    if not len(keys):
        return None
    facts.requests = "are served"
    return keys


def _list_keys(keys: KeySet, facts: IssuerFacts) -> None:
    if not len(keys):
        facts.errors.append("Its JWK Set holds no key that can be used.")
    found = (KeyFacts(key.kid, key.kty, key.algorithms) for key in keys)
    facts.keys = sorted(found, key=lambda key: (key.kid or "", key.kty))
    facts.skipped = [SkippedFacts(*key) for key in keys.skipped]


def _ask_for_name(issuer: IssuerSettings, facts: IssuerFacts) -> None:
    """Compare the issuer with the name in its discovery document, if it has one."""
    if facts.reachable and issuer.discovery_url:
        facts.named_issuer = issuer.issuer  # The fetch of the keys has compared them.
        return
    base = issuer.issuer.removesuffix("/")
    url = issuer.discovery_url or f"{base}/.well-known/openid-configuration"
    # An issuer that does not answer is asked once, not twice. With JWKS_URL, an issuer need not be
    # a URL at all.
    is_asked = facts.reachable or issuer.discovery_url
    if not is_asked or problem_with(url, allow_plain_http=django_settings.DEBUG):
        return
    try:
        metadata = json.loads(_fetch(replace(issuer, jwks_url=url, discovery=False)).text)
    except (FetchError, ValueError, RecursionError):
        return
    name = metadata.get("issuer") if isinstance(metadata, dict) else None
    if isinstance(name, str):
        facts.named_issuer = name
        if name != issuer.issuer:
            facts.errors.append(
                f"Its discovery document names the issuer {shown(name)}: tokens with that iss are "
                "rejected. Write it exactly so in ISSUER or ISSUERS."
            )


def _fetch(issuer: IssuerSettings) -> Document:
    return fetcher_for(issuer).fetch(issuer.jwks_timeout)


def _condition(issuer: IssuerSettings, facts: IssuerFacts) -> str:
    """Return what nothing here can find out about tokens."""
    claims = ["iss"] if facts.named_issuer != issuer.issuer else []
    if issuer.verify_audience:
        claims.append("aud")
    match = "match" if len(claims) > 1 else "matches"
    return f", if their {' and '.join(claims)} {match}" if claims else ""


def _compare_clocks(
    sent_at: int, started_at: float, issuer: IssuerSettings, facts: IssuerFacts
) -> None:
    # It was sent within that whole second, and between our request and now.
    ahead, behind = started_at - (sent_at + 1), sent_at - time.time()
    facts.clock_skew = skew = ahead if ahead > 0 else min(0.0, -behind)
    if abs(skew) <= issuer.leeway:
        return
    facts.warnings.append(
        f"The clock here is {duration(skew)} ahead of the issuer's: tokens expire that much early. "
        "Synchronise it."
        if skew > 0
        else f"The clock here is {duration(-skew)} behind the issuer's: tokens just issued are "
        "rejected (token_not_yet_valid). Synchronise it, or raise LEEWAY."
    )


def _look_into_cache(issuer: IssuerSettings, settings: Settings, facts: IssuerFacts) -> None:
    shared = jwks_cache_for(issuer, settings).read()
    if document := shared.document:
        facts.cached_age = time.time() - document.fetched_at
        with suppress(ValueError):
            facts.cached_keys = len(KeySet.from_text(document.text))
    if failure := shared.failure:
        facts.warnings.append(
            f"The last fetches of this deployment failed, {failure.failures} in a row "
            f"({failure.reason})."
        )


def _cause(error: BaseException) -> str:
    """Return the message of the operating system or the TLS library, at the bottom of the chain."""
    cause = error
    while below := cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__):
        cause = below
    # Their messages quote the URL, which may belong to a proxy and contain its password.
    if cause is error or isinstance(cause, LocationValueError):
        return ""
    return f": {_printable(str(cause))}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_TEXT])
