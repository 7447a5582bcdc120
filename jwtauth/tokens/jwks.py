"""JSON Web Key Sets (RFC 7517): which keys can verify a signature, and which a token may mean."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from . import base64url, strict_json
from .algorithms import CURVES, KEY_TYPES, SYNONYMS
from .jose_keys import KEY_CLASSES

MAX_KEYS: Final = 256
"""The most keys of a set that are used, and the most invalid public keys that are constructed."""

MAX_CANDIDATES: Final = 16
"""The most keys that are tried for one token."""

MAX_SKIPPED: Final = 256
"""The most skipped keys that are listed."""

_MAX_NAME: Final = 100

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 16384
_MAX_RSA_EXPONENT_BITS: Final = 32

# Infineon's chips generated moduli whose remainders modulo small primes are all powers of 65537.
# Such a modulus can be factored (ROCA, CVE-2017-15361). One in 200 million others looks the same.
_ROCA_REMAINDERS: Final = tuple(
    (prime, frozenset(pow(65537, power, prime) for power in range(prime)))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
)

_ED25519_OCTETS: Final = 32
_ED25519_PRIME: Final = 2**255 - 19
_ED25519_D: Final = -121665 * pow(121666, -1, _ED25519_PRIME)
# The y coordinates of the eight points whose order divides 8 (see RFC 7748 §6.1). OpenSSL accepts
# forged signatures under these keys.
_ED25519_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_ED25519_SMALL_ORDER: Final = frozenset(
    {0, 1, _ED25519_PRIME - 1, _ED25519_ORDER_8, _ED25519_PRIME - _ED25519_ORDER_8}
)


class SkippedKey(NamedTuple):
    """A key of a set that is not used: its ``kid`` as JSON text or its position, and why."""

    name: str
    reason: str


class PublicJWK(NamedTuple):
    """What identifies a key: two spellings of one JWK are equal here.

    ``numbers`` are ``n`` and ``e`` of an RSA key, ``x`` and ``y`` of an EC key, and ``x`` of an
    Ed25519 key, whose octets are in reverse order (RFC 8032 §3).
    """

    kid: str | None
    algorithms: tuple[str, ...]
    numbers: tuple[int, ...]


class VerificationKey:
    """A public key of an issuer, ready to verify signatures with its ``algorithms``.

    Keys with an equal ``jwk`` are equal.
    """

    def __init__(self, jwk: PublicJWK) -> None:
        self.jwk: PublicJWK = jwk
        self.kid: str | None = jwk.kid
        self.algorithms: tuple[str, ...] = jwk.algorithms
        self.kty: str = KEY_TYPES[jwk.algorithms[0]][0]
        public_key = _public_key(jwk)
        self._verifiers: dict[str, Callable[[bytes, bytes], bool]] = {
            name: KEY_CLASSES[name](public_key, name).verify for name in jwk.algorithms
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerificationKey) and self.jwk == other.jwk

    def __hash__(self) -> int:
        return hash(self.jwk)

    def verify(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Return whether the signature is valid. ``algorithm`` is one of ``self.algorithms``."""
        return self._verifiers[algorithm](signing_input, signature)


class KeySet:
    """An immutable set of the usable keys of a JWK Set, in the order of the document.

    ``skipped`` names the other keys, at most ``MAX_SKIPPED``.
    """

    def __init__(self, jwks: object) -> None:
        """Load a parsed JWK Set (RFC 7517 §5). Raises ``ValueError`` if it is not a JWK Set."""
        if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
            raise ValueError("not a JWK Set")  # noqa: TRY004 - a value from the network.
        keys, skipped = _load_keys(jwks["keys"])
        self.skipped: tuple[SkippedKey, ...] = skipped
        self._keys: dict[VerificationKey, None] = dict.fromkeys(keys)
        candidates: defaultdict[tuple[str | None, str], list[VerificationKey]] = defaultdict(list)
        for key in keys:
            for algorithm in key.algorithms:
                for kid in {None, key.kid}:
                    candidates[kid, algorithm].append(key)
        self._candidates: dict[tuple[str | None, str], tuple[VerificationKey, ...]] = {
            wanted: tuple(fitting[:MAX_CANDIDATES]) for wanted, fitting in candidates.items()
        }

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Load the JSON text of a JWK Set. Raises ``ValueError`` if it is not one."""
        return cls(strict_json.loads_key_set(text))

    def select(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """Return the keys that may verify a token with this header, at most ``MAX_CANDIDATES``.

        Without a ``kid`` these are all keys that fit the algorithm, including keys with a ``kid``.
        """
        return self._candidates.get((kid, algorithm), ())

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class _UnusableKeyError(ValueError):
    """A JWK that cannot verify a signature. The message says why, without repeating content."""


def _load_keys(entries: list[Any]) -> tuple[list[VerificationKey], tuple[SkippedKey, ...]]:
    keys: list[VerificationKey] = []
    seen: set[PublicJWK] = set()
    skipped: list[SkippedKey] = []
    for position, entry in enumerate(entries, 1):
        try:
            jwk = _check(entry)
            if jwk in seen:
                continue  # A duplicate is neither used nor listed.
            # Constructing a public key is expensive, even if it fails.
            if MAX_KEYS in (len(keys), len(seen) - len(keys)):
                raise _UnusableKeyError("too many keys come before it")  # noqa: TRY301
            seen.add(jwk)
            keys.append(VerificationKey(jwk))
        except _UnusableKeyError as error:
            if len(skipped) < MAX_SKIPPED:
                skipped.append(SkippedKey(_name(entry, position), str(error)))
    return keys, tuple(skipped)


def _name(entry: Any, position: int) -> str:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    if not kid or not isinstance(kid, str):
        return f"key {position}"
    name = json.dumps(kid)
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."


def _check(entry: Any) -> PublicJWK:
    """Make the cheap checks. Raises ``_UnusableKeyError``."""
    if not isinstance(entry, dict):
        raise _UnusableKeyError("not a JSON object")
    # What is null or empty counts as absent.
    jwk = {name: value for name, value in entry.items() if value not in (None, "", [], {})}
    if jwk.get("kty") not in ("RSA", "EC", "OKP"):
        raise _UnusableKeyError("kty is not RSA, EC or OKP")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise _UnusableKeyError("contains a private key, which is no longer secret")
    if jwk.get("use", "sig") != "sig":
        raise _UnusableKeyError("use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _UnusableKeyError("key_ops does not contain verify")
    kid = jwk.get("kid")
    if not isinstance(kid, str | None):
        raise _UnusableKeyError("kid is not a string")
    return PublicJWK(kid, _algorithms(jwk), _numbers(jwk))


def _algorithms(jwk: dict[str, Any]) -> tuple[str, ...]:
    """Return the algorithms of the key's type, narrowed to its own ``alg`` (RFC 7517 §4.4)."""
    crv = jwk.get("crv") if jwk["kty"] != "RSA" else None
    key_type = (jwk["kty"], crv)
    fitting = tuple(name for name, needed in KEY_TYPES.items() if needed == key_type)
    if not fitting:
        raise _UnusableKeyError("crv is not supported")
    if "alg" in jwk:
        alg = jwk["alg"]
        if not isinstance(alg, str) or alg not in KEY_TYPES:
            raise _UnusableKeyError("alg is not a supported signature algorithm")
        fitting = tuple(name for name in fitting if alg in (name, SYNONYMS.get(name)))
        if not fitting:
            raise _UnusableKeyError("alg does not fit the key")
    return fitting


