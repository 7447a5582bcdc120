"""One trusted issuer: the requirements for its tokens, and the search for the key of a token."""

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from jwtauth.exceptions import TokenError
from jwtauth.exceptions import gettext_noop as _

from . import header
from .claims import ClaimsPolicy
from .header import Header
from .jwks import KeySet, VerificationKey


@dataclass(slots=True)
class KeySearch:
    """What one token has tried and waited for. A caller that waits passes it to the next call.

    ``arrived_at`` is a reading of the key provider's clock. ``call`` and ``waits`` belong to the
    provider.
    """

    arrived_at: float
    tried: set[VerificationKey] = field(default_factory=set)
    call: object = None
    waits: int = 0


class KeyProvider(Protocol):
    """Provides the keys of an issuer. Each method may raise ``KeysUnavailable``.

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


@dataclass
class TrustedIssuer:
    """An issuer whose tokens are accepted: what they must be like, and its keys.

    ``token_types`` are the allowed ``typ`` headers; ``None`` allows any.
    """

    url: str
    algorithms: Collection[str]
    claims: ClaimsPolicy
    keys: KeyProvider
    token_types: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.token_types is not None:
            self.token_types = frozenset(map(header.media_type, self.token_types))

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

        Raises ``TokenError`` (``unknown_key``, ``invalid_signature``), ``KeysUnavailable``, or the
        exception by which the key provider asks the caller to wait.
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
            if newer is keys:  # It is certain that there are no newer keys.
                break
            keys = newer
        if search.tried:
            raise TokenError("invalid_signature", _("The token's signature is not valid."))
        raise TokenError("unknown_key", _("The token's key is not among the keys of its issuer."))


def rejection_for_fault(error: Exception) -> TokenError:
    """Return the rejection for a bug of ours: a token must not cause more than a rejection."""
    rejection = TokenError("malformed_token", _("The token could not be verified."))
    rejection.unexpected = type(error).__name__
    return rejection
