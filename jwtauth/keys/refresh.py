"""How newer keys are had: from the fleet's cache, or from the issuer by one process for all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.tokens.keyset import KeySet

from .fetch import FetchError
from .shared import SharedDocument, SharedFailure
from .snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock
    from .fetch import Document
    from .shared import SharedKeys
    from .state import KeyState

    IsEnough = Callable[[Snapshot], bool]

logger = logging.getLogger("jwtauth")

LONGEST_WAIT_FOR_EVIDENCE: Final = 1.0
"""Seconds that a token with an unknown key is kept waiting for its issuer's answer."""

_POLL: Final = 0.05
_RETRY_ASKING: Final = 1.0
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

    def run(self, is_enough: IsEnough, *, caused_by_token: bool) -> None:
        """Have a snapshot that is enough, or take down why there is none.

        ``caused_by_token``: by a key that is not known or a signature that does not hold, which
        anybody can send.
        """
        try:
            self._run(is_enough, caused_by_token=caused_by_token)
        except Exception as error:
            logger.exception("%s: refreshing the keys failed unexpectedly.", self._state.issuer)
            self._fail(type(error).__name__, answered=False)
        self._state.report()

    def _run(self, is_enough: IsEnough, *, caused_by_token: bool) -> None:
        if self._learn(is_enough):
            return
        if caused_by_token and not self._may_ask():
            self._await_others(is_enough)
            return
        seconds = self._state.lifetimes.timeout + 1
        end = self._clock.monotonic() + seconds
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
                self._fetch()
        finally:
            if lease is not None:
                self._shared.release("lease", lease)

    def _may_ask(self) -> bool:
        """Take the one fetch that tokens may cause in a cooldown, of all processes together."""
        cooldown = self._state.lifetimes.cooldown
        # The mark is not given back: that it stands is the cooldown.
        is_granted = self._shared.acquire("asked", cooldown) is not None
        wait = cooldown if is_granted else min(cooldown, _RETRY_ASKING)
        self._state.next_ask_at = self._clock.monotonic() + wait
        return is_granted

    def _await_others(self, is_enough: IsEnough) -> None:
        end = self._clock.monotonic() + LONGEST_WAIT_FOR_EVIDENCE
        while not self._learn(is_enough) and self._clock.monotonic() < end:
            self._clock.sleep(_POLL)

    def _learn(self, is_enough: IsEnough) -> bool:
        """Take over what the fleet knows; whether that is enough, or forbids a fetch for now."""
        document = self._shared.document()
        if document is not None:
            self._adopt(document)
        snapshot = self._state.snapshot
        if snapshot is not None and is_enough(snapshot):
            return True
        failure = self._shared.failure()
        if failure is None:
            return False
        wait = failure.retry_at - self._clock.time()
        if not 0 < wait <= self._state.lifetimes.backoff(failure.failures):
            return False
        self._state.note_failure(failure.failures, wait, failure.reason, answered=failure.answered)
        return True

    def _adopt(self, document: SharedDocument) -> None:
        age = self._clock.time() - document.fetched_at
        fetched_at = self._clock.monotonic() - max(0, age)
        snapshot = self._state.snapshot
        if age < -_CLOCK_SKEW:
            return
        if snapshot is not None and fetched_at <= snapshot.fetched_at + _POLL:
            return
        try:
            self._install(document.text, document.etag, fetched_at)
        except FetchError:
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
        keys_refreshed.send_robust(type(self), issuer=self._state.issuer, keys=len(keys))

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
        local, shared = self._state.failure, self._shared.failure()
        failures = 1 + max(local.count if local else 0, shared.failures if shared else 0)
        wait = self._state.lifetimes.backoff(failures)
        self._state.note_failure(failures, wait, reason, answered=answered)
        self._shared.report(
            SharedFailure(failures, self._clock.time() + wait, answered, reason),
            wait + max(60, 2 * self._state.lifetimes.cooldown),
        )
        keys_refresh_failed.send_robust(
            type(self), issuer=self._state.issuer, reason=reason, failures=failures
        )
