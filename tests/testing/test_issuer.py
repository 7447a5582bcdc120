"""The issuer in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from jose import jws
from jose.exceptions import JWSError

from jwtauth.testing import Issuer, SigningKey
from jwtauth.tokens import base64url
from jwtauth.tokens.algorithms import ALGORITHMS


def members(segment: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(base64url.decode(segment.encode()))
    return parsed


def header(token: str) -> dict[str, Any]:
    return members(token.split(".", 1)[0])


def claims(token: str) -> dict[str, Any]:
    return members(token.split(".", 2)[1])


def verified(token: str, issuer: Issuer) -> dict[str, Any]:
    """The claims, if a published key with the token's kid and algorithm verifies it."""
    kid, algorithm = header(token)["kid"], header(token)["alg"]
    (jwk,) = (jwk for jwk in issuer.jwks()["keys"] if jwk["kid"] == kid)
    payload: dict[str, Any] = json.loads(jws.verify(token, jwk, algorithms=[algorithm]))
    return payload


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_published_keys_verify_the_tokens(algorithm: str) -> None:
    issuer = Issuer(algorithms=[algorithm])

    assert verified(issuer.token(algorithm=algorithm, sub="alice"), issuer)["sub"] == "alice"


def test_both_algorithms_of_the_gateway_are_there_without_asking() -> None:
    issuer = Issuer()

    for algorithm in ("EdDSA", "Ed25519", "RS256"):
        token = issuer.token(algorithm=algorithm)
        assert verified(token, issuer)["iss"] == "https://issuer.test"
        assert header(token)["alg"] == algorithm


def test_key_that_names_the_very_algorithm_goes_before_its_synonym() -> None:
    issuer = Issuer(algorithms=["EdDSA", "Ed25519"])

    kids = [header(issuer.token(algorithm=name))["kid"] for name in ("EdDSA", "Ed25519")]

    assert kids == [key.kid for key in issuer.keys]


def test_token_has_the_usual_claims() -> None:
    before = int(time.time())

    found = claims(Issuer("https://other.test").token(lifetime=60))

    assert found.keys() == {"iss", "sub", "iat", "exp"}
    assert (found["iss"], found["sub"]) == ("https://other.test", "user")
    assert found["iat"] - before in {0, 1, 2}
    assert found["exp"] == found["iat"] + 60


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
    issuer = Issuer()

    found = header(issuer.token(headers={"typ": "at+jwt", "kid": ..., "crit": ["x"]}))

    assert found == {"alg": "EdDSA", "typ": "at+jwt", "crit": ["x"]}


def test_any_key_signs_on_request_published_or_not() -> None:
    issuer, stranger = Issuer(), SigningKey.generate()

    token = issuer.token(key=stranger)

    assert header(token)["kid"] == stranger.kid
    assert json.loads(jws.verify(token, stranger.public_jwk(), algorithms=["EdDSA"]))
    with pytest.raises(JWSError):
        jws.verify(token, issuer.keys[0].public_jwk(), algorithms=["EdDSA"])


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

    assert header(token) == {"alg": "none", "typ": "JWT"}
    assert token.endswith(".")


def test_secret_signs_with_hmac() -> None:
    token = Issuer().token(algorithm="HS384", key=b"a secret")

    assert json.loads(jws.verify(token, b"a secret", algorithms=["HS384"]))["sub"] == "user"


def test_algorithm_without_a_key_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(LookupError, match="fits ES256: name it in algorithms, or give a key"):
        Issuer().token(algorithm="ES256")


def test_rotation_replaces_every_key() -> None:
    issuer = Issuer()
    old = issuer.jwks()["keys"]

    issuer.rotate()

    new = issuer.jwks()["keys"]
    assert [key["alg"] for key in new] == ["EdDSA", "RS256"]
    for member in ("kid", "x", "n"):
        assert not {key.get(member) for key in old} & {key.get(member) for key in new} - {None}
    assert verified(issuer.token(), issuer)


def test_rotation_of_one_algorithm_leaves_the_others() -> None:
    issuer = Issuer()
    eddsa, rsa = issuer.keys

    issuer.rotate("Ed25519")

    assert rsa in issuer.keys
    assert eddsa not in issuer.keys
    assert sorted(key.algorithm for key in issuer.keys) == ["EdDSA", "RS256"]


def test_old_keys_stay_published_where_asked_and_new_ones_sign() -> None:
    issuer = Issuer(algorithms=["EdDSA"])
    old = issuer.token()

    issuer.rotate(keep_old=True)
    issuer.rotate(keep_old=True)

    assert len(issuer.keys) == 3
    assert verified(old, issuer)
    assert header(issuer.token())["kid"] == issuer.keys[0].kid
    assert header(issuer.token())["kid"] != header(old)["kid"]


def test_key_material_never_comes_back() -> None:
    issuer = Issuer(algorithms=["RS256"])
    seen = {issuer.keys[0].public_jwk()["n"]}

    for _ in range(3):
        issuer.rotate()
        seen.add(issuer.keys[0].public_jwk()["n"])

    assert len(seen) == 4


def test_rotation_of_a_key_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="fits ES256"):
        Issuer().rotate("ES256")


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


def test_kit_works_without_django() -> None:
    program = (
        "import sys; sys.modules['django'] = None; import jwtauth.testing;"
        "print(jwtauth.testing.Issuer().token())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.count(".") == 2
