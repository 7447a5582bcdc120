"""An issuer's keys: which JWKs can verify a signature, and which of them a token means."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from . import base64url, strict_json
from .algorithms import KEY_TYPES, SYNONYMS, algorithms_of
from .jose_keys import KEY_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_KEYS: Final = 1024
"""Usable keys that are kept of one JWKS; what comes after is left out."""

MAX_NAMESAKES: Final = 16
"""Keys of one ``kid`` that are kept: a bad signature is tried under each of them."""

_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 16384
_MAX_RSA_EXPONENT_BITS: Final = 32
_COORDINATE_OCTETS: Final = {"P-256": 32, "P-384": 48, "P-521": 66}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

# Infineon's chips made moduli whose remainders by small primes are all powers of 65537, and which
# can be factored for that (ROCA, CVE-2017-15361); of others one in 200 million looks like that.
_ROCA_REMAINDERS: Final = tuple(
    (prime, frozenset(pow(65537, power, prime) for power in range(prime)))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
)

_ED25519_PRIME: Final = 2**255 - 19
_ED25519_D: Final = -121665 * pow(121666, -1, _ED25519_PRIME)
# The y coordinates of the eight points whose order divides 8 (RFC 7748 §6.1 asks to beware of
# them): a signature under such a key proves nothing.
_ED25519_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_ED25519_SMALL_ORDER: Final = frozenset(
    {0, 1, _ED25519_PRIME - 1, _ED25519_ORDER_8, _ED25519_PRIME - _ED25519_ORDER_8}
)


class UnusableKeyError(ValueError):
    """A JWK that cannot verify a signature here; the message says why, without its content."""


class VerificationKey:
    """A public key of an issuer, ready to verify, with what its JWK says of its use."""

    __slots__ = ("_verifiers", "algorithms", "kid", "kty", "material")

    def __init__(self, jwk: object) -> None:
        """Take a JWK (RFC 7517 §4). Raises ``UnusableKeyError``."""
        if not isinstance(jwk, dict):
            raise UnusableKeyError("not a JSON object")
        _check_use(jwk)
        self.kty: str = jwk["kty"]
        self.kid: str | None = jwk.get("kid")
        self.algorithms: tuple[str, ...] = _algorithms(jwk)
        public = {name: jwk[name] for name in _public_members(jwk)}
        self.material: str = json.dumps([self.kid, self.algorithms, public], sort_keys=True)
        try:
            key: Any = KEY_CLASSES[self.algorithms[0]](public, self.algorithms[0])
            prepared = key.prepared_key
        except Exception as error:
            raise UnusableKeyError("not a valid public key") from error
        self._verifiers = {
            name: KEY_CLASSES[name](prepared, name).verify for name in self.algorithms
        }

    def verify(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether the signature holds; ``algorithm`` is one of ``self.algorithms``."""
        verified: bool = self._verifiers[algorithm](signing_input, signature)
        return verified


