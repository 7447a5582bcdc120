"""The key source: an issuer's keys, kept so that neither its absence nor a flood is felt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jwtauth.exceptions import KeysUnavailable

from .clock import Clock
from .flights import Flights, in_background
from .refresh import LONGEST_WAIT_FOR_A_LOOK, LONGEST_WAIT_FOR_EVIDENCE, Refresher
from .state import KeyState
from .waiting import began_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.tokens.jwks import KeySet, VerificationKey

    from .flights import Flight
    from .refresh import Fetcher, IsEnough
    from .shared_cache import SharedKeys
    from .snapshot import Lifetimes, Snapshot
    from .state import Status


class KeySource:
    """The keys of one issuer, fetched by ``fetcher`` and shared through ``shared``.

    Nothing runs before the first token asks. Readers of a fresh snapshot touch no lock, no cache
    and no network; all work is done in the background, where ``spawn`` runs a function.
    """

    def __init__(  # noqa: PLR0913 - what it works with is handed to it.
        self,
        issuer: str,
        fetcher: Fetcher,
        shared: SharedKeys,
        lifetimes: Lifetimes,
        *,
        clock: Clock | None = None,
        spawn: Callable[[Callable[[], None]], None] = in_background,
    ) -> None:
        self._clock = clock or Clock()
        self._lifetimes = lifetimes
        self._state = KeyState(issuer, lifetimes, self._clock)
        self._refresher = Refresher(self._state, fetcher, shared, self._clock)
        self._flights = Flights(self._clock, spawn)

    def current(self) -> KeySet:
        """The keys to judge with now. Raises ``KeysUnavailable``."""
        snapshot = self._state.snapshot
        if snapshot is not None and self._clock.monotonic() < snapshot.ahead_at:
            return snapshot.keys
        return self._current_when_not_fresh()

    def _current_when_not_fresh(self) -> KeySet:
        state = self._state
        name = state.name
        is_cooling = state.seconds_until_try() > 0
        # While a failure cools down, another process may still have had more luck.
        if not is_cooling or state.seconds_until_look() <= 0:
            flight, is_mine = self._launch(state.is_fresh)
            # Who has keys is served with them at once, but for the one request that found them
            # expired: were it served with them too, an idle process would serve them for ever.
            if (name == "unavailable" and not is_cooling) or (name == "expired" and is_mine):
                self._flights.wait(flight, self._lifetimes.timeout)
            name = state.name
        if name == "unavailable" or state.snapshot is None:
            raise KeysUnavailable(state.seconds_until_try())
        return state.snapshot.keys

    def find(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys for a header that ``current()`` has none for.

        Empty only on evidence: a set fetched within the last cooldown lacks the key. Raises
        ``KeysUnavailable`` where the issuer could not be asked.
        """
        state = self._state
        began = began_at(self._clock.monotonic())

        def is_enough(snapshot: Snapshot) -> bool:
            is_known = bool(snapshot.keys.select(kid, algorithm))
            return is_known or state.is_evidence(snapshot, began)

        waits_left = 2
        while (snapshot := state.snapshot) is None or not is_enough(snapshot):
            # Twice, since the first flight may have been under way already, for less than this
            # needs.
            flight = self._asking(is_enough) if waits_left else None
            if flight is None:
                raise KeysUnavailable(state.seconds_until_ask())
            seconds = min(self._lifetimes.timeout, LONGEST_WAIT_FOR_EVIDENCE)
            if state.failed_lately:
                # An issuer that fails is not waited for: a flood would keep all threads busy.
                seconds = min(seconds, LONGEST_WAIT_FOR_A_LOOK)
            self._flights.wait(flight, min(seconds, began + seconds - flight.started_at))
            waits_left -= 1
        return snapshot.keys.select(kid, algorithm)

    def suspect(self) -> None:
        """A signature did not hold under a known key: perhaps it was replaced under its name."""
        state = self._state
        now = self._clock.monotonic()

        def is_enough(snapshot: Snapshot) -> bool:
            return state.is_evidence(snapshot, now)

        snapshot = state.snapshot
        # Whether anybody may ask comes first: most of a flood of forged tokens ends there.
        if state.seconds_until_ask() <= 0 and snapshot is not None and not is_enough(snapshot):
            self._launch(is_enough, caused_by_token=True)

    def refresh(self) -> Status:
        """Ask the issuer now, in this thread, and share its keys; the state that leads to.

        ``reason`` is ``None`` where that went well. It waits as long as a fetch may take, and it
        heeds neither the age of the keys nor a failure: for a deployment or a schedule to call,
        never for a request.
        """
        self._refresher.run_at_once()
        return self._state.status()

    def status(self) -> Status:
        """The state as a request would meet it, found without asking anybody."""
        return self._state.status()

    def _asking(self, is_enough: IsEnough) -> Flight | None:
        """The flight under way, or one that a token causes, where it may."""
        state = self._state
        flight = self._flights.current
        if flight is None and (state.seconds_until_ask() <= 0 or state.seconds_until_look() <= 0):
            flight, _ = self._launch(is_enough, caused_by_token=True)
        return flight

    def _launch(self, is_enough: IsEnough, *, caused_by_token: bool = False) -> tuple[Flight, bool]:
        return self._flights.launch(
            lambda: self._refresher.run(is_enough, caused_by_token=caused_by_token)
        )
