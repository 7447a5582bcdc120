"""Refresh keys: from the shared cache, or from the issuer, by one process for all.

A ``Refresher`` takes its time, so it runs in the background. Its three entry points are work for
``SingleFlight``: they return what is left to do when nobody waits any more, the signals.
"""

from __future__ import annotations

import logging
import secrets
from abc import abstractmethod
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.tokens.jwks import KeySet

from .fetch import FetchError
from .shared_cache import SharedDocument, SharedFailure, SharedView
from .state import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.dispatch import Signal

    from .clock import Clock
    from .fetch import Document
    from .shared_cache import JWKSCache
    from .single_flight import Call
    from .state import KeyState

logger: Final = logging.getLogger("jwtauth")

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks into the shared cache that only might help."""

_FIRST_POLL: Final = 0.05
_LONGEST_POLL: Final = 0.5
_LONGEST_POLL_ASKED: Final = 0.1  # Requests wait for these, at most a second.
_REMEMBERED_IDS: Final = 64


class Fetcher(Protocol):
    """Asks an issuer for its key set."""

    @abstractmethod
    def fetch(
        self, timeout: float, *, text_in_use: str | None = None, no_cache: bool = False
    ) -> Document:
        """Return the key set. Raises ``FetchError``."""


class NoUsableKeyError(FetchError):
    """The issuer published a JWK Set, but none of its keys can verify a signature."""


class Refresher:
    """Renews the keys in ``state``."""

    def __init__(self, state: KeyState, fetcher: Fetcher, shared: JWKSCache, clock: Clock) -> None:
        self._state = state
        self._fetcher = fetcher
        self._shared = shared
        self._clock = clock
        # Documents and failures of the shared cache count once: what was replaced stays replaced.
        self._seen_documents: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._seen_failures: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._view = SharedView()
        self._bypass_caches = False
        self._signals: list[tuple[Signal, dict[str, Any]]] = []

    def refresh(self, call: Call) -> Callable[[], None]:
        """Replace keys that are missing or near their end."""
        return self._guarded(call, self._refresh)

    def ask(self, call: Call) -> Callable[[], None]:
        """Find out whether a key is unknown, which a token's ``kid`` or signature suggests."""
        return self._guarded(call, self._ask)

    def refresh_now(self, call: Call) -> Callable[[], None]:
        """Fetch, whatever the age of the keys and the last failure say."""
        return self._guarded(call, self._refresh_now)

    def record_failure(self, reason: str) -> Callable[[], None]:
        """Count a refresh that could not even start. A request calls this: no cache is used."""
        self._state.next_look_at = self._clock.monotonic() + LOOK_INTERVAL
        self._count_failure(reason, answered=False)
        self._state.log_changes()
        return self._send_signals

    def _guarded(self, call: Call, work: Callable[[], None]) -> Callable[[], None]:
        try:
            # Importing the cache's client and connecting do not count as waiting for keys.
            self._shared.warm_up()
            call.started_at = self._clock.monotonic()
            work()
        except Exception as error:
            logger.exception("%s: refreshing the keys failed unexpectedly.", self._state.issuer)
            self._count_failure(type(error).__name__, answered=False)
        self._state.log_changes()
        return self._send_signals

    def _send_signals(self) -> None:
        pending, self._signals = self._signals, []
        for signal, facts in pending:
            signal.send_robust(type(self), issuer=self._state.issuer, **facts)

    def _refresh(self) -> None:
        state = self._state

        def is_done() -> bool:
            return state.is_fresh or state.seconds_until_try() > 0

        lease = self._look_or_lease(is_done, _LONGEST_POLL)
        if lease is not None:
            self._fetch(lease, no_cache=self._bypass_caches)

    def _ask(self) -> None:
        state, began_at = self._state, self._clock.monotonic()
        before = state.snapshot

        def is_done() -> bool:
            snapshot = state.snapshot
            if snapshot is None or before is None or state.seconds_until_try() > 0:
                return True
            # Requests try newer keys before they ask for more.
            is_newer = snapshot.keys is not before.keys
            return is_newer or state.is_evidence(snapshot, began_at)

        def may_not_ask() -> bool:
            return is_done() or state.seconds_until_ask() > 0

        lease = self._look_or_lease(may_not_ask, _LONGEST_POLL_ASKED)
        if lease is None:
            return
        claim = self._shared.claim_refetch(state.policy.timeout)
        if claim is None:
            # The process that took it was killed, or could not share its answer.
            state.next_ask_at = self._clock.monotonic() + LOOK_INTERVAL
            self._shared.release_lease(lease)
            return
        self._fetch(lease, claim=claim, no_cache=True)

    def _refresh_now(self) -> None:
        # A back-off keeps requests from fetching, not an operator.
        lease = self._look_or_lease(lambda: self._view.backing_off, _LONGEST_POLL)
        self._fetch(lease, no_cache=True, conditional=False)

    def _look_or_lease(self, is_done: Callable[[], bool], longest_poll: float) -> str | None:
        """Look into the shared cache until that is enough (``None``) or the lease is obtained."""
        self._look()
        if is_done():
            return None
        timeout = self._state.policy.timeout
        ends_at = self._clock.monotonic() + timeout + 1
        pause = _FIRST_POLL
        while True:
            is_held = self._view.fetching or self._view.backing_off
            lease = None if is_held else self._shared.acquire_lease(timeout)
            is_late = self._clock.monotonic() >= ends_at
            if lease is None and not is_late:
                self._clock.sleep(pause)
                pause = min(2 * pause, longest_poll)
            # After the lease, too: its last holder may have delivered in between.
            self._look()
            if is_done():
                if lease is not None:
                    self._shared.release_lease(lease)
                return None
            if lease is not None or is_late:
                # Late: the holder should have delivered or lost it, so the cache is not reliable.
                return lease or ""

    def _look(self) -> None:
        """Take over what other processes found out."""
        state, looked_at = self._state, self._clock.monotonic()
        state.next_look_at = looked_at + LOOK_INTERVAL
        view = self._view = self._shared.read()
        if view.document is not None and view.document.id not in self._seen_documents:
            self._seen_documents.append(view.document.id)
            if self._is_newer(view.document, view.claim):
                self._adopt(view.document)
        if view.claim is not None:
            held_until = state.claim_held_until if view.claim == state.claim else looked_at
            state.claim, state.claim_held_until = view.claim, max(looked_at, held_until)
        if view.failure is not None:
            self._adopt_failure(view.failure)

    def _is_newer(self, document: SharedDocument, held_claim: str | None) -> bool:
        snapshot = self._state.snapshot
        if snapshot is None or self._fetched_at(document) > snapshot.fetched_at:
            return True
        # By a clock that is behind, an answer of the last few seconds may look old.
        return document.claim is not None and snapshot.claim != document.claim == held_claim

    def _fetched_at(self, document: SharedDocument) -> float:
        # Seen now for the first time: the rest of its age is what the clocks of the hosts say.
        return self._clock.monotonic() - max(0, self._clock.time() - document.fetched_at)

    def _adopt(self, document: SharedDocument) -> None:
        try:
            keys = self._parse(document.text)
        except FetchError as error:
            logger.warning(
                "%s: the shared cache holds no usable keys (%s).", self._state.issuer, error
            )
            return
        is_known = self._state.snapshot is not None
        self._state.install(keys, document.text, document.claim, self._fetched_at(document))
        if is_known and self._view.failure is None:
            # Its publisher deleted the failure, which is older whatever the clocks and Age say.
            self._state.failure = None

    def _adopt_failure(self, failure: SharedFailure) -> None:
        state, policy, now = self._state, self._state.policy, self._clock.monotonic()
        known = state.failure
        if failure.id not in self._seen_failures:
            self._seen_failures.append(failure.id)
            # When it happened is unknown. While the lease says that the back-off lasts, it is taken
            # to have happened just now, and each look asks again.
            wait = policy.backoff(failure.failures) if self._view.backing_off else 0
            state.failure = Failure(
                failure.id,
                failure.failures,
                now if self._view.backing_off else now - policy.cooldown,
                now + wait,
                failure.answered,
                failure.reason,
                is_own=False,
            )
            return
        if known is not None and known.id == failure.id and not known.is_own:
            wait = known.next_try_at if self._view.backing_off else min(now, known.next_try_at)
            state.failure = replace(known, next_try_at=wait)

    def _parse(self, text: str) -> KeySet:
        snapshot = self._state.snapshot
        if snapshot is not None and text == snapshot.text:
            return snapshot.keys
        try:
            keys = KeySet.from_text(text, None if snapshot is None else snapshot.keys)
        except ValueError:
            raise FetchError("the answer is not a JWK Set") from None
        if not len(keys):
            raise NoUsableKeyError("the JWK Set has no usable key")
        return keys

    def _fetch(
        self,
        lease: str | None,
        *,
        claim: str | None = None,
        no_cache: bool,
        conditional: bool = True,
    ) -> None:
        """Ask the issuer, and share what it answers. ``claim``: the fetch is an asked one."""
        state, policy, snapshot = self._state, self._state.policy, self._state.snapshot
        in_use = snapshot.text if snapshot is not None and conditional else None
        began_at, began_time = self._clock.monotonic(), self._clock.time()
        try:
            document = self._fetcher.fetch(policy.timeout, text_in_use=in_use, no_cache=no_cache)
            is_older = snapshot is not None and began_at - document.age < snapshot.fetched_at
            if is_older and not (no_cache or document.unchanged):
                # A cache on the way has an older set than this process.
                document = self._fetcher.fetch(policy.timeout, no_cache=True)
            keys = self._parse(document.text)
        except FetchError as error:
            self._fail(error, claim, lease)
            return
        age = min(document.age, policy.ttl / 2)
        self._bypass_caches = document.age > age
        claim_for = None
        if claim is not None:
            claim_for = policy.cooldown
            state.claim = claim
            state.next_ask_at = state.claim_held_until = self._clock.monotonic() + claim_for
        elif snapshot is not None and (no_cache or keys is snapshot.keys):
            # At least as new as the answer to that claim; a cache on the way may have an older one.
            claim = snapshot.claim
        state.failure = None
        state.install(keys, document.text, claim, began_at - age)
        shared = SharedDocument(secrets.token_hex(8), document.text, began_time - age, claim)
        self._seen_documents.append(shared.id)
        keep_for = policy.ttl + policy.stale_ttl
        self._shared.publish(shared, keep_for=keep_for, claim_for=claim_for, lease=lease)
        self._signals.append((keys_refreshed, {"keys": len(keys)}))

    def _fail(self, error: FetchError, claim: str | None, lease: str | None) -> None:
        """Count a failed fetch, and have all processes back off."""
        # A cache on the way may have kept the answer that failed.
        self._bypass_caches = True
        answered = isinstance(error, NoUsableKeyError)
        failure = self._count_failure(str(error), answered=answered)
        self._shared.report_failure(
            SharedFailure(failure.id, failure.count, failure.answered, failure.reason),
            keep_for=self._state.policy.ttl + self._state.policy.stale_ttl,
            retry_in=failure.next_try_at - failure.failed_at,
            claim=claim,
            lease=lease,
        )

    def _count_failure(self, reason: str, *, answered: bool) -> Failure:
        known, now = self._state.failure, self._clock.monotonic()
        count = 1 + (known.count if known is not None else 0)
        # An issuer that withdrew its keys and is unreachable now has not published them again.
        answered = answered or (known is not None and known.answered)
        next_try_at = now + self._state.policy.backoff(count)
        failure = Failure(secrets.token_hex(8), count, now, next_try_at, answered, reason)
        self._state.failure = failure
        self._seen_failures.append(failure.id)
        self._signals.append((keys_refresh_failed, {"reason": reason, "failures": count}))
        return failure