class KeySet:
    """An immutable set of keys, ready to find the ones that a token may mean."""

    __slots__ = ("_by_algorithm", "_by_kid", "_keys", "left_out")

    def __init__(self, jwks: object, previous: KeySet | None = None) -> None:
        """Take a JWK Set (RFC 7517 §5); unusable keys are left out and spoil no other.

        Keys that ``previous`` held already are taken over as the same objects. Raises
        ``ValueError`` where it is not a JWK Set at all.
        """
        if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
            raise ValueError("not a JWK Set")  # noqa: TRY004 - a value off the network.
        known = {key.material: key for key in previous} if previous is not None else {}
        kept: dict[str, VerificationKey] = {}
        namesakes: Counter[str] = Counter()
        left_out: list[str] = []
        for jwk in jwks["keys"]:
            if len(kept) == MAX_KEYS:
                left_out.append(f"more than {MAX_KEYS} keys")
                break
            try:
                key = VerificationKey(jwk)
            except UnusableKeyError as error:
                left_out.append(str(error))
                continue
            if key.kid is not None and key.material not in kept:
                if namesakes[key.kid] == MAX_NAMESAKES:
                    left_out.append(f"more than {MAX_NAMESAKES} keys of one kid")
                    continue
                namesakes[key.kid] += 1
            kept[key.material] = known.get(key.material, key)
        self.left_out: tuple[str, ...] = tuple(left_out)
        self._keys = frozenset(kept.values())
        self._by_algorithm: dict[str, tuple[VerificationKey, ...]] = {}
        self._by_kid: dict[tuple[str, str], tuple[VerificationKey, ...]] = {}
        for key in kept.values():
            for name in key.algorithms:
                self._by_algorithm[name] = (*self._by_algorithm.get(name, ()), key)
                if key.kid is not None:
                    entry = (key.kid, name)
                    self._by_kid[entry] = (*self._by_kid.get(entry, ()), key)

    @classmethod
    def from_text(cls, text: str, previous: KeySet | None = None) -> KeySet:
        """Take the JSON text of a JWK Set. Raises ``ValueError``."""
        return cls(strict_json.loads_key_set(text), previous)

    def select(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that a token with this header may be signed with; none where it is unclear.

        Several keys only where the issuer gave one ``kid`` to them all. A token without a ``kid``
        is served where exactly one key fits its algorithm.
        """
        if kid is not None:
            return self._by_kid.get((kid, algorithm), ())
        fitting = self._by_algorithm.get(algorithm, ())
        return fitting if len(fitting) == 1 else ()

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _check_use(jwk: dict[str, Any]) -> None:
    if jwk.get("kty") not in ("RSA", "EC", "OKP"):
        raise UnusableKeyError("not an RSA, EC or OKP key")
    if _PRIVATE_MEMBERS & jwk.keys():
        raise UnusableKeyError("a private key, which is no longer a secret")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError('"use" is not "sig"')
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError('"key_ops" does not hold "verify"')
    if not isinstance(jwk.get("kid", ""), str):
        raise UnusableKeyError('"kid" is not a string')


def _algorithms(jwk: dict[str, Any]) -> tuple[str, ...]:
    """The algorithms of the key's type, narrowed to its own ``alg`` (RFC 7517 §4.4)."""
    crv = jwk.get("crv") if jwk["kty"] != "RSA" else None
    fitting = algorithms_of(jwk["kty"], crv)
    if not fitting:
        raise UnusableKeyError("no algorithm for its curve")
    if "alg" in jwk:
        declared = jwk["alg"]
        if not isinstance(declared, str) or declared not in KEY_TYPES:
            raise UnusableKeyError('"alg" is not a signature algorithm')
        fitting = tuple(name for name in fitting if declared in (name, SYNONYMS.get(name)))
        if not fitting:
            raise UnusableKeyError('"alg" does not fit the key')
    return fitting


def _public_members(jwk: dict[str, Any]) -> tuple[str, ...]:
    """The members that make up the public key, after judging their values."""
    if jwk["kty"] == "RSA":
        modulus, exponent = _octets(jwk, "n"), _octets(jwk, "e")
        _check_rsa(int.from_bytes(modulus), int.from_bytes(exponent))
        return ("kty", "n", "e")
    if jwk["kty"] == "EC":
        length = _COORDINATE_OCTETS[jwk["crv"]]
        if len(_octets(jwk, "x")) != length or len(_octets(jwk, "y")) != length:
            raise UnusableKeyError("a coordinate of the wrong length")
        return ("kty", "crv", "x", "y")
    _check_ed25519(_octets(jwk, "x"))
    return ("kty", "crv", "x")


def _octets(jwk: dict[str, Any], member: str) -> bytes:
    value: Any = jwk.get(member)
    try:
        return base64url.decode(value.encode("ascii"))
    except (AttributeError, ValueError):
        raise UnusableKeyError(f'"{member}" is not base64url') from None


def _check_rsa(modulus: int, exponent: int) -> None:
    if not _MIN_RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS or modulus % 2 == 0:
        raise UnusableKeyError(f"an RSA modulus that is weak or no modulus ({_MIN_RSA_BITS} bits)")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > _MAX_RSA_EXPONENT_BITS:  # noqa: PLR2004 - RFC 8017 §3.1
        raise UnusableKeyError("an RSA exponent that is even, too small or too large")
    if all(modulus % prime in remainders for prime, remainders in _ROCA_REMAINDERS):
        raise UnusableKeyError("an RSA modulus that can be factored (ROCA)")


def _check_ed25519(point: bytes) -> None:
    y = int.from_bytes(point, "little") & (2**255 - 1)
    if y >= _ED25519_PRIME or y in _ED25519_SMALL_ORDER:
        raise UnusableKeyError("an Ed25519 point of small order or not in its canonical form")
    # RFC 8032 §5.1.3: x² is this fraction, which is a square where the product is one. OpenSSL
    # looks at it only when it verifies.
    square = (y * y - 1) * (_ED25519_D * y * y + 1)
    if pow(square, (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) != 1:
        raise UnusableKeyError("not a point of Ed25519")
