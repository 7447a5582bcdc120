"""Counters that signals increase, and values that are read at each scrape."""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import REGISTRY, Counter, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from jwtauth.signals import (
    keys_refresh_failed,
    keys_refreshed,
    request_reported,
    token_accepted,
    token_missing,
    token_refused,
)
from jwtauth.verification import get_verifier, key_source_of

ACCEPTED: Final = Counter("jwtauth_tokens_accepted", "Tokens accepted.", ["issuer"])
REFUSED: Final = Counter(
    "jwtauth_tokens_refused",
    "Tokens rejected, by code; keys_unavailable is a response of 503.",
    ["issuer", "code"],
)
MISSING: Final = Counter(
    "jwtauth_tokens_missing",
    "Requests without a token: without the header (none), or with another scheme (other).",
    ["scheme"],
)
UNEXPECTED: Final = Counter(
    "jwtauth_unexpected_exceptions",
    "Unexpected exceptions, each of which rejected a token.",
    ["exception"],
)
FETCHES: Final = Counter(
    "jwtauth_keys_fetches", "Fetches of an issuer's keys.", ["issuer", "outcome"]
)

REPORTED: Final = Counter(
    "jwtauth_requests_reported",
    "Requests that the middleware served because of REPORT_ONLY, by the code of the rejection.",
    ["code"],
)


def connect() -> None:
    """Connect the counters to the signals. Calling it again changes nothing."""
    token_accepted.connect(_count_accepted)
    token_refused.connect(_count_refused)
    token_missing.connect(_count_missing)
    request_reported.connect(_count_reported)
    keys_refreshed.connect(_count_fetched)
    keys_refresh_failed.connect(_count_failed)


def _count_accepted(*, issuer: str | None, **_: Any) -> None:
    ACCEPTED.labels(issuer or "").inc()


def _count_refused(*, issuer: str | None, code: str, unexpected: str | None, **_: Any) -> None:
    REFUSED.labels(issuer or "", code).inc()
    if unexpected is not None:
        UNEXPECTED.labels(unexpected).inc()


def _count_missing(*, other_scheme: bool, **_: Any) -> None:
    MISSING.labels("other" if other_scheme else "none").inc()


def _count_reported(*, code: str, **_: Any) -> None:
    REPORTED.labels(code).inc()


def _count_fetched(*, issuer: str, **_: Any) -> None:
    FETCHES.labels(issuer, "fetched").inc()


def _count_failed(*, issuer: str, **_: Any) -> None:
    FETCHES.labels(issuer, "failed").inc()


class ProcessCollector(Collector):
    """Report the state of this process at each scrape, without fetching keys."""

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, because there may be no settings yet."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """Return the age of each issuer's keys, if loaded, and the use of the token cache."""
        age, hits, misses = families = _families()
        verifier = get_verifier()
        for issuer in verifier.issuers:
            status = key_source_of(issuer).status()
            if status.age is not None:
                age.add_metric([issuer], status.age)
        hits.add_metric([], verifier.hits)
        misses.add_metric([], verifier.misses)
        return families


def _families() -> tuple[GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily]:
    return (
        GaugeMetricFamily(
            "jwtauth_keys_age_seconds",
            "Time since an issuer's keys were fetched.",
            labels=["issuer"],
        ),
        CounterMetricFamily("jwtauth_token_cache_hits", "Tokens accepted from the token cache."),
        CounterMetricFamily(
            "jwtauth_token_cache_misses", "Tokens accepted after their signature was verified."
        ),
    )


REGISTRY.register(ProcessCollector())
