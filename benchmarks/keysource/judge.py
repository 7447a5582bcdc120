"""Judge what an API answered while things went wrong: which rule allows it, if any.

The rules are the ones of the page about the key source in the documentation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SETTINGS = {"JWKS_TTL": 2.0, "JWKS_STALE_TTL": 6.0, "JWKS_COOLDOWN": 1.0, "JWKS_TIMEOUT": 1.5}
TTL, STALE_TTL, COOLDOWN, TIMEOUT = SETTINGS.values()
SLACK: Final = 1.0
"""Seconds that reading an answer and sharing it may take on a slow machine."""

PROBE_INTERVAL: Final = 0.1
NO_RESPONSE: Final = 0
ISSUER: Final = "issuer"
CACHE: Final = "shared cache"
WORKER: Final = "worker"
FROZEN: Final = "frozen"
NO_USABLE_KEYS: Final = "no usable keys"

FORGED: Final = "**forged tokens accepted**"
REMOVED: Final = "**tokens of removed keys accepted, issuer well**"
ERROR: Final = "**responses with 500**"
UNEXPLAINED: Final = "**valid tokens, no rule explains the response**"
MUST_BE_0: Final = (FORGED, REMOVED, ERROR, UNEXPLAINED)


class Response(NamedTuple):
    """A response to a token of the key ``key``. All times here are Unix times."""

    key: str
    sent_at: float
    ended_at: float
    status: int
    code: str = ""
    retry_after: int = 0
    worker: str = ""


class Answer(NamedTuple):
    """An answer of the issuer to one of the workers; a fault leaves ``keys`` empty."""

    at: float
    keys: frozenset[str]
    asked: bool

    def lacks(self, key: str) -> bool:
        """Whether it delivered keys, and not this one."""
        return bool(self.keys) and key not in self.keys


class Probe(NamedTuple):
    """A request for the key set that checks how the issuer answers."""

    began_at: float
    ended_at: float
    is_good: bool


@dataclass(slots=True)
class Fault:
    """Something that went wrong with ``subject``, from one time to another."""

    subject: str
    name: str
    began_at: float
    ended_at: float = inf


@dataclass(slots=True)
class Lifetime:
    """When the issuer published a key, and when it removed it. Forged tokens have no such key."""

    published_at: float = inf
    removed_at: float = inf


@dataclass(slots=True)
class History:
    """What happened, as far as it matters for the responses that are still to be judged."""

    keys: dict[str, Lifetime] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)

    def between(self, subject: str, start: float, end: float) -> Iterator[Fault]:
        """Yield the faults of ``subject`` that overlap this time."""
        for fault in self.faults:
            if fault.subject == subject and fault.began_at <= end and fault.ended_at >= start:
                yield fault

    def answered_within(self, seconds: float, start: float, end: float) -> bool:
        """Whether the issuer answered every probe of this time within ``seconds``."""
        limit = seconds + PROBE_INTERVAL
        return any(since <= start and end <= until + limit for since, until in self._good(limit))

    def last_health(self, length: float, before: float) -> float:
        """Return until when the issuer answered for ``length`` seconds, for the last time."""
        spans = [(since, min(until, before)) for since, until in self._good(0.5 + PROBE_INTERVAL)]
        return max((until for since, until in spans if until - since >= length), default=-inf)

    def _good(self, limit: float) -> list[list[float]]:
        """Return the times from the first to the last of probes that were answered in time."""
        spans: list[list[float]] = []
        is_interrupted = True
        for began_at, ended_at, is_good in self.probes:
            if not is_good or ended_at - began_at > limit:
                is_interrupted = True
            # After a gap between two probes, in which this machine stood still, it starts anew.
            elif is_interrupted or began_at - spans[-1][1] > limit:
                spans.append([began_at, ended_at])
                is_interrupted = False
            else:
                spans[-1][1] = ended_at
        return spans

    def forget(self, before: float) -> None:
        """Drop what cannot matter any more."""
        # In place, because another thread adds to it.
        del self.answers[: bisect_left(self.answers, before, key=lambda each: each.at)]
        del self.probes[: bisect_left(self.probes, before, key=lambda each: each.ended_at)]


class Judge:
    """Counts responses, and prints those that break a rule."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.counts: Counter[str] = Counter(dict.fromkeys(MUST_BE_0, 0))
        self.explained: Counter[str] = Counter()
        self._accepted: dict[tuple[str, str], float] = {}

    def judge(self, responses: Iterable[Response]) -> None:
        """Judge responses, which came before those of the next call."""
        for response in sorted(responses, key=lambda each: each.ended_at):
            self._judge(response)
            if response.status == 200:
                self._accepted.setdefault((response.worker, response.key), response.ended_at)

    def _judge(self, response: Response) -> None:
        key = self.history.keys.get(response.key) or Lifetime()
        if response.status == 500:
            self._violated(ERROR, response)
        if key.published_at < response.sent_at and response.ended_at < key.removed_at:
            self.counts["valid tokens"] += 1
            if response.status != 200:
                reason = self._reason(response)
                if reason is None:
                    self._violated(UNEXPLAINED, response)
                else:
                    self.explained[f"{response.status or 'no response'}: {reason}"] += 1
        elif response.ended_at < key.published_at:
            self.counts["forged tokens"] += 1
            if response.status == 200:
                self._violated(FORGED, response)
        elif key.removed_at < response.sent_at:
            self.counts["tokens of removed keys"] += 1
            since = response.sent_at - TTL - TIMEOUT
            if response.status != 200:
                return
            if key.removed_at < since and self.history.answered_within(1, since, response.sent_at):
                self._violated(REMOVED, response)
            else:
                self.counts["tokens of removed keys accepted, issuer unwell or within T + D"] += 1

    def _violated(self, rule: str, response: Response) -> None:
        self.counts[rule] += 1
        print(f"\n{rule}: {response}\n  {self.history.keys.get(response.key)}")
        print(*self.history.faults[-12:], *self.history.answers[-12:], sep="\n  ")

    def _reason(self, response: Response) -> str | None:
        """Return why a valid token may get something else than 200, or ``None``."""
        history, start, end = self.history, response.sent_at, response.ended_at
        if response.status == NO_RESPONSE:
            killed = any(history.between(WORKER, start - SLACK, end))
            return "its worker was killed" if killed else None
        if response.status == 401 and response.code in {"invalid_signature", "unknown_key"}:
            return self._evidence(response)
        if response.status == 503 and response.code == "keys_unavailable" and response.retry_after:
            accepted_at = self._accepted.get((response.worker, response.key), inf)
            if accepted_at < start:
                return self._reason_for_known_key(response)
            return self._reason_for_unknown_key(response)
        return None

    def _evidence(self, response: Response) -> str | None:
        """Return why the key counts as unknown: an answer to an asked fetch is evidence for C."""
        history, start = self.history, response.sent_at
        lacking = [
            answer.at
            for answer in history.answers
            if answer.asked and answer.lacks(response.key) and answer.at <= response.ended_at
        ]
        if any(start <= at + COOLDOWN + SLACK for at in lacking):
            return "asked within C, the issuer had not published the key yet"
        return None

    def _reason_for_known_key(self, response: Response) -> str | None:
        """The process has the key: it uses it until T + S after the last fetch that succeeded."""
        history, start, end = self.history, response.sent_at, response.ended_at
        recently = start - COOLDOWN - TIMEOUT - SLACK
        if any(each.name == NO_USABLE_KEYS for each in history.between(ISSUER, recently, end)):
            return "the issuer published no usable keys, T is over"
        if history.answered_within(0.5, recently, end):
            return None
        # After T of health, every process has fetched, or looked into the cache, within T.
        healthy_at = history.last_health(TTL + COOLDOWN, end)
        if any(each.name == NO_USABLE_KEYS for each in history.between(ISSUER, healthy_at, end)):
            return "the issuer published no usable keys, T is over"
        if end > healthy_at + STALE_TTL:
            return "the issuer was unreachable, T + S is over"
        return None

    def _reason_for_unknown_key(self, response: Response) -> str | None:
        """The process needs the issuer or the shared cache to have the key."""
        history, start, end = self.history, response.sent_at, response.ended_at
        recently = start - COOLDOWN - TIMEOUT - SLACK
        if not history.answered_within(0.5, recently, end):
            if self._is_in_cache(response):
                return None
            return "the issuer could not be asked for a new key"
        if any(each.name == NO_USABLE_KEYS for each in history.between(ISSUER, recently, end)):
            return "the issuer published no usable keys when it was asked for a new key"
        for subject, reason in (
            (WORKER, "the worker that asked was killed, others wait for D"),
            (CACHE, "the shared cache could not pass on the answer"),
        ):
            if any(history.between(subject, recently, end)):
                return reason
        return None

    def _is_in_cache(self, response: Response) -> bool:
        """Whether a process could get the key from the shared cache."""
        history, start = self.history, response.sent_at
        return any(
            response.key in answer.keys
            and start - STALE_TTL < answer.at < start - 2 * SLACK
            and not any(history.between(CACHE, answer.at - SLACK, response.ended_at))
            and not any(history.between(WORKER, answer.at - SLACK, answer.at + SLACK))
            for answer in history.answers
        )
