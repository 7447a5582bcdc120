"""The examples of RFC 7515, appendix A, that are signed with a key pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from jwtauth.tokens.claims import ClaimsPolicy
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.trusted_issuer import TrustedIssuer
from tests.judging import Judge, RecordingKeys

if TYPE_CHECKING:
    from collections.abc import Callable

JOE: Final = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
"""The claims of A.2 and A.3; they end at ``EXPIRY``."""
EXPIRY: Final = 1_300_819_380

A2_KEY: Final = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddx"
    "HmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs"
    "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSH"
    "SXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV"
    "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8"
    "NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
A2: Final = (
    f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
    "p0igcN_IoypGlUPQGe77Rw"
)

A3_KEY: Final = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A3: Final = (
    f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
    "pmWQxfKTUJqPP3-Kg6NU1Q"
)

A4_KEY: Final = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
A4: Final = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZq"
    "wqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8Kp"
    "EHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
A5: Final = f"eyJhbGciOiJub25lIn0.{JOE}."

EXAMPLES: Final = {"A.2": (A2, A2_KEY), "A.3": (A3, A3_KEY), "A.4": (A4, A4_KEY)}


def _judge(*jwks: dict[str, str]) -> Judge:
    joe = TrustedIssuer(
        "joe",
        algorithms=["RS256", "ES256", "ES512"],
        claims=ClaimsPolicy(),
        keys=RecordingKeys(KeySet({"keys": list(jwks)})),
    )
    judge = Judge(joe)
    judge.now = EXPIRY - 1
    return judge


@pytest.mark.parametrize("name", ["A.2", "A.3"])
def test_a_signed_token_is_accepted_until_it_ends(name: str) -> None:
    token, jwk = EXAMPLES[name]
    judge = _judge(jwk)

    assert judge.claims(token) == {
        "iss": "joe",
        "exp": EXPIRY,
        "http://example.com/is_root": True,
    }
    judge.now = EXPIRY
    assert judge.code(token) == "token_expired"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_signature_holds_under_its_own_key_only(
    name: str, judge_jws: Callable[[object, list[Any]], str]
) -> None:
    token, jwk = EXAMPLES[name]
    others = [other for _, other in EXAMPLES.values() if other is not jwk]

    assert judge_jws(token, [jwk]) == judge_jws(token, [jwk, *others]) == "accepted"
    assert judge_jws(token, others) == "unknown_key"


def test_a_payload_that_is_no_claims_set_is_refused_as_a_token() -> None:
    assert _judge(A4_KEY).code(A4) == "malformed_token"


def test_the_unsecured_token_of_a_5_is_refused() -> None:
    assert _judge(A2_KEY).code(A5) == "algorithm_not_allowed"
