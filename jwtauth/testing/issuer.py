"""An issuer in memory: its keys, the tokens that it signs, the documents that it publishes."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from contextlib import ContextDecorator, ExitStack
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

from jwtauth.tokens import base64url

from .keys import SigningKey
from .override import overridden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Function = TypeVar("Function", bound="Callable[..., Any]")

DEFAULT_ALGORITHMS: Final = ("EdDSA", "RS256")
"""The default algorithm of gateways, and the one of their identity tokens."""


class Issuer(ContextDecorator):
    """Signs tokens, and publishes the keys that verify them. It needs no network.

    ``url`` is the issuer as tokens name it in ``iss``; it may be changed at any time. There is one
    key for each of ``algorithms``, in the list ``keys``, which tests may change. ``claims`` are in
    every token, such as the ``aud`` that an app requires.

    Tokens and keys have the shape of a gateway's: keys without ``kid``, and ``alg`` as the only
    member of the token's header. With ``kid=True``, each key has a random ``kid``, which its tokens
    name.

        issuer = Issuer()
        issuer.token(sub="alice", scope="read write")
        issuer.token(lifetime=-60)  # has expired
        issuer.token(exp=...)  # without that claim
        issuer.token(key=SigningKey.generate())  # signed by a key that is not published

    Inside ``with issuer:`` the app trusts the issuers whose blocks are open, and no others. Its
    ``JWTAUTH`` names them instead of the project's own, and is otherwise unchanged. The app sees
    ``keys`` as they are at the moment. An issuer can also decorate a function or a coroutine
    function, which then runs inside the block.

    The block uses Django's ``override_settings``: leave blocks and other overrides in the reverse
    order in which they were entered. Where Django's settings are not loaded, it does nothing.
    """

    def __init__(
        self,
        url: str = "https://issuer.test",
        algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        *,
        claims: Mapping[str, Any] | None = None,
        kid: bool = False,
    ) -> None:
        self.url: str = url
        self.kid: bool = kid
        self.claims: dict[str, Any] = dict(claims or {})
        self.keys: list[SigningKey] = list(map(self._new_key, algorithms))
        # Keeps the material of a key that was rotated out from being used again.
        self._retired: list[SigningKey] = []
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

    def __call__(self, function: Function) -> Function:
        """Decorate a function or a coroutine function, which then runs inside the block."""
        if isinstance(function, type):
            raise TypeError("An issuer decorates functions: call enterContext(issuer) in setUp().")
        if not iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return cast("Function", inside)

    @property
    def jwks_url(self) -> str:
        """Where the key set is published."""
        return f"{self.url.removesuffix('/')}/.well-known/jwks.json"

    @property
    def discovery_url(self) -> str:
        """Where the discovery document is published (OpenID Connect Discovery §4)."""
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
        """Sign a token that is valid for ``lifetime`` seconds; with a negative one, it has expired.

        It has ``iss``, ``sub`` ("user"), ``iat``, ``exp`` and the issuer's ``claims``. Claims given
        as a dict, by keyword or both are added to these or replace them; one given as ``...`` is
        left out. The other arguments are those of ``sign()``.
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

        The header has ``alg``, and the ``kid`` of the signing key if that has one; ``headers`` adds
        to these or replaces them, and one given as ``...`` is left out. A header and a payload
        given as ``bytes`` are used as they are.

        ``key`` signs instead of the first of ``keys`` that fits ``algorithm``, and need not be
        published. To make tokens that must be rejected, ``algorithm`` may also be ``none``, or an
        ``HS*`` with its secret as ``key``.

        Raises ``LookupError`` if no key fits.
        """
        signer = self._signer(algorithm) if key is None else key
        if not isinstance(headers, bytes):
            kid = signer.kid if isinstance(signer, SigningKey) else None
            standard = {"alg": algorithm, "kid": ... if kid is None else kid}
            headers = _json(_without_ellipsis({**standard, **(headers or {})}))
        if not isinstance(payload, bytes):
            payload = _json(payload)
        message = base64url.encode(headers) + b"." + base64url.encode(payload)
        signature = base64url.encode(_signature(message, algorithm, signer))
        return (message + b"." + signature).decode()

    def rotate(self, algorithm: str | None = None, *, keep_old: bool = False) -> None:
        """Replace all keys, or the keys that fit ``algorithm``, with new ones.

        With ``keep_old``, the old keys stay published after the new ones, which sign from now on.

        Raises ``LookupError`` if no key fits.
        """
        old = [key for key in self.keys if algorithm is None or key.fits(algorithm)]
        if not old:
            raise LookupError(f"no key of {self!r} fits {algorithm}")
        new = list(map(self._new_key, dict.fromkeys(key.algorithm for key in old)))
        self._retired += old
        # One assignment, so that other threads read either set as a whole.
        self.keys = [*new, *(key for key in self.keys if keep_old or key not in old)]

    def _enter(self, stack: ExitStack) -> None:
        """Enter the block; ``stack`` leaves it."""
        stack.enter_context(overridden(self, JWKS=self.jwks))

    def _new_key(self, algorithm: str) -> SigningKey:
        kid = f"{algorithm.lower()}-{secrets.token_hex(8)}" if self.kid else None
        return SigningKey.generate(algorithm, kid)

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
    # Not with python-jose, which does not accept a public key as the secret.
    return hmac.digest(key, message, algorithm.replace("HS", "sha"))


def _without_ellipsis(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
