"""An issuer in memory, with its keys, its tokens and the documents that it publishes."""

import hmac
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Self

from jwtauth.tokens import base64url

from .keys import SigningKey
from .override import overridden


class Issuer:
    """Signs tokens and publishes the keys that verify them, without any network.

    ``url`` is the ``iss`` claim of its tokens. The list ``keys`` has one key for each of
    ``algorithms``; tests may change it. ``claims`` are added to every token, for example the
    ``aud`` that an app requires.

    Keys and tokens look like a gateway's: there is one key, for EdDSA and without ``kid``, and the
    header of a token has only ``alg``. With ``kid=True``, each key has a random ``kid``, and tokens
    name it.

        issuer = Issuer()
        issuer.token(sub="alice", scope="read write")
        issuer.token(lifetime=-60)  # has expired
        issuer.token(exp=...)  # without that claim
        issuer.token(key=SigningKey.generate())  # signed by a key that is not published

    Inside ``with issuer:`` the app trusts the issuers whose blocks are open, and no others: they
    replace the issuers in ``JWTAUTH``, and all other settings apply unchanged. The app always sees
    the current ``keys``.

    The block uses Django's ``override_settings``: leave blocks and other overrides in the reverse
    order in which they were entered.
    """

    def __init__(
        self,
        url: str = "https://issuer.test",
        algorithms: Iterable[str] = ("EdDSA",),
        *,
        claims: Mapping[str, Any] | None = None,
        kid: bool = False,
    ) -> None:
        self.url: str = url
        self.kid: bool = kid
        self.claims: dict[str, Any] = dict(claims or {})
        self.keys: list[SigningKey] = list(map(self._new_key, algorithms))
        self._entered: list[ExitStack] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._enter(stack)
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.pop().close()

    @property
    def jwks_url(self) -> str:
        """The URL of the key set."""
        return f"{self.url.removesuffix('/')}/.well-known/jwks.json"

    @property
    def discovery_url(self) -> str:
        """The URL of the discovery document (OpenID Connect Discovery §4)."""
        return f"{self.url.removesuffix('/')}/.well-known/openid-configuration"

    def jwks(self) -> dict[str, Any]:
        """Return the key set (RFC 7517 §5): the public half of every key in ``keys``."""
        return {"keys": [key.public_jwk() for key in self.keys]}

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document (OpenID Connect Discovery §3)."""
        return {
            "issuer": self.url,
            "jwks_uri": self.jwks_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self.keys}),
        }

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        /,
        *,
        lifetime: float = 300,
        algorithm: str | None = None,
        headers: Mapping[str, Any] | bytes | None = None,
        key: SigningKey | bytes | None = None,
        **more_claims: Any,
    ) -> str:
        """Sign a token that is valid for ``lifetime`` seconds; a negative value makes it expired.

        It has ``iss``, ``sub`` ("user"), ``iat``, ``exp`` and the issuer's ``claims``. Claims given
        as a dict or by keyword add to these or replace them. A claim given as ``...`` is left out.
        ``algorithm``, ``headers`` and ``key`` mean what they mean in ``sign()``.
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
        return self.sign(payload, algorithm=algorithm, headers=headers, key=key)

    def sign(
        self,
        payload: Mapping[str, Any] | bytes,
        *,
        algorithm: str | None = None,
        headers: Mapping[str, Any] | bytes | None = None,
        key: SigningKey | bytes | None = None,
    ) -> str:
        """Sign any payload as a compact JWS (RFC 7515 §7.1), even a malformed one.

        The header has ``alg`` and, if the signing key has one, ``kid``. ``headers`` adds members or
        replaces them. Members of header and payload given as ``...`` are left out. A header or
        payload given as ``bytes`` is used unchanged.

        The first of ``keys`` that fits ``algorithm`` signs, or the first of them all. ``key`` signs
        instead, and need not be published. To make tokens that must be rejected, ``algorithm`` may
        also be ``none``, or an ``HS*`` with its secret as ``key``.

        Raises ``LookupError`` if no key fits.
        """
        signer = self._signer(algorithm) if key is None and algorithm != "none" else key
        alg = str(algorithm or getattr(signer, "algorithm", "HS256"))
        if not isinstance(headers, bytes):
            kid = getattr(signer, "kid", None)
            standard = {"alg": alg, "kid": ... if kid is None else kid}
            headers = _json({**standard, **(headers or {})})
        if not isinstance(payload, bytes):
            payload = _json(payload)
        message = base64url.encode(headers) + b"." + base64url.encode(payload)
        signature = base64url.encode(_signature(message, alg, signer))
        return (message + b"." + signature).decode()

    def rotate(self, *, keep_old: bool = False) -> None:
        """Replace all keys with new ones.

        With ``keep_old``, the old keys stay published after the new ones, which sign from now on.
        """
        old = self.keys
        new = map(self._new_key, dict.fromkeys(key.algorithm for key in old))
        # One assignment, so that other threads read either set as a whole.
        self.keys = [*new, *(old if keep_old else ())]

    def _enter(self, stack: ExitStack) -> None:
        """Enter the block; ``stack`` leaves it."""
        stack.enter_context(overridden(self, JWKS=self.jwks))

    def _new_key(self, algorithm: str) -> SigningKey:
        kid = f"{algorithm.lower()}-{secrets.token_hex(8)}" if self.kid else None
        return SigningKey.generate(algorithm, kid)

    def _signer(self, algorithm: str | None) -> SigningKey:
        fitting = [key for key in self.keys if algorithm is None or key.fits(algorithm)]
        if not fitting:
            raise LookupError(f"no key of {self!r} fits {algorithm}: add a SigningKey to its keys")
        # Prefer a key for exactly this algorithm to one for its synonym.
        return min(fitting, key=lambda key: key.algorithm != algorithm)


def _signature(message: bytes, algorithm: str, key: Any) -> bytes:
    if algorithm == "none":
        return b""
    if isinstance(key, SigningKey):
        return key.sign(message, algorithm)
    # python-jose would not accept a public key as the secret.
    return hmac.digest(key, message, algorithm.replace("HS", "sha"))


def _json(members: Mapping[str, Any]) -> bytes:
    present = {name: value for name, value in members.items() if value is not ...}
    return json.dumps(present, separators=(",", ":")).encode()
