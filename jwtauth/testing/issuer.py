"""An issuer in memory: its keys, the tokens that it signs, the documents that it publishes."""

from __future__ import annotations

import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Final

from jwtauth.tokens import base64url

from .keys import SigningKey
from .trust import IN_MEMORY, Block, trusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import ExitStack

DEFAULT_ALGORITHMS: Final = ("EdDSA", "RS256")
"""What a gateway signs with today, and what it signed with before."""


class Issuer(Block):
    """Signs tokens, and publishes the keys that they verify with. It needs no network.

    ``url`` is the issuer's name as tokens write it in ``iss``; it may be changed at any time.
    There is one key per name in ``algorithms``, in ``keys``: a list to change as a test likes.
    ``claims`` are those that every token has, such as the ``aud`` that an app asks for.

        issuer = Issuer()
        issuer.token(sub="alice", scope="read write")
        issuer.token(lifetime=-60)  # has expired
        issuer.token(exp=...)  # without that claim
        issuer.token(key=SigningKey.generate())  # signed by a key that nobody published

    Inside ``with issuer:`` the app trusts it and no issuer but those whose blocks are open: its
    ``JWTAUTH`` names them in place of its own, and stays as it is in everything else. The keys are
    those in ``keys`` at the moment. Where Django's settings are not loaded, the block does nothing.
    """

    def __init__(
        self,
        url: str = "https://issuer.test",
        algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        *,
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.url: str = url
        self.claims: dict[str, Any] = dict(claims or {})
        self.keys: list[SigningKey] = [SigningKey.generate(algorithm) for algorithm in algorithms]
        # Held, so that the material of a key that was rotated away does not come back.
        self._retired: list[SigningKey] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    @property
    def jwks_url(self) -> str:
        """Where the key set is published."""
        return f"{self.url.removesuffix('/')}/.well-known/jwks.json"

    @property
    def discovery_url(self) -> str:
        """Where the discovery document is published (OpenID Connect Discovery §4)."""
        return f"{self.url.removesuffix('/')}/.well-known/openid-configuration"

    def jwks(self) -> dict[str, Any]:
        """The key set (RFC 7517 §5): the public half of every key in ``keys``."""
        return {"keys": [key.public_jwk() for key in self.keys]}

    def discovery(self) -> dict[str, Any]:
        """The discovery document, with the members that OpenID Connect Discovery §3 requires."""
        return {
            "issuer": self.url,
            "jwks_uri": self.jwks_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(
                dict.fromkeys(key.algorithm for key in self.keys)
            ),
        }

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        /,
        *,
        lifetime: float = 300,
        algorithm: str = "EdDSA",
        headers: Mapping[str, Any] | bytes | None = None,
        key: SigningKey | bytes | None = None,
        **more_claims: Any,
    ) -> str:
        """Sign a token that lives for ``lifetime`` seconds from now; a negative one has expired.

        It has ``iss``, ``sub`` ("user"), ``iat`` and ``exp``, the issuer's ``claims``, and whatever
        claims are given, as a dict, by keyword or both, to add to these or replace them; one given
        as ``...`` is left out. The rest is as for ``sign()``.
        """
        now = int(time.time())
        payload = {
            "iss": self.url,
            "sub": "user",
            "iat": now + min(lifetime, 0),
            "exp": now + lifetime,
            **self.claims,
            **(claims or {}),
            **more_claims,
        }
        return self.sign(_without_ellipsis(payload), algorithm=algorithm, headers=headers, key=key)

    def sign(
        self,
        payload: Mapping[str, Any] | bytes,
        *,
        algorithm: str = "EdDSA",
        headers: Mapping[str, Any] | bytes | None = None,
        key: SigningKey | bytes | None = None,
    ) -> str:
        """Sign any payload as a compact JWS (RFC 7515 §7.1), malformed ones included.

        ``headers`` adds to or replaces ``alg``, ``kid`` and ``typ``; one given as ``...`` is left
        out. Header and payload given as ``bytes`` are taken as they are.

        ``key`` signs instead of the first of ``keys`` that fits ``algorithm``, and need not be
        published. To make what must be refused, ``algorithm`` may also be ``none``, or an ``HS*``
        with its secret as ``key``.

        Raises ``LookupError`` where no key fits.
        """
        signer = self._signer(algorithm) if key is None else key
        if not isinstance(headers, bytes):
            kid = signer.kid if isinstance(signer, SigningKey) else ...
            standard = {"alg": algorithm, "kid": kid, "typ": "JWT"}
            headers = _json(_without_ellipsis({**standard, **(headers or {})}))
        if not isinstance(payload, bytes):
            payload = _json(payload)
        message = base64url.encode(headers) + b"." + base64url.encode(payload)
        signature = base64url.encode(_signature(message, algorithm, signer))
        return (message + b"." + signature).decode()

    def rotate(self, algorithm: str | None = None, *, keep_old: bool = False) -> None:
        """Replace the keys, or those that fit ``algorithm``, by new ones.

        With ``keep_old`` the old ones stay published behind the new, which sign from now on.

        Raises ``LookupError`` where no key fits.
        """
        old = [key for key in self.keys if algorithm is None or key.fits(algorithm)]
        if not old:
            raise LookupError(f"no key of {self!r} fits {algorithm}")
        new = [SigningKey.generate(name) for name in dict.fromkeys(key.algorithm for key in old)]
        self._retired += old
        # One assignment, so that a thread that reads meanwhile sees either set whole.
        self.keys = [*new, *(key for key in self.keys if keep_old or key not in old)]

    def _enter(self, stack: ExitStack) -> None:
        stack.enter_context(trusted(self, IN_MEMORY))

    def _signer(self, algorithm: str) -> SigningKey | bytes:
        if algorithm == "none":
            return b""
        fitting = [key for key in self.keys if key.fits(algorithm)]
        # A key that names the very algorithm goes before one that names its synonym.
        fitting.sort(key=lambda key: key.algorithm != algorithm)
        if not fitting:
            raise LookupError(
                f"no key of {self!r} fits {algorithm}: name it in algorithms, or give a key"
            )
        return fitting[0]


def _signature(message: bytes, algorithm: str, key: SigningKey | bytes) -> bytes:
    if algorithm == "none":
        return b""
    if isinstance(key, SigningKey):
        return key.sign(message, algorithm)
    # Not through python-jose, which refuses to take a public key for a secret.
    return hmac.digest(key, message, algorithm.replace("HS", "sha"))


def _without_ellipsis(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
