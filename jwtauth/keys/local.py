"""The keys of an issuer with the setting ``JWKS``: no fetch, no thread and no cache."""

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from jwtauth.exceptions import KeysUnavailable
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import KeySearch

from .state import LOG_MESSAGES, Status

logger: Final = logging.getLogger("jwtauth")

_UNUSABLE: Final = "JWKS has no usable key"


class LocalKeys:
    """The keys in ``jwks``: a JWK Set (RFC 7517 §5), or a callable that returns one.

    The callable is called for every token. A result that equals the last one is not parsed again.
    What the callable raises propagates.
    """

    def __init__(self, issuer: str, jwks: Mapping[str, Any] | Callable[[], object]) -> None:
        self._issuer = issuer
        self._load: Callable[[], object] = jwks if callable(jwks) else lambda: jwks
        self._latest: tuple[object, KeySet | None] = object(), None
        self._is_reported = False

    def start_search(self) -> KeySearch:
        """Return a search; nothing here waits."""
        return KeySearch(0)

    def current(self, search: KeySearch | None = None) -> KeySet:  # noqa: ARG002 - nothing waits.
        """Return the keys to verify with. Raises ``KeysUnavailable`` if there are none."""
        keys = self._read()
        if keys is not None:
            self._is_reported = False
            return keys
        if not self._is_reported:
            self._is_reported = True
            facts = Status(self._issuer, "unavailable", reason=_UNUSABLE)._asdict()
            logger.error(LOG_MESSAGES[logging.ERROR], facts, extra=facts)
        raise KeysUnavailable

    def confirm_unknown(self, keys: KeySet, search: KeySearch) -> KeySet:  # noqa: ARG002 - as above.
        """Return ``keys``: the set was complete when this token was checked with it."""
        return keys

    def report_bad_signature(self) -> None:
        """Do nothing. The keys come from the setting."""

    def status(self) -> Status:
        """Return the state as a request would find it."""
        reason = _UNUSABLE
        try:
            if keys := self._read():
                return Status(self._issuer, "fresh", age=0, keys=len(keys))
        except Exception as error:  # noqa: BLE001 - the project's code may raise anything.
            reason = f"the callable JWKS raised {type(error).__name__}"
        return Status(self._issuer, "unavailable", reason=reason)

    refresh = status

    def _read(self) -> KeySet | None:
        """Return the keys of the set, or ``None`` if it has no usable key."""
        jwks, (known, keys) = self._load(), self._latest
        if jwks != known:
            try:
                # Its owner may change it later, which the next comparison notices.
                known = copy.deepcopy(jwks)
            except Exception:  # noqa: BLE001 - a member is nested too deeply, or is not of JSON.
                known = object()  # It equals nothing, so the next result is parsed again.
            try:
                keys = KeySet(jwks) or None
            except ValueError:
                keys = None
            # One assignment, so that other threads read either pair as a whole.
            self._latest = known, keys
        return keys
