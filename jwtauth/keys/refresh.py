"""How newer keys are had: from the fleet's cache, or from the issuer by one process for all."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.tokens.jwks import KeySet

from .fetch import FetchError
from .shared_cache import SharedDocument, SharedFailure
from .snapshot import Snapshot
from .state import Failure
from .timeouts import BoundedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.dispatch import Signal

    from .clock import Clock
    from .fetch import Document
    from .shared_cache import SharedKeys
    from .state import KeyState

    IsEnough = Callable[[Snapshot], bool]

logger: Final = logging.getLogger("jwtauth")

LONGEST_WAIT_FOR_EVIDENCE: Final = 1.0
"""Seconds that a token with an unknown key is kept waiting for its issuer's answer."""

LONGEST_WAIT_FOR_A_LOOK: Final = 0.1
"""Seconds that a token is kept waiting for the shared cache, where the issuer is not asked."""

_POLL: Final = 0.05
_RETRY: Final = 1.0
_PATIENCE: Final = 2.0
_LONGEST_WAIT_FOR_RECEIVERS: Final = 0.5
_CLOCK_SKEW: Final = 60.0


class Fetcher(Protocol):
    """Asks an issuer for its JWKS."""

    def fetch(self, etag: str | None, timeout: float) -> Document | None:
        """The JWKS, or ``None`` where ``etag`` is still current. Raises ``FetchError``."""


class NoUsableKeyError(FetchError):
    """The issuer answered with a JWK Set, but none of its keys can verify anything here."""


