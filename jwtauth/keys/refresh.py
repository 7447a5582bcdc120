"""Refresh keys: from the shared cache, or from the issuer, by one process for all.

A ``Refresher`` takes its time, so it runs in the background, one call at a time. ``source`` starts
it and decides which requests wait for the end of the call, and how long.
"""

import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final

from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.tokens.jwks import KeySet

from .fetch import FetchError, JWKSFetcher
from .shared_cache import JWKSCache, SharedDocument, SharedView, new_id
from .single_flight import Call
from .state import Failure, KeyState

logger: Final = logging.getLogger("jwtauth")

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks into the shared cache that only might help."""

_GRACE: Final = 1.0
"""Seconds that a lease or a claim may outlive its time, in a cache that expires it late."""

_POLL_INTERVAL: Final = 0.2
_REMEMBERED_IDS: Final = 64


class NoUsableKeyError(FetchError):
    """The issuer published a JWK Set, but none of its keys can verify a signature."""


class Refresher:
    """Renews the keys in ``state``.

    Pass ``refresh``, ``ask`` or ``refresh_now`` to ``run``. It looks into the shared cache first.
    """

    def __init__(self, state: KeyState, fetcher: JWKSFetcher, shared: JWKSCache) -> None:
        self._state = state
        self._clock = state.clock
        self._fetcher = fetcher
        self._shared = shared
        self._view = SharedView()
        # Documents and failures of the shared cache count once: what was replaced stays replaced.
        self._seen_documents: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._seen_failures: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._bypass_caches = False
        self._signals: list[tuple[Any, dict[str, Any]]] = []

    def run(self, work: Callable[[], None], call: Call) -> None:
        """Do this work as this call; log errors and changes."""
        is_connected = self._shared.is_connected
        try:
            self._look()
            if not is_connected:
                # Importing the cache's client and connecting do not count as waiting for keys.
                call.started_at = self._clock.monotonic()
            call.is_preparing = False
            work()
        except Exception as error:
            logger.exception("%s: refreshing the keys failed unexpectedly.", self._state.issuer)
            self._record_failure(new_id(), type(error).__name__)
        self._state.log_changes()

    def send_signals(self) -> None:
        """Send the signals of the calls before. Receivers may take their time."""
        pending, self._signals = self._signals, []
        for signal, facts in pending:
            signal.send_robust(type(self), issuer=self._state.issuer, **facts)

    def record_failed_start(self, reason: str) -> None:
        """Count a refresh that could not start, and send the signal.

        The only method that requests call, so it does not use the cache.
        """
        self._state.next_look_at = self._clock.monotonic() + LOOK_INTERVAL
        self._record_failure(new_id(), reason)
        self._state.log_changes()
        self.send_signals()

    def refresh(self) -> None:
        """Replace keys that are missing or near their end."""
        state = self._state
        lease = self._obtain_lease(lambda: state.name == "fresh" or state.seconds_until_try() > 0)
        if lease is not None:
            self._fetch(lease, no_cache=self._bypass_caches)

    def ask(self, keys: KeySet | None, arrived_at: float) -> None:
        """Get newer keys than these, which lack the key of a token that arrived then.

        If there are none, the answer of the issuer is the evidence that the key is unknown.
        """
        state = self._state

        def is_done() -> bool:
            # Requests try newer keys before they ask for more.
            return state.answer(keys, arrived_at) is not None or state.seconds_until_ask() > 0

        lease = self._obtain_lease(is_done)
        if lease is not None:
            self._fetch(lease, no_cache=True, asked=True)

    def refresh_now(self) -> None:
        """Fetch, whatever the age of the keys and the last failure say."""
        lease = self._shared.take_lease(self._state.policy.timeout)
        self._fetch(lease, no_cache=True)

    def _obtain_lease(self, is_done: Callable[[], bool]) -> str | None:
        """Look into the shared cache until that is enough, or until this process may fetch."""
        timeout = self._state.policy.timeout
        # If the holder was killed, the process that takes its place needs as much time again.
        late_at = self._clock.monotonic() + 2 * timeout + _GRACE
        while not is_done():
            lease = None
            if self._clock.monotonic() >= late_at:
                # The cache does not expire the lease.
                lease = self._shared.take_lease(timeout)
            elif self._view.lease is None:
                lease = self._shared.acquire_lease(timeout)
            if lease is None:
                self._clock.sleep(_POLL_INTERVAL)
            # After the lease, too: its last holder may have delivered in between.
            self._look()
            if lease is not None:
                if not is_done():
                    return lease
                self._shared.release_lease(lease)
        return None

    def _look(self) -> None:
        """Look into the shared cache, and take over what other processes found out."""
        state, now = self._state, self._clock.monotonic()
        state.next_look_at = now + LOOK_INTERVAL
        self._view = view = self._shared.read()
        if view.document is not None and view.document.id not in self._seen_documents:
            self._seen_documents.append(view.document.id)
            self._adopt(view.document, view)
        if view.failure is not None:
            self._adopt_failure(view.failure, is_backing_off=view.failure.id == view.lease)
        if view.claim not in (None, state.claim):
            state.claim, state.claim_held_until = view.claim, now
            state.claim_ends_at = now + state.policy.cooldown + _GRACE
        if view.claim is not None and now <= state.claim_ends_at:
            is_answered = state.snapshot is not None and state.snapshot.claim == view.claim
            # If its answer was not shared or was replaced, only the claim's end can help.
            held_until = now if is_answered else state.next_look_at
            state.claim_held_until = max(held_until, state.claim_held_until)

    def _adopt(self, document: SharedDocument, view: SharedView) -> None:
        """Use this document, unless an older fetch returned it than the keys in use."""
        state, snapshot = self._state, self._state.snapshot
        # Seen now for the first time: the rest of its age is what the clocks of the hosts say.
        age = max(0, self._clock.time() - document.fetched_at)
        fetched_at = self._clock.monotonic() - age
        if snapshot is not None and fetched_at <= snapshot.fetched_at:
            # By a clock that is behind, an answer of the last few seconds may look old.
            is_answer = document.claim is not None and document.claim == view.claim
            if not is_answer or document.claim == snapshot.claim:
                return
        try:
            keys = self._parse(document.text)
        except FetchError as error:
            logger.warning("%s: the shared cache holds no usable keys (%s).", state.issuer, error)
            return
        state.install(keys, document.text, document.claim, fetched_at)
        if view.failure is None:
            # Its publisher deleted the failure, which is older whatever the clocks and Age say.
            state.failure = None

    def _adopt_failure(self, failure: Failure, *, is_backing_off: bool) -> None:
        state, known, now = self._state, self._state.failure, self._clock.monotonic()
        if failure.id not in self._seen_failures:
            self._seen_failures.append(failure.id)
            # When it happened is unknown. While the back-off lasts, it is taken to have happened
            # just now, and each look asks again.
            state.failure = failure._replace(failed_at=now if is_backing_off else -inf)
        elif known is not None and known.id == failure.id and not is_backing_off:
            over_since = now - state.policy.backoff(known.failures)
            state.failure = known._replace(failed_at=min(over_since, known.failed_at))

    def _parse(self, text: str) -> KeySet:
        snapshot = self._state.snapshot
        if snapshot is not None and text == snapshot.text:
            return snapshot.keys
        try:
            keys = KeySet.from_text(text)
        except ValueError:
            raise FetchError("the answer is not a JWK Set") from None
        if not len(keys):
            raise NoUsableKeyError("the JWK Set has no usable key")
        return keys

    def _fetch(self, fetch_id: str, *, no_cache: bool, asked: bool = False) -> None:
        """Ask the issuer, and share what it answers. A fetch past the caches is unconditional."""
        state, policy, snapshot = self._state, self._state.policy, self._state.snapshot
        in_use = None if snapshot is None or no_cache else snapshot.text
        began_at, began_time = self._clock.monotonic(), self._clock.time()
        try:
            document = self._fetcher.fetch(policy.timeout, text_in_use=in_use, no_cache=no_cache)
            is_older = snapshot is not None and began_at - document.age < snapshot.fetched_at
            if is_older and not (no_cache or document.unchanged):
                # A cache on the way has an older set than this process.
                document = self._fetcher.fetch(policy.timeout, no_cache=True)
            keys = self._parse(document.text)
        except FetchError as error:
            # A cache on the way may have kept the answer that failed.
            self._bypass_caches = True
            answered = isinstance(error, NoUsableKeyError)
            failure = self._record_failure(fetch_id, str(error), answered=answered)
            self._shared.report_failure(failure)
            return
        age = min(document.age, policy.ttl / 2)
        self._bypass_caches = document.age > age
        claim = None
        if asked:
            state.claim = claim = fetch_id
            state.claim_held_until = self._clock.monotonic() + policy.cooldown
            state.claim_ends_at = state.claim_held_until + _GRACE
        elif snapshot is not None and (no_cache or keys is snapshot.keys):
            # At least as new as the answer to that claim; a cache on the way may have an older one.
            claim = snapshot.claim
        state.failure = None
        state.install(keys, document.text, claim, began_at - age)
        self._seen_documents.append(fetch_id)
        self._shared.publish(SharedDocument(fetch_id, document.text, began_time - age, claim))
        self._signals.append((keys_refreshed, {"keys": len(keys)}))

    def _record_failure(self, fetch_id: str, reason: str, *, answered: bool = False) -> Failure:
        known = self._state.failure
        count = 1 if known is None else known.failures + 1
        # An issuer that withdrew its keys and is unreachable now has not published them again.
        answered = answered or (known is not None and known.answered)
        failure = Failure(fetch_id, count, answered, reason, self._clock.monotonic())
        self._state.failure = failure
        self._seen_failures.append(fetch_id)
        self._signals.append((keys_refresh_failed, {"reason": reason, "failures": count}))
        return failure
