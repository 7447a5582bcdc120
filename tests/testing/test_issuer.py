"""The issuer in memory."""

from __future__ import annotations

import hmac
import json
import time
from typing import Any

import pytest

from jwtauth.testing import Issuer, SigningKey
from jwtauth.tokens import base64url
from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jwks import KeySet


def members(segment: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(base64url.decode(segment.encode()))
    return parsed


def header(token: str) -> dict[str, Any]:
    return members(token.split(".", 1)[0])


def claims(token: str) -> dict[str, Any]:
    return members(token.split(".", 2)[1])


def is_signed_by(key: SigningKey, token: str) -> bool:
    message, _, signature = token.encode().rpartition(b".")
    algorithm = header(token)["alg"]
    return any(
        public.verify(algorithm, message, base64url.decode(signature))
        for public in KeySet({"keys": [key.public_jwk()]}).select(key.kid, algorithm)
    )


def signer(token: str, issuer: Issuer) -> SigningKey:
    """The published key that signed the token."""
    (key,) = (key for key in issuer.keys if is_signed_by(key, token))
    assert key.public_jwk() in issuer.jwks()["keys"]
    return key


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_published_keys_verify_the_tokens(algorithm: str) -> None:
    issuer = Issuer(algorithms=[algorithm])

    assert signer(issuer.token(algorithm=algorithm), issuer) is issuer.keys[0]


def test_tokens_and_keys_have_the_shape_of_the_gateway() -> None:
    issuer = Issuer()

    (jwk,) = issuer.jwks()["keys"]
    assert jwk.keys() == {"kty", "crv", "x", "use", "alg"}
    for algorithm in ("EdDSA", "Ed25519"):
        token = issuer.token(algorithm=algorithm)
        assert header(token) == {"alg": algorithm}
        assert signer(token, issuer) is issuer.keys[0]


def test_keys_have_a_random_kid_if_asked_for() -> None:
    issuer = Issuer(algorithms=["EdDSA", "ES256"], kid=True)
    issuer.rotate(keep_old=True)

    kids = [jwk["kid"] for jwk in issuer.jwks()["keys"]]
    assert len(set(kids)) == 4
    assert header(issuer.token()) == {"alg": "EdDSA", "kid": kids[0]}
    assert header(issuer.token(algorithm="ES256")) == {"alg": "ES256", "kid": kids[1]}


def test_key_for_exactly_this_algorithm_goes_before_its_synonym() -> None:
    issuer = Issuer(algorithms=["EdDSA", "Ed25519"])

    signers = [signer(issuer.token(algorithm=name), issuer) for name in ("EdDSA", "Ed25519")]

    assert signers == issuer.keys


def test_token_has_the_usual_claims() -> None:
    before = int(time.time())

    found = claims(Issuer("https://other.test").token(lifetime=60))

    assert found.keys() == {"iss", "sub", "iat", "exp"}
    assert (found["iss"], found["sub"]) == ("https://other.test", "user")
    assert found["iat"] - before in {0, 1, 2}
    assert found["exp"] == found["iat"] + 60


def test_clock_is_read_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    monkeypatch.setattr(time, "time", lambda: 1_000_000.5)

    found = claims(issuer.token())

    assert (found["iat"], found["exp"]) == (1_000_000, 1_000_300)


def test_negative_lifetime_has_expired() -> None:
    found = claims(Issuer().token(lifetime=-1))

    assert found["iat"] <= found["exp"] < time.time()


def test_claims_are_added_replaced_and_left_out() -> None:
    given = {"sub": "replaced below", "key": "a name that is a parameter too"}

    found = claims(Issuer().token(given, sub=..., exp=5, scope=["read"], claims=1))

    assert (found["exp"], found["scope"], found["claims"]) == (5, ["read"], 1)
    assert found["key"] == given["key"]
    assert "sub" not in found


def test_headers_are_added_replaced_and_left_out() -> None:
    issuer = Issuer(kid=True)

    found = header(issuer.token(headers={"typ": "at+jwt", "kid": ..., "crit": ["x"]}))
    replaced = header(issuer.token(headers={"alg": "none", "kid": None}))

    assert found == {"alg": "EdDSA", "typ": "at+jwt", "crit": ["x"]}
    assert replaced == {"alg": "none", "kid": None}


def test_any_key_signs_on_request_published_or_not() -> None:
    issuer, stranger = Issuer(), SigningKey.generate(kid="a stranger's")

    token = issuer.token(key=stranger)

    assert header(token) == {"alg": "EdDSA", "kid": "a stranger's"}
    assert is_signed_by(stranger, token)
    assert not is_signed_by(issuer.keys[0], token)


def test_payload_and_header_are_taken_as_they_are_where_they_are_bytes() -> None:
    issuer = Issuer()

    token = issuer.sign(b"\xff no JSON", headers=b"{]")

    assert [base64url.decode(part.encode()) for part in token.split(".")[:2]] == [
        b"{]",
        b"\xff no JSON",
    ]
    message, _, signature = token.encode().rpartition(b".")
    assert issuer.keys[0].sign(message) == base64url.decode(signature)


def test_dict_is_signed_without_anything_added() -> None:
    assert claims(Issuer().sign({"exp": None})) == {"exp": None}


def test_unsigned_token_has_an_empty_signature() -> None:
    token = Issuer().token(algorithm="none")

    assert header(token) == {"alg": "none"}
    assert token.endswith(".")


def test_secret_signs_with_hmac() -> None:
    token = Issuer().token(algorithm="HS384", key=b"a secret")

    message, _, signature = token.encode().rpartition(b".")
    assert base64url.decode(signature) == hmac.digest(b"a secret", message, "sha384")
    assert claims(token)["sub"] == "user"


def test_algorithm_without_a_key_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(LookupError, match="fits ES256: add a SigningKey to its keys"):
        Issuer().token(algorithm="ES256")


def test_first_key_signs_with_its_algorithm_by_default() -> None:
    issuer = Issuer(algorithms=["RS256", "EdDSA"])

    assert signer(issuer.token(), issuer) is issuer.keys[0]
    assert header(issuer.token(key=SigningKey.generate("ES256"))) == {"alg": "ES256"}
    assert header(issuer.token(key=b"a secret")) == {"alg": "HS256"}


def test_rotation_replaces_every_key() -> None:
    issuer = Issuer(algorithms=["EdDSA", "RS256"])
    old = issuer.jwks()["keys"]

    issuer.rotate()

    new = issuer.jwks()["keys"]
    assert [key["alg"] for key in new] == ["EdDSA", "RS256"]
    for member in ("x", "n"):
        assert not {key.get(member) for key in old} & {key.get(member) for key in new} - {None}
    assert signer(issuer.token(), issuer) is issuer.keys[0]


def test_old_keys_stay_published_where_asked_and_new_ones_sign() -> None:
    issuer = Issuer(algorithms=["EdDSA"])
    old = issuer.token()

    issuer.rotate(keep_old=True)
    issuer.rotate(keep_old=True)

    assert len(issuer.keys) == 3
    assert signer(old, issuer) is issuer.keys[2]
    assert signer(issuer.token(), issuer) is issuer.keys[0]


def test_discovery_document_names_issuer_and_key_set() -> None:
    issuer = Issuer("https://issuer.test/path/", ["EdDSA", "RS256", "RS256"])

    assert issuer.discovery_url == "https://issuer.test/path/.well-known/openid-configuration"
    assert issuer.discovery() == {
        "issuer": "https://issuer.test/path/",
        "jwks_uri": "https://issuer.test/path/.well-known/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256"],
    }


def test_repr_names_the_issuer() -> None:
    assert repr(Issuer("https://issuer.test", [])) == "<Issuer https://issuer.test>"
