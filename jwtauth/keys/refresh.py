"""Refresh keys: from the shared cache, or from the issuer, by one process for all.

A ``Refresher`` takes its time, so it runs in the background, one call at a time. ``source`` starts
it and decides which requests wait for the end of the call, and how long.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.tokens.jwks import KeySet

from .fetch import FetchError, JWKSFetcher
from .shared_cache import JWKSCache, SharedDocument, SharedView
from .single_flight import Call
from .state import Clock, Failure, KeyState

logger: Final = logging.getLogger("jwtauth")

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks into the shared cache that only might help."""

_POLL_INTERVAL: Final = 0.1  # For the second that requests with unknown keys wait.
_LATER_POLL_INTERVAL: Final = 0.5
_REMEMBERED_IDS: Final = 64


class NoUsableKeyError(FetchError):
    """The issuer published a JWK Set, but none of its keys can verify a signature."""


class Refresher:
    """Renews the keys in ``state``. Pass ``refresh``, ``ask`` or ``refresh_now`` to ``run``."""

    def __init__(
        self, state: KeyState, fetcher: JWKSFetcher, shared: JWKSCache, clock: Clock
    ) -> None:
        self._state = state
        self._fetcher = fetcher
        self._shared = shared
        self._clock = clock
        # Documents and failures of the shared cache count once: what was replaced stays replaced.
        self._seen_documents: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._seen_failures: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._bypass_caches = False
        self._signals: list[tuple[Any, dict[str, Any]]] = []

    def run(self, work: Callable[[], None], call: Call) -> None:
        """Do this work as this call; log errors and changes."""
        try:
            # Importing the cache's client and connecting do not count as waiting for keys.
            self._shared.warm_up()
            call.started_at, call.is_preparing = self._clock.monotonic(), False
            work()
        except Exception as error:
            logger.exception("%s: refreshing the keys failed unexpectedly.", self._state.issuer)
            self._count_failure(type(error).__name__, answered=False)
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
        self._count_failure(reason, answered=False)
        self._state.log_changes()
        self.send_signals()

    def refresh(self) -> None:
        """Replace keys that are missing or near their end."""
        state = self._state

        def is_done() -> bool:
            return state.name == "fresh" or state.seconds_until_try() > 0

        if self._obtain_lease(is_done):
            self._fetch(no_cache=self._bypass_caches)

    def ask(self) -> None:
        """Get newer keys, since the ``kid`` or signature of a token suggests that there are some.

        If there are none, the answer of the issuer is the evidence that the key is unknown.
        """
        state, keys, began_at = self._state, self._state.keys, self._clock.monotonic()

        def is_done() -> bool:
            # Requests try newer keys before they ask for more.
            snapshot = state.snapshot
            return (
                snapshot is None
                or snapshot.keys is not keys
                or state.is_evidence(snapshot, began_at)
                or state.seconds_until_ask() > 0
            )

        if not self._obtain_lease(is_done):
            return
        claim = self._shared.claim_refetch(state.policy.timeout)
        if claim is not None:
            self._fetch(claim, no_cache=True)
        else:
            # The process that took it was killed, or could not share its answer.
            state.next_ask_at = self._clock.monotonic() + LOOK_INTERVAL
            self._shared.release_lease()

    def refresh_now(self) -> None:
        """Fetch, whatever the age of the keys and the last failure say."""
        self._look()
        # The lease keeps other processes from fetching. An operator does not need it.
        self._shared.acquire_lease(self._state.policy.timeout)
        self._fetch(no_cache=True, conditional=False)

    def _obtain_lease(self, is_done: Callable[[], bool]) -> bool:
        """Look into the shared cache until that is enough, or until this process may fetch."""
        timeout = self._state.policy.timeout
        view = self._look()
        began_at = self._clock.monotonic()
        while not is_done():
            is_held = view.fetching or view.backing_off
            is_held = is_held or self._shared.acquire_lease(timeout) is None
            elapsed = self._clock.monotonic() - began_at
            # Later, its holder should have delivered or lost it: the cache is unreliable.
            must_wait = is_held and elapsed < timeout + 1
            if must_wait:
                self._clock.sleep(_POLL_INTERVAL if elapsed < 1 else _LATER_POLL_INTERVAL)
            # After the lease, too: its last holder may have delivered in between.
            view = self._look()
            if not must_wait:
                if not is_done():
                    return True
                self._shared.release_lease()
        return False

    def _look(self) -> SharedView:
        """Take over what other processes found out, and return what the shared cache holds."""
        state, now = self._state, self._clock.monotonic()
        state.next_look_at = now + LOOK_INTERVAL
        view = self._shared.read()
        if view.document is not None and view.document.id not in self._seen_documents:
            self._seen_documents.append(view.document.id)
            self._adopt(view.document, view)
        if view.claim is not None:
            held_until = state.claim_held_until if view.claim == state.claim else now
            state.claim, state.claim_held_until = view.claim, max(now, held_until)
        if view.failure is not None:
            self._adopt_failure(view.failure, is_backing_off=view.backing_off)
        return view

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
        if snapshot is not None and view.failure is None:
            # Its publisher deleted the failure, which is older whatever the clocks and Age say.
            state.failure = None

    def _adopt_failure(self, failure: Failure, *, is_backing_off: bool) -> None:
        state, known, now = self._state, self._state.failure, self._clock.monotonic()
        if failure.id not in self._seen_failures:
            self._seen_failures.append(failure.id)
            # When it happened is unknown. While the back-off lasts, it is taken to have happened
            # just now, and each look asks again.
            if is_backing_off:
                next_try_at = now + state.policy.backoff(failure.failures)
                failure = failure._replace(failed_at=now, next_try_at=next_try_at)
            state.failure = failure
        elif known is not None and known.id == failure.id and not is_backing_off:
            state.failure = known._replace(next_try_at=min(now, known.next_try_at))

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

    def _fetch(self, claim: str | None = None, *, no_cache: bool, conditional: bool = True) -> None:
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
            # A cache on the way may have kept the answer that failed.
            self._bypass_caches = True
            failure = self._count_failure(str(error), answered=isinstance(error, NoUsableKeyError))
            self._shared.report_failure(failure)
            return
        age = min(document.age, policy.ttl / 2)
        self._bypass_caches = document.age > age
        if claim is not None:
            state.claim = claim
            state.next_ask_at = state.claim_held_until = self._clock.monotonic() + policy.cooldown
        elif snapshot is not None and (no_cache or keys is snapshot.keys):
            # At least as new as the answer to that claim; a cache on the way may have an older one.
            claim = snapshot.claim
        state.failure = None
        state.install(keys, document.text, claim, began_at - age)
        shared = SharedDocument(secrets.token_hex(8), document.text, began_time - age, claim)
        self._seen_documents.append(shared.id)
        self._shared.publish(shared)
        self._signals.append((keys_refreshed, {"keys": len(keys)}))

    def _count_failure(self, reason: str, *, answered: bool) -> Failure:
        known, now = self._state.failure, self._clock.monotonic()
        count = 1 if known is None else known.failures + 1
        # An issuer that withdrew its keys and is unreachable now has not published them again.
        answered = answered or (known is not None and known.answered)
        next_try_at = now + self._state.policy.backoff(count)
        failure = Failure(secrets.token_hex(8), count, answered, reason, now, next_try_at)
        self._state.failure = failure
        self._seen_failures.append(failure.id)
        self._signals.append((keys_refresh_failed, {"reason": reason, "failures": count}))
        return failure
