"""One trusted issuer: what its tokens must be, and how the key that signed one is found."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

from jwtauth.exceptions import TokenError
from jwtauth.exceptions import gettext_noop as _

from . import header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .claims import ClaimsPolicy
    from .header import Header
    from .jwks import KeySet, VerificationKey


class KeySearch:
    """What one token has tried and waited for; kept by whoever waits between two calls.

    ``arrived_at`` is a reading of the key provider's clock. ``call`` and ``waits`` belong to the
    provider.
    """

    __slots__ = ("arrived_at", "call", "tried", "waits")

    def __init__(self, arrived_at: float) -> None:
        self.arrived_at: float = arrived_at
        self.tried: set[VerificationKey] = set()
        self.call: object = None
        self.waits: int = 0


class KeyProvider(Protocol):
    """Where an issuer's keys come from. Each method may raise ``KeysUnavailable``.

    ``current`` and ``confirm_unknown`` may also raise an exception that asks the caller to wait and
    to call again with the search that it carries.
    """

    @abstractmethod
    def start_search(self) -> KeySearch:
        """Return a search that begins now."""

    @abstractmethod
    def current(self, search: KeySearch | None, /) -> KeySet:
        """Return the keys to verify with."""

    @abstractmethod
    def confirm_unknown(self, keys: KeySet, search: KeySearch, /) -> KeySet:
        """Return newer keys than ``keys``, or ``keys`` if it is certain that there are none."""

    @abstractmethod
    def report_bad_signature(self) -> None:
        """Take note of a signature that a key with the right ``kid`` does not verify."""


class TrustedIssuer:
    """An issuer whose tokens are accepted: what they must be, and the keys to verify them with."""

    __slots__ = ("algorithms", "claims", "keys", "token_types", "url")

    def __init__(
        self,
        url: str,
        *,
        algorithms: Iterable[str],
        claims: ClaimsPolicy,
        keys: KeyProvider,
        token_types: Iterable[str] | None = None,
    ) -> None:
        self.url: str = url
        self.algorithms: frozenset[str] = frozenset(algorithms)
        self.claims: ClaimsPolicy = claims
        self.keys: KeyProvider = keys
        self.token_types: frozenset[str] | None = (
            None if token_types is None else frozenset(map(header.media_type, token_types))
        )

    def check_header(self, parsed: Header) -> None:
        """Raise ``TokenError``: ``algorithm_not_allowed`` or ``invalid_type``."""
        if parsed.algorithm not in self.algorithms:
            raise TokenError("algorithm_not_allowed", _("The token's algorithm is not allowed."))
        if self.token_types is not None and (
            parsed.typ is None or header.media_type(parsed.typ) not in self.token_types
        ):
            raise TokenError("invalid_type", _("The token's type is not accepted."))

    def find_signing_key(
        self, parsed: Header, signing_input: bytes, signature: bytes, search: KeySearch | None
    ) -> VerificationKey:
        """Return the key that verifies the signature.

        Raises ``TokenError`` (``unknown_key``, ``invalid_signature``), ``KeysUnavailable``, or what
        the key provider raises to have the caller wait.
        """
        keys = self.keys.current(search)
        while True:
            candidates = keys.select(parsed.kid, parsed.algorithm)
            for key in candidates:
                if search is not None and key in search.tried:
                    continue
                try:
                    is_valid = key.verify(parsed.algorithm, signing_input, signature)
                except Exception as error:
                    raise rejection_for_fault(error) from error
                if is_valid:
                    return key
            if search is None:
                search = self.keys.start_search()
            search.tried.update(candidates)
            if parsed.kid is not None and candidates:
                self.keys.report_bad_signature()
                break
            newer = self.keys.confirm_unknown(keys, search)
            if newer is keys:
                break
            keys = newer
        if search.tried:
            raise TokenError("invalid_signature", _("The token's signature is not valid."))
        raise TokenError("unknown_key", _("The token's key is not among the keys of its issuer."))


def rejection_for_fault(error: Exception) -> TokenError:
    """Return the rejection for a fault of ours: no token may cause more than that."""
    rejection = TokenError("malformed_token", _("The token could not be verified."))
    rejection.unexpected = type(error).__name__
    return rejection
