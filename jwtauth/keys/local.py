"""The keys of an issuer with the setting ``JWKS``: no fetch, no thread and no cache."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jwtauth.exceptions import KeysUnavailable
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import KeySearch

from .state import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger: Final = logging.getLogger("jwtauth")


class _Parsed(NamedTuple):
    """A JWK Set as it was, its keys, and why there are none."""

    jwks: object
    keys: KeySet
    problem: str | None


class LocalKeys:
    """The keys in ``jwks``: a JWK Set (RFC 7517 §5), or a callable that returns one.

    The callable is called for every token. A result that equals the last one is not parsed again,
    and a key that stays in the set stays the same object. What the callable raises propagates.
    """

    def __init__(self, issuer: str, jwks: Mapping[str, Any] | Callable[[], object]) -> None:
        self._issuer = issuer
        self._load: Callable[[], object] = jwks if callable(jwks) else lambda: jwks
        self._latest = _parse(None, KeySet({"keys": []}))
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
            logger.error(
                "%s: no usable verification keys (%s).",
                self._issuer,
                problem,
                extra=self._status(keys, problem)._asdict(),
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
            keys, problem = self._latest.keys, f"the callable JWKS raised {type(error).__name__}"
        return self._status(keys, problem)

    refresh = status

    def _read(self) -> _Parsed:
        jwks, latest = self._load(), self._latest
        try:
            is_new = jwks != latest.jwks
        except RecursionError:  # A member is nested too deeply to be compared.
            is_new = True
        if is_new:
            # One assignment, so that other threads read either set as a whole.
            self._latest = latest = _parse(jwks, latest.keys)
        return latest

    def _status(self, keys: KeySet, problem: str | None) -> Status:
        state, age = ("fresh", 0) if problem is None else ("unavailable", None)
        number = len(keys) if problem is None else 0
        return Status(self._issuer, state, age, number, failures=0, reason=problem, retry_in=None)


def _parse(jwks: object, previous: KeySet) -> _Parsed:
    """Parse a JWK Set, and copy it so that a later change by its owner is noticed."""
    try:
        keys = KeySet(jwks, previous)
    except ValueError:
        return _Parsed(_copied(jwks), KeySet({"keys": []}), "JWKS is not a JWK Set")
    return _Parsed(_copied(jwks), keys, None if len(keys) else "JWKS has no usable key")


def _copied(jwks: object) -> object:
    """Copy what the keys are made of; nothing here descends into deeper members."""
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        return jwks
    return {**jwks, "keys": [_copied_key(key) for key in jwks["keys"]]}


def _copied_key(key: object) -> object:
    if not isinstance(key, dict):
        return key
    return {name: [*member] if isinstance(member, list) else member for name, member in key.items()}
