"""The keys of an issuer with the setting ``JWKS``: no fetch, no thread and no cache."""

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from jwtauth.exceptions import KeysUnavailable
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import KeySearch

from .state import Status

logger: Final = logging.getLogger("jwtauth")


class _Parsed(NamedTuple):
    """A copy of a JWK Set, its keys, and why there are none."""

    jwks: object
    keys: KeySet
    problem: str | None


class LocalKeys:
    """The keys in ``jwks``: a JWK Set (RFC 7517 §5), or a callable that returns one.

    The callable is called for every token. A result that equals the last one is not parsed again.
    What the callable raises propagates.
    """

    def __init__(self, issuer: str, jwks: Mapping[str, Any] | Callable[[], object]) -> None:
        self._issuer = issuer
        self._load: Callable[[], object] = jwks if callable(jwks) else lambda: jwks
        self._latest = _parse({"keys": []})
        self._is_reported = False

    def start_search(self) -> KeySearch:
        """Return a search; nothing here waits."""
        return KeySearch(0)

    def current(self, search: KeySearch | None = None) -> KeySet:  # noqa: ARG002 - nothing waits.
        """Return the keys to verify with. Raises ``KeysUnavailable`` if there are none."""
        _, keys, problem = self._read()
        if problem is None:
            self._is_reported = False
            return keys
        if not self._is_reported:
            self._is_reported = True
            facts = self._unavailable(problem)._asdict()
            logger.error(
                "%(issuer)s: no usable verification keys (%(reason)s).", facts, extra=facts
            )
        raise KeysUnavailable

    def confirm_unknown(self, keys: KeySet, search: KeySearch) -> KeySet:  # noqa: ARG002 - as above.
        """Return ``keys``: the set was complete when this token was checked with it."""
        return keys

    def report_bad_signature(self) -> None:
        """Do nothing: there is no issuer to ask."""

    def status(self) -> Status:
        """Return the state as a request would find it."""
        try:
            _, keys, problem = self._read()
        except Exception as error:  # noqa: BLE001 - the project's code may raise anything.
            return self._unavailable(f"the callable JWKS raised {type(error).__name__}")
        if problem is not None:
            return self._unavailable(problem)
        return Status(self._issuer, "fresh", age=0, keys=len(keys))

    refresh = status

    def _unavailable(self, reason: str) -> Status:
        return Status(self._issuer, "unavailable", reason=reason)

    def _read(self) -> _Parsed:
        jwks, latest = self._load(), self._latest
        if jwks != latest.jwks:
            # One assignment, so that other threads read either set as a whole.
            self._latest = latest = _parse(jwks)
        return latest


def _parse(jwks: object) -> _Parsed:
    """Parse a JWK Set, and copy it so that a later change by its owner is noticed."""
    try:
        known = copy.deepcopy(jwks)
    except Exception:  # noqa: BLE001 - a member is nested too deeply, or is not of JSON.
        known = object()  # It equals nothing, so the next result is parsed again.
    try:
        keys = KeySet(jwks)
    except ValueError:
        return _Parsed(known, KeySet({"keys": []}), "JWKS is not a JWK Set")
    return _Parsed(known, keys, None if len(keys) else "JWKS has no usable key")
