"""The key classes that python-jose lacks, with its own interface."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jose.backends.cryptography_backend import CryptographyECKey

from jwtauth.tokens import base64url, jose_keys
from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jose_keys import (
    HAS_LIBSODIUM,
    KEY_CLASSES,
    Ed25519Key,
    RSAKey,
    SodiumEd25519Key,
)
from tests.forging import taken_apart
from tests.judging import signing_key

if TYPE_CHECKING:
    from types import ModuleType

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# RFC 8037, appendix A.
RFC8037_PRIVATE = Ed25519PrivateKey.from_private_bytes(
    base64url.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
)
RFC8037_PUBLIC = Ed25519PublicKey.from_public_bytes(
    base64url.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
)
RFC8037_JWS = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

PSS: dict[str, hashes.HashAlgorithm] = {
    "PS256": hashes.SHA256(),
    "PS384": hashes.SHA384(),
    "PS512": hashes.SHA512(),
}


def test_every_algorithm_has_a_class() -> None:
    assert tuple(KEY_CLASSES) == ALGORITHMS
    for name, key_class in KEY_CLASSES.items():
        expected: type = RSAKey
        if name.startswith("Ed"):
            expected = SodiumEd25519Key if HAS_LIBSODIUM else Ed25519Key
        elif name.startswith("ES"):
            expected = CryptographyECKey
        assert key_class is expected


def test_importing_the_package_does_not_change_python_jose() -> None:
    program = """
from jose import constants, jwk, jws, jwt

def state():
    tables = constants.ALGORITHMS.SUPPORTED, constants.ALGORITHMS.KEYS
    return [dict(vars(module)) for module in (constants, jwk, jws, jwt)], *map(repr, tables)

before = state()
import jwtauth.testing, jwtauth.tokens.verifier

assert state() == before
assert jwk.get_key("EdDSA") is jwk.get_key("PS256") is None
"""

    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("key_class", dict.fromkeys((Ed25519Key, KEY_CLASSES["EdDSA"])))
def test_a_signature_that_is_too_short_does_not_borrow_from_its_message(
    key_class: type[Any],
) -> None:
    signature = RFC8037_PRIVATE.sign(b"message")
    public = key_class(RFC8037_PUBLIC, "EdDSA")

    assert public.verify(b"message", signature) is True
    for length in range(64):
        assert public.verify(signature[length:] + b"message", signature[:length]) is False
    assert public.verify(b"essage", signature + b"m") is False


@pytest.mark.parametrize(
    ("key_class", "algorithm"),
    [(Ed25519Key, "EdDSA"), *((KEY_CLASSES[name], name) for name in ("EdDSA", "RS256", "PS256"))],
)
def test_an_unexpected_error_is_not_taken_for_an_invalid_signature(
    key_class: type[Any], algorithm: str
) -> None:
    signer = signing_key(algorithm)

    with pytest.raises(TypeError):
        key_class(signer.private_key.public_key(), algorithm).verify(None, signer.sign(b"message"))


def test_the_signature_of_rfc_8037_is_verified() -> None:
    signing_input = RFC8037_JWS.rpartition(".")[0].encode()
    signature = taken_apart(RFC8037_JWS)[2]

    assert KEY_CLASSES["EdDSA"](RFC8037_PUBLIC, "EdDSA").verify(signing_input, signature) is True
    assert KEY_CLASSES["EdDSA"](RFC8037_PUBLIC, "EdDSA").verify(b"", signature) is False


@pytest.mark.parametrize("algorithm", PSS)
def test_pss_requires_a_salt_as_long_as_the_hash(algorithm: str) -> None:
    key: RSAPrivateKey = signing_key("RS256").private_key  # type: ignore[assignment]
    digest = PSS[algorithm]
    public = RSAKey(key.public_key(), algorithm)

    for length in (0, digest.digest_size - 1, digest.digest_size, digest.digest_size + 1, 190):
        scheme = padding.PSS(padding.MGF1(digest), salt_length=length)
        signature = key.sign(b"message", scheme, digest)
        assert public.verify(b"message", signature) is (length == digest.digest_size)


@pytest.mark.parametrize("algorithm", PSS)
def test_pss_requires_the_same_hash_for_its_mask(algorithm: str) -> None:
    key: RSAPrivateKey = signing_key("RS256").private_key  # type: ignore[assignment]
    digest = PSS[algorithm]
    public = RSAKey(key.public_key(), algorithm)

    for mask in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        scheme = padding.PSS(padding.MGF1(mask), salt_length=digest.digest_size)
        signature = key.sign(b"message", scheme, digest)
        assert public.verify(b"message", signature) is (mask.name == digest.name)


def _load_without(module: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load a second copy of ``jose_keys`` while another module cannot be imported."""
    monkeypatch.setitem(sys.modules, module, None)
    spec = spec_from_file_location("jwtauth.tokens.jose_keys_copy", jose_keys.__file__)
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_libsodium_verifies_ed25519_if_it_is_installed() -> None:
    assert HAS_LIBSODIUM is bool(find_spec("nacl"))


def test_without_libsodium_openssl_verifies_ed25519(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = _load_without("nacl.bindings", monkeypatch)

    assert loaded.HAS_LIBSODIUM is False
    for name in ("EdDSA", "Ed25519"):
        assert loaded.KEY_CLASSES[name] is loaded.Ed25519Key
        public = loaded.KEY_CLASSES[name](RFC8037_PUBLIC, name)
        message, _, _ = RFC8037_JWS.rpartition(".")
        assert public.verify(message.encode(), taken_apart(RFC8037_JWS)[2]) is True
        assert public.verify(message.encode(), bytes(64)) is False
