"""Counters that signals increase, and values that are read at each scrape."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.dispatch import Signal
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

ACCEPTED: Final = Counter("jwtauth_tokens_accepted", "Accepted tokens.", ["issuer"])
REFUSED: Final = Counter(
    "jwtauth_tokens_refused", "Rejected tokens.", ["issuer", "code", "unexpected"]
)
"""The code ``keys_unavailable`` is a response of 503. ``unexpected`` is the type of an exception
that caused the rejection, or empty."""
MISSING: Final = Counter("jwtauth_tokens_missing", "Requests without a token.", ["scheme"])
"""``scheme`` is ``none`` without the header, and ``other`` with another scheme than ``PREFIX``."""
REPORTED: Final = Counter("jwtauth_requests_reported", "Served because of REPORT_ONLY.", ["code"])
"""``code`` is the code of the rejection that ``REPORT_ONLY`` prevented."""
FETCHES: Final = Counter("jwtauth_keys_fetches", "Fetches of keys.", ["issuer", "outcome"])
"""``outcome`` is ``fetched`` or ``failed``."""

# What each signal counts, found by the arguments of the signal.
_COUNTED: Final[dict[Signal, Callable[[dict[str, Any]], Counter]]] = {
    token_accepted: lambda facts: ACCEPTED.labels(facts["issuer"]),
    token_refused: lambda facts: REFUSED.labels(
        facts["issuer"] or "", facts["code"], facts["unexpected"] or ""
    ),
    token_missing: lambda facts: MISSING.labels("other" if facts["other_scheme"] else "none"),
    request_reported: lambda facts: REPORTED.labels(facts["code"]),
    keys_refreshed: lambda facts: FETCHES.labels(facts["issuer"], "fetched"),
    keys_refresh_failed: lambda facts: FETCHES.labels(facts["issuer"], "failed"),
}


def connect() -> None:
    """Connect the counters to the signals. Calling it again changes nothing."""
    for signal in _COUNTED:
        signal.connect(_count)


def _count(*, signal: Signal, **facts: Any) -> None:
    _COUNTED[signal](facts).inc()


class ProcessCollector(Collector):
    """Report the state of this process at each scrape, without fetching keys."""

    def describe(self) -> list[Metric]:
        """Return nothing: otherwise the registry would collect before there are settings."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the age of each issuer's keys, if loaded, and the use of the token cache."""
        verifier = get_verifier()
        text = "Time since an issuer's keys were fetched."
        age = GaugeMetricFamily("jwtauth_keys_age_seconds", text, labels=["issuer"])
        for issuer in verifier.issuers:
            status = key_source_of(issuer).status()
            if status.age is not None:
                age.add_metric([issuer], status.age)
        yield age
        text = "Tokens accepted from the token cache."
        yield CounterMetricFamily("jwtauth_token_cache_hits", text, verifier.hits)
        text = "Tokens accepted after their signature was verified."
        yield CounterMetricFamily("jwtauth_token_cache_misses", text, verifier.misses)


REGISTRY.register(ProcessCollector())
