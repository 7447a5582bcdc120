"""What a request would meet: each issuer asked for real, and the cache tried out.

Facts and judgements only, for commands and health checks to show. Nothing here prints, and nothing
is changed for the processes that serve.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from urllib3.exceptions import LocationValueError

from .checks import can_be_shared
from .keys.fetch import FetchError
from .tokens.jwks import KeySet
from .verification import fetcher_for, shared_keys_for

if TYPE_CHECKING:
    from .options import IssuerSettings, Settings

_LONGEST_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key that can verify signatures, and the algorithms that it can do so for."""

    kid: str | None
    kty: str
    algorithms: tuple[str, ...]


@dataclass(slots=True)
class CacheFacts:
    """The cache that keys are shared through."""

    alias: str
    backend: str
    shared: bool
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class IssuerFacts:
    """An issuer as it answered now, and what the processes share about it.

    ``seconds`` is how long the fetch took, ``clock_skew`` the seconds for certain that the clock
    here is ahead of the issuer's (or behind, where negative), and ``cached_age`` the age in seconds
    of the keys in the cache. ``requests`` says what a request with a token of the issuer meets.
    """

    issuer: str
    url: str
    reachable: bool = False
    seconds: float = 0
    keys: list[KeyFacts] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    algorithms_without_key: list[str] = field(default_factory=list)
    clock_skew: float | None = None
    cached_keys: int = 0
    cached_age: float | None = None
    requests: str = "are served"
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def diagnose_cache(settings: Settings) -> CacheFacts:
    """Put a value into the cache and take it out again, within the time that a request gives it."""
    alias = settings.cache
    facts = CacheFacts(alias, str(django_settings.CACHES[alias]["BACKEND"]), can_be_shared(alias))
    if not facts.shared:
        facts.warnings.append("Processes cannot share it: each fetches the keys for itself.")
    problem = shared_keys_for(next(iter(settings.issuers.values())), settings).problem()
    if problem is not None:
        facts.errors.append(f"It does not work: {_printable(problem)}.")
    return facts


def diagnose_issuer(issuer: IssuerSettings, settings: Settings) -> IssuerFacts:
    """Ask the issuer for its keys, as a request would, and judge what comes back."""
    facts = IssuerFacts(issuer.issuer, issuer.jwks_url or issuer.discovery_url or "")
    keys = _ask(issuer, facts)
    _look_into_cache(issuer, settings, facts)
    if keys is None or not len(keys):
        # An issuer that says it has no keys is not away: the old ones go when they expire.
        lifetime = issuer.jwks_ttl + (issuer.jwks_stale_ttl if keys is None else 0)
        left = 0 if facts.cached_age is None else lifetime - facts.cached_age
        facts.requests = (
            f"are served with the keys in the cache, for another {duration(left)}"
            if facts.cached_keys and left > 0
            else "get 503, unless their process holds keys of its own"
        )
        return facts
    served = {name for key in keys for name in key.algorithms}
    facts.algorithms_without_key = sorted(issuer.algorithms - served)
    if issuer.algorithms.isdisjoint(served):
        facts.errors.append("None of its keys is for an algorithm in ALGORITHMS.")
        facts.requests = "get 401, whatever their token"
    for key in facts.keys:
        if issuer.algorithms.isdisjoint(key.algorithms):
            facts.warnings.append(
                f"Tokens of the key {shown(key.kid)} are refused: ALGORITHMS allows none of "
                f"{', '.join(key.algorithms)}."
            )
    return facts


def shown(value: Any) -> str:
    """A JSON value, which may be anybody's, as text that plays no tricks on a terminal."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def duration(seconds: float) -> str:
    """So many seconds, in the unit that suits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def number_of_keys(number: int) -> str:
    """So many keys, in words."""
    return "1 key" if number == 1 else f"{number} keys"


def _ask(issuer: IssuerSettings, facts: IssuerFacts) -> KeySet | None:
    """The issuer's keys, ``None`` where it did not give any JWK Set."""
    started, started_at = time.monotonic(), time.time()
    try:
        document = fetcher_for(issuer).fetch(None, issuer.jwks_timeout)
        assert document is not None  # noqa: S101 - nothing was said of an entity tag.
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
    if not len(keys):
        facts.errors.append("Its JWK Set holds no key that can be used.")
    found = (KeyFacts(key.kid, key.kty, key.algorithms) for key in keys)
    facts.keys = sorted(found, key=lambda key: (key.kid or "", key.kty))
    facts.left_out = list(keys.left_out)
    return keys


def _compare_clocks(
    sent_at: int, started_at: float, issuer: IssuerSettings, facts: IssuerFacts
) -> None:
    # It was sent at some time in that whole second, and between our request and now.
    ahead, behind = started_at - (sent_at + 1), sent_at - time.time()
    facts.clock_skew = skew = ahead if ahead > 0 else min(0.0, -behind)
    if abs(skew) <= issuer.leeway:
        return
    facts.warnings.append(
        f"The clock here is {duration(skew)} ahead of the issuer's: tokens expire that much early. "
        "Synchronise it."
        if skew > 0
        else f"The clock here is {duration(-skew)} behind the issuer's: tokens just issued are "
        "refused (token_not_yet_valid). Synchronise it, or raise LEEWAY."
    )


def _look_into_cache(issuer: IssuerSettings, settings: Settings, facts: IssuerFacts) -> None:
    shared = shared_keys_for(issuer, settings)
    if document := shared.document():
        facts.cached_age = time.time() - document.fetched_at
        with suppress(ValueError):
            facts.cached_keys = len(KeySet.from_text(document.text))
    if failure := shared.failure():
        facts.warnings.append(
            f"The last fetches of this deployment failed, {failure.failures} in a row "
            f"({failure.reason})."
        )


def _cause(error: BaseException) -> str:
    """What the operating system or the TLS library said, which is at the bottom of it."""
    cause = error
    while below := cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__):
        cause = below
    # These quote the URL, which may be that of a proxy, with its password.
    if cause is error or isinstance(cause, LocationValueError):
        return ""
    return f": {_printable(str(cause))}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_TEXT])