class Refresher:
    """Renews the keys in ``state``. It takes its time, so it runs in the background."""

    def __init__(self, state: KeyState, fetcher: Fetcher, shared: SharedKeys, clock: Clock) -> None:
        self._state = state
        self._fetcher = fetcher
        self._shared = shared
        self._clock = clock
        self._unusable: str | None = None

    def run(self, is_enough: IsEnough, *, caused_by_token: bool) -> None:
        """Have a snapshot that is enough, or take down why there is none.

        ``caused_by_token``: by a key that is not known or a signature that does not hold, which
        anybody can send. While the last failure cools down, this only looks into the shared cache.
        """
        self._guarded(lambda: self._run(is_enough, caused_by_token=caused_by_token))

    def run_at_once(self) -> None:
        """Ask the issuer, whatever the age of the keys and the last failure say."""

        def work() -> None:
            self._learn(lambda _snapshot: True)
            self._fetch()

        self._guarded(work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            logger.exception("%s: refreshing the keys failed unexpectedly.", self._state.issuer)
            self._fail(type(error).__name__, answered=False)
        self._state.report()

    def _run(self, is_enough: IsEnough, *, caused_by_token: bool) -> None:
        self._state.next_look_at = self._clock.monotonic() + _RETRY
        if self._learn(is_enough):
            return
        if not caused_by_token:
            self._fetch_once_for_all(is_enough)
        elif self._state.seconds_until_ask() > 0:
            return
        elif self._may_ask():
            self._fetch_once_for_all(is_enough, caused_by_token=True)
        else:
            self._await_others(is_enough)

    def _fetch_once_for_all(self, is_enough: IsEnough, *, caused_by_token: bool = False) -> None:
        """Fetch, unless another process does so first."""
        lifetimes = self._state.lifetimes
        seconds = lifetimes.timeout + 1
        end = self._clock.monotonic() + seconds + _PATIENCE
        while (lease := self._shared.acquire("lease", seconds)) is None:
            if self._clock.monotonic() >= end:
                # Its holder should have delivered or lost it: the cache does not tell the truth.
                break
            self._clock.sleep(_POLL)
            if self._learn(is_enough):
                return
        try:
            # The last holder may have delivered between the look above and the lease.
            if not self._learn(is_enough):
                if caused_by_token:
                    # Anew, since the lease may have been long in coming.
                    self._state.next_ask_at = self._clock.monotonic() + lifetimes.cooldown
                self._fetch()
        finally:
            if lease is not None:
                self._shared.release("lease", lease)

    def _may_ask(self) -> bool:
        """Take the one fetch that tokens may cause in a cooldown, of all processes together."""
        cooldown = self._state.lifetimes.cooldown
        # The mark is not given back: that it stands is the cooldown.
        if self._shared.acquire("asked", cooldown) is None:
            return False
        self._state.next_ask_at = self._clock.monotonic() + cooldown
        return True

    def _await_others(self, is_enough: IsEnough) -> None:
        """Wait for the answer to the process that asked."""
        end = self._clock.monotonic() + LONGEST_WAIT_FOR_EVIDENCE
        while not self._learn(is_enough):
            now = self._clock.monotonic()
            if now >= end:
                self._state.next_ask_at = now + min(self._state.lifetimes.cooldown, _RETRY)
                return
            self._clock.sleep(_POLL)

    def _learn(self, is_enough: IsEnough) -> bool:
        """Take over what the fleet knows; whether that is enough, or a failure still cools down."""
        document = self._shared.document()
        if document is not None:
            self._adopt(document)
        snapshot = self._state.snapshot
        if snapshot is not None and is_enough(snapshot):
            return True
        if self._state.seconds_until_try() > 0:
            return True
        known, failure = self._state.failure, self._fleets_failure()
        if failure is not None and (known is None or known.failed_at < failure.failed_at):
            self._state.failure = failure
        return self._state.seconds_until_try() > 0

    def _fleets_failure(self) -> Failure | None:
        """The last failure of any process, unless keys were had since."""
        shared, snapshot = self._shared.failure(), self._state.snapshot
        if shared is None:
            return None
        backoff = self._state.lifetimes.backoff(shared.failures)
        wait = shared.retry_at - self._clock.time()
        next_try_at = self._clock.monotonic() + min(wait, backoff)
        failed_at = next_try_at - backoff
        if wait > backoff + _CLOCK_SKEW:
            return None
        if snapshot is not None and failed_at < snapshot.fetched_at:
            return None
        return Failure(shared.failures, failed_at, next_try_at, shared.answered, shared.reason)

    def _adopt(self, document: SharedDocument) -> None:
        age = self._clock.time() - document.fetched_at
        fetched_at = self._clock.monotonic() - max(0, age)
        snapshot = self._state.snapshot
        if age < -_CLOCK_SKEW:
            return
        if snapshot is not None and fetched_at <= snapshot.fetched_at + _POLL:
            return
        if document.text == self._unusable:
            return
        try:
            self._install(document.text, document.etag, fetched_at)
        except FetchError:
            self._unusable = document.text
            logger.warning("%s: the shared cache holds no usable keys.", self._state.issuer)

    def _install(self, text: str, etag: str | None, fetched_at: float) -> KeySet:
        """Make these keys the current ones. Raises ``FetchError`` where none of them is usable."""
        snapshot = self._state.snapshot
        if snapshot is not None and text == snapshot.text:
            keys = snapshot.keys
        else:
            try:
                keys = KeySet.from_text(text, None if snapshot is None else snapshot.keys)
            except ValueError:
                raise FetchError("the answer is not a JWK Set") from None
            if not len(keys):
                raise NoUsableKeyError("the JWK Set holds no usable key")
        self._state.install(Snapshot.of(keys, text, etag, fetched_at, self._state.lifetimes))
        return keys

    def _fetch(self) -> None:
        lifetimes = self._state.lifetimes
        started_at, started_time = self._clock.monotonic(), self._clock.time()
        try:
            document = self._document(lifetimes.timeout)
            keys = self._install(document.text, document.etag, started_at)
        except FetchError as error:
            self._fail(str(error), answered=isinstance(error, NoUsableKeyError))
            return
        self._state.failure = None
        self._shared.publish(
            SharedDocument(document.text, started_time, document.etag),
            lifetimes.ttl + lifetimes.stale_ttl,
        )
        self._announce(keys_refreshed, keys=len(keys))

    def _document(self, timeout: float) -> Document | Snapshot:
        """What the issuer serves; the snapshot where that has not changed."""
        snapshot = self._state.snapshot
        document = self._fetcher.fetch(None if snapshot is None else snapshot.etag, timeout)
        if document is not None:
            return document
        if snapshot is None:
            raise FetchError("the issuer answered that nothing changed since nothing")
        return snapshot

    def _fail(self, reason: str, *, answered: bool) -> None:
        known = [each for each in (self._state.failure, self._fleets_failure()) if each]
        failures = 1 + max((each.count for each in known), default=0)
        # An issuer that withdrew its keys, and is away by now, has not given them back.
        answered = answered or any(each.answered for each in known)
        lifetimes = self._state.lifetimes
        wait = lifetimes.backoff(failures)
        now = self._clock.monotonic()
        self._state.failure = Failure(failures, now, now + wait, answered, reason)
        # For as long as the keys are shared that it says something about.
        self._shared.report(
            SharedFailure(failures, self._clock.time() + wait, answered, reason),
            lifetimes.ttl + lifetimes.stale_ttl,
        )
        self._announce(keys_refresh_failed, reason=reason, failures=failures)

    def _announce(self, signal: Signal, **facts: Any) -> None:
        """Send a signal, and wait for its receivers no longer than keys can wait."""
        if not signal.has_listeners(type(self)):
            return
        call = BoundedCall(
            lambda: signal.send_robust(type(self), issuer=self._state.issuer, **facts)
        )
        with suppress(TimeoutError, RuntimeError):
            call.result(_LONGEST_WAIT_FOR_RECEIVERS)