def _numbers(jwk: dict[str, Any]) -> tuple[int, ...]:
    """Check the members that make up the public key, and return them."""
    if jwk["kty"] == "OKP":
        octets = _octets(jwk, "x")
        if len(octets) != _ED25519_OCTETS:
            raise _UnusableKeyError(f"x does not have {_ED25519_OCTETS} octets")
        return (int.from_bytes(octets, "little"),)
    if jwk["kty"] == "EC":
        return int.from_bytes(_octets(jwk, "x")), int.from_bytes(_octets(jwk, "y"))
    n, e = int.from_bytes(_octets(jwk, "n")), int.from_bytes(_octets(jwk, "e"))
    if not _MIN_RSA_BITS <= n.bit_length() <= _MAX_RSA_BITS or n % 2 == 0:
        raise _UnusableKeyError(
            f"the RSA modulus is not an odd number of {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits"
        )
    if e < 3 or e % 2 == 0 or e.bit_length() > _MAX_RSA_EXPONENT_BITS:  # noqa: PLR2004 - RFC 8017 §3.1
        raise _UnusableKeyError("the RSA exponent is even, too small or too large")
    if all(n % prime in remainders for prime, remainders in _ROCA_REMAINDERS):
        raise _UnusableKeyError("the RSA modulus can be factored (ROCA)")
    return n, e


def _octets(jwk: dict[str, Any], member: str) -> bytes:
    value: Any = jwk.get(member)
    try:
        return base64url.decode_lenient(value)
    except (AttributeError, ValueError):
        raise _UnusableKeyError(f"{member} is not base64url") from None


def _public_key(jwk: PublicJWK) -> Any:
    """Construct the public key, which is expensive. Raises ``_UnusableKeyError``."""
    kty, crv = KEY_TYPES[jwk.algorithms[0]]
    if kty == "OKP":
        _check_ed25519_point(jwk.numbers[0])
    try:
        if kty == "OKP":
            octets = jwk.numbers[0].to_bytes(_ED25519_OCTETS, "little")
            return Ed25519PublicKey.from_public_bytes(octets)
        if kty == "RSA":
            n, e = jwk.numbers
            return rsa.RSAPublicNumbers(e, n).public_key()
        # OpenSSL rejects the encoding of a point that is not on the curve, or whose coordinates are
        # too large.
        curve = CURVES[crv]
        octets = b"".join(number.to_bytes((curve.key_size + 7) // 8) for number in jwk.numbers)
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\4" + octets)
    except Exception as error:
        raise _UnusableKeyError("not a valid public key") from error


def _check_ed25519_point(x: int) -> None:
    """Check what OpenSSL checks only when it verifies (RFC 8032 §5.1.3), and the point's order."""
    y = x & (2**255 - 1)
    if y >= _ED25519_PRIME or y in _ED25519_SMALL_ORDER:
        raise _UnusableKeyError("the Ed25519 point has a small order or is not canonical")
    # The square of the x coordinate is a fraction. It is a square if this product is one.
    square = (y * y - 1) * (_ED25519_D * y * y + 1)
    if pow(square, (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) != 1:
        raise _UnusableKeyError("not a point on the curve")
