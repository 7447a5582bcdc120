"""The key source: one issuer's keys, and which requests wait for newer ones.

No method that a request calls blocks. If the request has to wait, the method raises ``WouldBlock``
for the drivers in ``single_flight``. ``_waits_until`` decides how long a request waits for keys
that are missing or expired, and ``confirm_unknown`` how long it waits if its key is unknown, which
``KeyState.answer`` decides. ``jwtauth.verification`` lets requests to open views not wait at all.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final

from jwtauth.exceptions import KeysUnavailable
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import KeySearch

from .fetch import JWKSFetcher
from .refresh import Refresher
from .shared_cache import JWKSCache
from .single_flight import Call, SingleFlight, Spawn, WouldBlock, in_background
from .state import KeyState, Status

LONGEST_WAIT: Final = 1.0
"""Seconds after the start of a refresh for which requests wait if the process has keys."""

LONGEST_WAIT_WHILE_FAILING: Final = 0.1
"""Seconds that a request waits if the last attempt failed: a flood must not keep threads busy."""

LONGEST_PREPARATION: Final = 30.0
"""Seconds for which requests without keys wait until the cache is connected."""

_MAX_WAITS: Final = 3
"""How often a token with an unknown key waits: for a refresh in progress, a look into the shared
cache, and an asked fetch."""


class KeySource:
    """The keys of one issuer, fetched by ``fetcher`` and shared through ``shared``.

    Nothing runs before the first token arrives. Requests use fresh keys without a lock, a cache
    call or I/O. ``spawn`` runs a function in the background.
    """

    def __init__(
        self, state: KeyState, fetcher: JWKSFetcher, shared: JWKSCache, spawn: Spawn = in_background
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._refresher = Refresher(state, fetcher, shared)
        self._single_flight = SingleFlight(state.clock, spawn, self._refresher.send_signals)

    def start_search(self) -> KeySearch:
        """Return a search that begins now."""
        return KeySearch(self._clock.monotonic())

    def current(self, search: KeySearch | None = None) -> KeySet:
        """Return the keys to verify with, at once if they are fresh.

        Raises ``KeysUnavailable`` or ``WouldBlock``.
        """
        snapshot = self._state.snapshot
        if snapshot is not None and self._clock.monotonic() < snapshot.ahead_at:
            return snapshot.keys
        return self._current_unless_fresh(search or self.start_search())

    def _current_unless_fresh(self, search: KeySearch) -> KeySet:
        state = self._state
        seconds_until_try = state.seconds_until_try()
        call = self._start_or_join(self._refresher.refresh, seconds_until_try)
        if call is not None and seconds_until_try <= 0 and search.call in (None, call):
            self._wait(call, self._waits_until(call, search), search)
        keys = state.keys
        if keys is None or state.name == "unavailable":
            raise KeysUnavailable(state.seconds_until_try())
        return keys

    def _waits_until(self, call: Call, search: KeySearch) -> float:
        """Return until when a request waits for this refresh; a time in the past if it does not."""
        state, policy, snapshot = self._state, self._state.policy, self._state.snapshot
        name = state.name
        if name == "unavailable":
            if state.has_failed_within(inf):  # At a known time, so that this is a retry.
                return search.arrived_at + LONGEST_WAIT_WHILE_FAILING
            if call.is_preparing:
                next_check = self._clock.monotonic() + policy.timeout
                return min(call.started_at + LONGEST_PREPARATION, next_check)
            return max(search.arrived_at, call.started_at) + policy.timeout
        # A refresh that began before the keys expired is a background refresh.
        if name == "expired" and snapshot and call.started_at >= snapshot.fetched_at + policy.ttl:
            return call.started_at + LONGEST_WAIT
        return -inf

    def confirm_unknown(self, keys: KeySet, search: KeySearch) -> KeySet:
        """Return newer keys than ``keys``, or ``keys`` if it is certain that there are none.

        It is certain if the issuer was asked since the token arrived, or within the last
        ``JWKS_COOLDOWN``. The caller, ``TrustedIssuer``, tries newer keys, and rejects the token if
        it gets ``keys`` back. Raises ``KeysUnavailable`` if the issuer cannot be asked, and
        ``WouldBlock``.
        """
        state = self._state
        while True:
            answer = state.answer(keys, search.arrived_at)
            if answer is not None:
                return answer
            ask = partial(self._refresher.ask, keys, search.arrived_at)
            call = self._start_or_join(ask, state.seconds_until_ask())
            if call is None or search.waits == _MAX_WAITS:
                break
            search.waits += 1
            until = call.started_at + LONGEST_WAIT
            if state.has_failed_within(state.policy.cooldown):
                until = min(until, search.arrived_at + LONGEST_WAIT_WHILE_FAILING)
            self._wait(call, until, search)
        raise KeysUnavailable(state.seconds_until_ask())

    def report_bad_signature(self) -> None:
        """Refresh in the background: a known key may have been replaced under its ``kid``."""
        state = self._state
        # Most of a flood of forged tokens ends here.
        if state.seconds_until_look() <= 0:
            ask = partial(self._refresher.ask, state.keys, self._clock.monotonic())
            self._start_or_join(ask, 0)

    def refresh(self) -> Status:
        """Fetch the keys now, in this thread, and share them; return the resulting state.

        ``reason`` is ``None`` on success. This blocks for as long as a fetch may take, and ignores
        the age of the keys and the back-off. Call it in a command, never in a request.
        """
        self._single_flight.run(partial(self._refresher.run, self._refresher.refresh_now))
        return self._state.status()

    def status(self) -> Status:
        """Return the state as a request would find it, without any I/O."""
        return self._state.status()

    def _start_or_join(self, work: Callable[[], None], seconds_until_fetch: float) -> Call | None:
        """Return the call in progress, or start this work if it may fetch.

        While it may not, another process may have found newer keys, so it may start in order to
        look. Returns ``None`` if there is nothing to wait for, or if no thread can be started.
        """
        call = self._single_flight.current
        if call is not None or min(seconds_until_fetch, self._state.seconds_until_look()) > 0:
            return call
        try:
            return self._single_flight.start_or_join(partial(self._refresher.run, work))
        except Exception as error:  # noqa: BLE001 - RuntimeError, or MemoryError.
            self._refresher.record_failed_start(f"no thread can be started: {error}")
            return None

    def _wait(self, call: Call, until: float, search: KeySearch) -> None:
        """Raise ``WouldBlock`` unless the call or the time for it is over."""
        seconds = until - self._clock.monotonic()
        if seconds > 0 and not call.future.done():
            search.call = call
            raise WouldBlock(call.future, seconds, search)
