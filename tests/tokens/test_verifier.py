"""From a token to its claims: what is accepted, what is refused first, and at what cost."""

from __future__ import annotations

import json
import sys
from typing import Any
from unittest.mock import Mock

import pytest

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url
from jwtauth.tokens.claims import ClaimsPolicy
from jwtauth.tokens.jwks import KeySet, VerificationKey
from jwtauth.tokens.trusted_issuer import KeySearch, TrustedIssuer
from jwtauth.tokens.verifier import Verifier
from tests.counting import JSON, counted_calls, signature_checks
from tests.forging import (
    as_der,
    compact,
    encode,
    nested,
    other_spellings,
    public_key_as_secrets,
    signature_of,
    taken_apart,
    with_larger_s,
    with_segment,
    with_signature,
)
from tests.judging import NOW, URL, Judge, RecordingKeys, key_set, mint, signing_key, trusted

ED25519, RS256, ES256 = (signing_key(name) for name in ("EdDSA", "RS256", "ES256"))


# Accepted.


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_the_claims_of_a_good_token_come_back_as_they_were_signed(algorithm: str) -> None:
    claims = {
        "iss": URL,
        "sub": "user",
        "exp": NOW + 0.5,
        "iat": NOW,
        "nbf": 0,
        "roles": ["a", {"b": [None, True, 1.0, -1, 10**30, "ü\n\0😀"]}],
        "": "",
    }
    judged = Judge().claims(mint(claims, algorithm=algorithm))

    assert json.dumps(judged) == json.dumps(claims)
    assert type(judged) is dict


def test_a_token_needs_neither_type_nor_key_id_nor_sub() -> None:
    token = mint(sub=..., headers={"typ": ..., "kid": ...})

    assert Judge().claims(token) == {"iss": URL, "exp": NOW + 300}


@pytest.mark.parametrize("levels", [1, 20])
def test_claims_of_twenty_levels_are_served(levels: int) -> None:
    deep = json.loads(nested(levels - 1, '{"a":', "}").replace(":}", ":{}}") or "1")

    assert Judge().claims(mint(deep=deep))["deep"] == deep


def test_what_carries_or_names_keys_in_the_header_changes_nothing() -> None:
    forger = SigningKey.generate("EdDSA", ED25519.kid)
    headers = {"jwk": forger.public_jwk(), "jku": "https://evil.test/", "x5c": ["AA"], "x5t": "A"}
    judge = Judge()

    assert judge.claims(mint(headers=headers))["sub"] == "user"
    assert judge.code(mint(headers=headers, key=forger)) == "invalid_signature"


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("allowed", ["EdDSA", "Ed25519"])
def test_either_name_of_ed25519_is_verified_by_the_key_of_either(named: str, allowed: str) -> None:
    judge = Judge(algorithms=[allowed])
    judge.keys.set = judge.keys.others = KeySet({"keys": [{**ED25519.public_jwk(), "alg": named}]})

    assert judge.claims(mint(algorithm=allowed, key=ED25519))["sub"] == "user"


# Refused, without a look at the keys.


_KEYLESS: list[tuple[str, Any, str]] = [
    # What is no token.
    *(("no string", token, "malformed_token") for token in (None, 1, b"a.b.c", ["a.b.c"])),
    *(
        (f"{token.count('.') + 1} segments", token, "malformed_token")
        for token in ("", "a", ".", "a.b", "a.b.c.d", "a.b.c.d.e", ".....", "." * 16384)
    ),
    ("only dots", "..", "malformed_token"),
    *(("not ASCII", token, "malformed_token") for token in ("é.b.c", "a.b.c\ud800", "a.b.\u2024")),
    ("too large", "a" * 16385, "token_too_large"),
    ("too large by far", mint(x="x" * 1_000_000), "token_too_large"),
    ("too large, and no ASCII", "é" * 16385, "token_too_large"),
    # The header.
    ("header of no JSON", compact(b"{", b"{}", b""), "malformed_token"),
    ("header a list", mint(headers=b"[]"), "malformed_token"),
    ("header without alg", mint(headers={"alg": ...}), "malformed_token"),
    ("header with alg twice", mint(headers=b'{"alg":"EdDSA","alg":"EdDSA"}'), "malformed_token"),
    ("crit", mint(headers={"crit": ["exp"]}), "malformed_token"),
    ("b64", mint(headers={"b64": False}), "malformed_token"),
    ("zip", mint(headers={"zip": "DEF"}), "malformed_token"),
    ("kid a number", mint(headers={"kid": 1}), "malformed_token"),
    *(
        (f"alg {name}", mint(headers={"alg": name}), "algorithm_not_allowed")
        for name in ("", "none", "NONE", "HS256", "eddsa", "rs256", "RS256 ", "ES256K", "ES384")
    ),
    # The payload.
    ("payload empty", compact(b'{"alg":"EdDSA"}', b"", b""), "malformed_token"),
    ("payload a list", mint(b"[]"), "malformed_token"),
    ("payload a string", mint(b'"iss"'), "malformed_token"),
    ("payload null", mint(b"null"), "malformed_token"),
    ("payload of no JSON", mint(b"{"), "malformed_token"),
    ("payload not UTF-8", mint(b'{"iss":"\xff"}'), "malformed_token"),
    ("payload with iss twice", mint(b'{"iss":"a","iss":"b"}'), "malformed_token"),
    ("payload with NaN", mint(x=float("nan")), "malformed_token"),
    ("payload with 1e999", mint(b'{"exp":1e999}'), "malformed_token"),
    ("payload with a long number", mint(b'{"exp":' + b"9" * 5000 + b"}"), "malformed_token"),
    ("payload with half a pair", mint(b'{"x":"\\ud800"}'), "malformed_token"),
    (
        "payload nested",
        mint(b'{"x":' + nested(5_000).encode() + b"}"),
        "malformed_token",
    ),
    ("payload padded", with_segment(mint(), 1, encode(b"{}") + "="), "malformed_token"),
    # The issuer.
    ("iss missing", mint(iss=...), "missing_claim"),
    *(
        ("iss no string", mint(iss=value), "invalid_claim")
        for value in (None, 1, [URL], {"iss": URL})
    ),
    *(
        (f"iss {value}", mint(iss=value), "untrusted_issuer")
        for value in ("", "https://evil.test", URL + "/", URL.upper(), URL[:-1], URL + " ", "http")
    ),
    # Times.
    ("exp missing", mint(exp=...), "missing_claim"),
    ("exp no number", mint(exp=str(NOW + 1)), "invalid_claim"),
    ("exp now", mint(exp=NOW), "token_expired"),
    ("nbf later", mint(nbf=NOW + 1), "token_not_yet_valid"),
    ("iat later", mint(iat=NOW + 1), "token_not_yet_valid"),
    # Audience, subject.
    ("aud where none is expected", mint(aud="api"), "invalid_audience"),
    ("aud null", mint(aud=None), "invalid_audience"),
    ("sub a number", mint(sub=42), "invalid_claim"),
    ("sub null", mint(sub=None), "invalid_claim"),
    # The signature, as far as it can be judged alone.
    ("signature padded", mint() + "==", "malformed_token"),
    ("signature of impossible length", with_segment(mint(), 2, "A"), "malformed_token"),
    *(
        ("signature in another spelling", with_segment(mint(), 2, spelling), "malformed_token")
        for spelling in other_spellings(mint().rpartition(".")[2])
    ),
]


@pytest.mark.parametrize(
    ("token", "code"), [pytest.param(token, code, id=name) for name, token, code in _KEYLESS]
)
def test_what_could_not_pass_under_any_key_asks_for_none(token: Any, code: str) -> None:
    judge = Judge(algorithms=["EdDSA", "RS256"])

    assert judge.code(token) == code
    assert judge.keys.asked == []


def test_a_refusal_of_an_issuer_that_is_not_trusted_carries_what_the_token_claims() -> None:
    with pytest.raises(TokenError) as caught:
        Judge().claims(mint(iss="https://evil.test"))

    assert caught.value.claimed_issuer == "https://evil.test"


@pytest.mark.parametrize("typ", [..., "", "JWT", "at+jwt", "text/jwt", "application/at+jwt "])
def test_a_type_that_is_not_allowed_asks_for_no_key(typ: Any) -> None:
    judge = Judge(token_types=["session", "application/session2"])

    assert judge.code(mint(headers={"typ": typ})) == "invalid_type"
    assert judge.keys.asked == []


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "application/jwt", "APPLICATION/JWT", "at+jwt", "Application/At+Jwt"]
)
def test_a_type_that_is_allowed_is_compared_as_rfc_7515_says(typ: str) -> None:
    judge = Judge(token_types=["jwt", "application/at+jwt"])

    assert judge.claims(mint(headers={"typ": typ}))


def test_no_type_is_allowed_where_the_list_is_empty() -> None:
    assert Judge(token_types=[]).code(mint()) == "invalid_type"


@pytest.mark.parametrize("aud", ["other", [], ["other"], None])
def test_another_audience_asks_for_no_key(aud: Any) -> None:
    judge = Judge(audience=("api",))

    assert judge.code(mint(aud=aud)) == "invalid_audience"
    assert judge.keys.asked == []


def test_the_largest_token_is_read() -> None:
    token = mint(x="x" * 100)

    assert Judge(max_token_length=len(token)).claims(token)
    assert Judge(max_token_length=len(token) - 1).code(token) == "token_too_large"


def test_without_further_words_it_reads_16_384_characters_and_remembers_1024_tokens() -> None:
    verifier = Verifier([])

    assert verifier._token_cache._size == 1024
    for length, code in ((16_384, "malformed_token"), (16_385, "token_too_large")):
        with pytest.raises(TokenError) as caught:
            verifier.verify("a" * length)
        assert caught.value.code == code


def test_without_a_request_an_audience_is_computed_from_none() -> None:
    audience = Mock(return_value="api")
    token = mint(aud="api")

    assert Judge(audience=audience).verifier.verify(token)
    audience.assert_called_once_with(None)


def test_without_further_words_the_time_is_that_of_the_machine() -> None:
    verifier = Verifier([trusted(RecordingKeys(key_set(ED25519)))])

    with pytest.raises(TokenError) as caught:
        verifier.verify(mint(exp=1))
    assert caught.value.code == "token_expired"


def test_without_further_words_an_issuer_accepts_any_type() -> None:
    keys = RecordingKeys(key_set(ED25519))
    issuer = TrustedIssuer(URL, algorithms=["EdDSA"], claims=ClaimsPolicy(), keys=keys)

    assert Judge(issuer).claims(mint(headers={"typ": "other"}))


def test_refusals_are_given_in_one_order() -> None:
    wrong: dict[str, Any] = {
        "payload": b"[]",
        "iss": "https://evil.test",
        "alg": "none",
        "typ": "other",
        "exp": NOW - 1,
        "nbf": NOW + 1,
        "aud": "other",
        "sub": 1,
        "kid": "unknown",
    }
    codes = []
    while wrong:
        claims: dict[str, Any] = {"aud": "api", **wrong}
        headers = {"typ": "JWT", "kid": ED25519.kid, **wrong}
        token = mint(
            wrong.get("payload"),
            headers={name: headers[name] for name in ("alg", "typ", "kid") if name in headers},
            **{name: value for name, value in claims.items() if name not in {"alg", "typ", "kid"}}
            if "payload" not in wrong
            else {},
        )
        codes.append(Judge(token_types=["JWT"], audience=("api",)).code(token))
        del wrong[next(iter(wrong))]

    assert codes == [
        "malformed_token",
        "untrusted_issuer",
        "algorithm_not_allowed",
        "invalid_type",
        "token_expired",
        "token_not_yet_valid",
        "invalid_audience",
        "invalid_claim",
        "unknown_key",
    ]


# Refused by its key.


def _signatures_that_do_not_hold() -> list[tuple[str, str]]:
    ed25519, rs256, es256 = mint(), mint(algorithm="RS256"), mint(algorithm="ES256")
    cases = []
    for name, token in (("EdDSA", ed25519), ("RS256", rs256), ("ES256", es256)):
        signature = signature_of(token)
        other = signature_of(mint(algorithm=name, sub="other"))
        wrong = {
            "empty": b"",
            "of one octet": signature[:1],
            "cut": signature[:-1],
            "longer": signature + b"\0",
            "twice": signature * 2,
            "one bit off at its start": bytes((signature[0] ^ 1,)) + signature[1:],
            "one bit off at its end": signature[:-1] + bytes((signature[-1] ^ 1,)),
            "of zeros": bytes(len(signature)),
            "of ones": b"\xff" * len(signature),
            "of another token": other,
        }
        cases += [
            (f"{name} {what}", with_signature(token, octets)) for what, octets in wrong.items()
        ]
    cases += [
        ("ES256 as DER", with_signature(es256, as_der(signature_of(es256)))),
        ("ES256 r = 0", with_signature(es256, bytes(32) + signature_of(es256)[32:])),
        ("ES256 s = 0", with_signature(es256, signature_of(es256)[:32] + bytes(32))),
        ("EdDSA with S + L", with_signature(ed25519, with_larger_s(signature_of(ed25519)))),
        ("signed by PS256", with_signature(rs256, RS256.sign(_input(rs256), "PS256"))),
        ("signed by RS384", with_signature(rs256, RS256.sign(_input(rs256), "RS384"))),
        ("of another's key", mint(key=SigningKey.generate("EdDSA", ED25519.kid))),
        ("of a changed payload", with_segment(ed25519, 1, mint(sub="admin").split(".")[1])),
        (
            "of a changed header",
            with_segment(ed25519, 0, encode(f'{{"kid":"{ED25519.kid}","alg":"EdDSA"}}'.encode())),
        ),
    ]
    return cases


def _input(token: str) -> bytes:
    return token.rpartition(".")[0].encode()


@pytest.mark.parametrize(
    "token", [pytest.param(token, id=name) for name, token in _signatures_that_do_not_hold()]
)
def test_a_signature_that_does_not_hold_is_refused_and_reported(token: str) -> None:
    judge = Judge()

    assert judge.code(token) == "invalid_signature"
    assert judge.keys.asked == ["current", "report_bad_signature"]


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [
        ("RS256", ED25519.kid),
        ("RS256", ES256.kid),
        ("ES256", RS256.kid),
        ("EdDSA", RS256.kid),
        ("RS384", RS256.kid),
        ("PS256", RS256.kid),
        ("ES384", ES256.kid),
        ("EdDSA", "unknown"),
    ],
)
def test_a_key_that_does_not_fit_is_looked_for_and_then_unknown(algorithm: str, kid: str) -> None:
    judge = Judge()

    assert judge.code(mint(algorithm=algorithm, headers={"kid": kid})) == "unknown_key"
    assert judge.keys.asked == ["current", "confirm_unknown"]


def test_a_key_that_is_found_verifies() -> None:
    judge = Judge()
    new = SigningKey.generate("EdDSA", "new")
    judge.keys.others = key_set(new)

    assert judge.claims(mint(key=new))["sub"] == "user"
    assert judge.keys.asked == ["current", "confirm_unknown"]


def test_a_key_that_is_found_may_refuse() -> None:
    judge = Judge()
    judge.keys.others = key_set(SigningKey.generate("EdDSA", "new"))

    assert judge.code(mint(headers={"kid": "new"})) == "invalid_signature"
    assert judge.keys.asked == ["current", "confirm_unknown", "report_bad_signature"]


def without_kid(key: SigningKey) -> SigningKey:
    return SigningKey(key.private_key, key.algorithm)


@pytest.mark.parametrize("kid", [None, "some"])
@pytest.mark.parametrize("position", range(16))
def test_every_key_that_fits_is_tried_for_a_token_without_kid(
    position: int, kid: str | None
) -> None:
    keys = [SigningKey.generate("EdDSA", kid) for _ in range(16)]
    judge = Judge()
    judge.keys.set = key_set(RS256, *keys, ES256)

    assert judge.claims(mint(key=without_kid(keys[position])))
    assert judge.keys.asked == ["current"]


def test_the_first_sixteen_keys_are_tried_and_no_others() -> None:
    keys = [SigningKey.generate("EdDSA") for _ in range(17)]
    judge = Judge()
    judge.keys.set = judge.keys.others = key_set(*keys)

    with counted_calls() as calls:
        assert judge.code(mint(key=keys[16])) == "invalid_signature"
    assert signature_checks(calls) == 16


def test_after_a_refetch_only_new_keys_are_tried() -> None:
    old, new, forged = (SigningKey.generate("EdDSA") for _ in range(3))
    judge = Judge()
    judge.keys.set = key_set(old)
    judge.keys.others = key_set(new, old)

    with counted_calls() as calls:
        assert judge.claims(mint(key=new))
    assert signature_checks(calls) == 2
    with counted_calls() as calls:
        assert judge.code(mint(key=forged)) == "invalid_signature"
    assert signature_checks(calls) == 2
    assert judge.keys.asked[-2:] == ["confirm_unknown"] * 2


def test_a_new_key_is_tried_after_one_that_was_tried_before() -> None:
    old, new = (SigningKey.generate("EdDSA") for _ in range(2))
    judge = Judge()
    judge.keys.set = key_set(old)
    judge.keys.others = key_set(old, new)

    assert judge.claims(mint(key=new))


def test_a_token_without_kid_that_no_key_fits_has_an_unknown_key() -> None:
    judge = Judge()
    judge.keys.set = judge.keys.others = key_set(RS256)

    assert judge.code(mint(key=SigningKey.generate("EdDSA"))) == "unknown_key"
    assert judge.keys.asked == ["current", "confirm_unknown"]


@pytest.mark.parametrize("first", [0, 1])
def test_one_key_id_for_two_keys_lets_either_verify(first: int) -> None:
    twins = [SigningKey.generate("EdDSA", "twin") for _ in range(2)]
    judge = Judge()
    judge.keys.set = key_set(twins[first], twins[1 - first])

    for twin in twins:
        assert judge.claims(mint(key=twin))
    assert judge.code(mint(key=SigningKey.generate("EdDSA", "twin"))) == "invalid_signature"


@pytest.mark.parametrize("where", ["current", "confirm_unknown"])
def test_keys_that_are_not_available_are_not_held_against_a_token(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge()
    judge.keys.set = key_set(RS256)
    monkeypatch.setattr(judge.keys, where, Mock(side_effect=KeysUnavailable(2.5)))

    with pytest.raises(KeysUnavailable) as caught:
        judge.claims(mint())
    assert caught.value.retry_after == 3
    assert caught.value.issuer == URL
    assert judge.code("a.b.c") == "malformed_token"


def test_tokens_are_counted_where_they_pass_as_remembered_and_where_they_are_verified() -> None:
    judge, token = Judge(), mint()
    refused = mint(exp=NOW - 1)
    counts = []
    for each in (token, token, token, mint(sub="another"), token):
        judge.claims(each)
        judge.code(refused)
        counts.append((judge.verifier.hits, judge.verifier.misses))

    assert counts == [(0, 1), (1, 1), (2, 1), (2, 2), (3, 2)]


def test_a_token_that_no_longer_passes_as_remembered_is_no_hit() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)
    judge.now = NOW + 300
    judge.code(token)

    assert (judge.verifier.hits, judge.verifier.misses) == (0, 1)


def test_a_refusal_names_the_trusted_issuer_and_only_once_it_is_known() -> None:
    judge = Judge(required_claims={"account": "ours"})
    issuers: dict[str, str | None] = {}
    for token in (
        *("x", mint() + "=", mint(b"{}"), mint(iss="https://evil.test")),
        *(mint(headers={"alg": "none"}), mint(exp=0), mint(aud="x"), mint(sub=5)),
        *(mint(headers={"kid": "x"}), mint(), mint(account="theirs")),
        with_signature(mint(), bytes(64)),
    ):
        with pytest.raises(TokenError) as caught:
            judge.claims(token)
        error = caught.value
        issuers[str(error)] = error.issuer
        assert error.args == (error.code, error.message)
        assert error.unexpected is None

    assert list(issuers.values()) == [None] * 4 + [URL] * 8


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key", [ED25519, RS256, ES256], ids=lambda key: key.algorithm)
def test_no_public_key_is_ever_a_shared_secret(key: SigningKey, algorithm: str) -> None:
    judge = Judge()

    for secret in public_key_as_secrets(key).values():
        for headers in ({"kid": key.kid}, {}, {"kid": key.kid, "alg": key.algorithm}):
            token = mint(algorithm=algorithm, key=secret, headers=headers)
            expected = "invalid_signature" if "alg" in headers else "algorithm_not_allowed"
            assert judge.code(token) == expected


# Refused by what the configuration demands, after the signature.


def test_what_else_is_demanded_is_judged_after_the_signature() -> None:
    judge = Judge(required_claims={"account": "mine"})

    assert judge.claims(mint(account="mine"))
    assert judge.code(mint(account="other")) == "invalid_claim"
    assert judge.code(mint()) == "missing_claim"
    forged = SigningKey.generate("EdDSA", ED25519.kid)
    assert {judge.code(mint(key=forged, account=value)) for value in ("mine", "other", ...)} == {
        "invalid_signature"
    }


# Several issuers.


def _two_issuers(**options: Any) -> tuple[Judge, RecordingKeys, RecordingKeys]:
    one = RecordingKeys(key_set(SigningKey.generate("EdDSA", "key")))
    other = RecordingKeys(key_set(SigningKey.generate("EdDSA", "key")))
    return (
        Judge(
            trusted(one, url="https://one.test"),
            trusted(other, url="https://other.test", **options),
        ),
        one,
        other,
    )


def test_the_issuer_that_a_token_names_picks_whose_keys_are_tried() -> None:
    ours, theirs = SigningKey.generate("EdDSA", "key"), SigningKey.generate("EdDSA", "key")
    one, other = RecordingKeys(key_set(ours)), RecordingKeys(key_set(theirs))
    judge = Judge(trusted(one, url="https://one.test"), trusted(other, url="https://other.test"))

    assert judge.claims(mint(iss="https://one.test", key=ours))["iss"] == "https://one.test"
    assert judge.claims(mint(iss="https://other.test", key=theirs))["iss"] == "https://other.test"
    one.asked.clear()
    other.asked.clear()
    assert judge.code(mint(iss="https://one.test", key=theirs)) == "invalid_signature"
    assert (one.asked, other.asked) == (["current", "report_bad_signature"], [])
    assert judge.code(mint(iss="https://other.test", key=ours)) == "invalid_signature"
    assert judge.code(mint(iss="https://third.test", key=ours)) == "untrusted_issuer"


def test_each_issuer_has_rules_of_its_own() -> None:
    judge, _, other = _two_issuers(algorithms=["RS256"], token_types=["other"], audience=("x",))

    assert judge.code(mint(iss="https://other.test")) == "algorithm_not_allowed"
    assert judge.code(mint(iss="https://other.test", algorithm="RS256")) == "invalid_type"
    other_type = {"typ": "other"}
    token = mint(iss="https://other.test", algorithm="RS256", headers=other_type)
    assert judge.code(token) == "missing_claim"
    assert judge.code(mint(iss="https://one.test")) == "unknown_key"
    assert other.asked == []


# Cost.


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_token_seen_first_costs_two_decodings_and_one_signature_check(algorithm: str) -> None:
    judge = Judge()
    token = mint(algorithm=algorithm)

    with counted_calls() as calls:
        judge.claims(token)

    assert calls[JSON] == 2
    assert signature_checks(calls) == 1


def test_a_header_seen_before_is_not_decoded_again() -> None:
    judge = Judge()
    judge.claims(mint(sub="one"))
    token = mint(sub="two")

    with counted_calls() as calls:
        judge.claims(token)

    assert calls[JSON] == 1
    assert signature_checks(calls) == 1


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_remembered_token_costs_neither(algorithm: str) -> None:
    judge = Judge()
    token = mint(algorithm=algorithm)
    judge.claims(token)

    with counted_calls() as calls:
        judge.claims(token)

    assert calls[JSON] == 0
    assert signature_checks(calls) == 0


@pytest.mark.parametrize(
    ("token", "decodings"),
    [
        ("x" * 16385, 0),
        ("." * 16384, 0),
        ("a.b", 0),
        (mint(headers={"alg": "none"}), 2),
        (mint(iss="https://evil.test"), 2),
        (mint(exp=0), 2),
        (mint(headers={"kid": "unknown"}), 2),
        (mint(x="x" * 16384), 0),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_refusal_costs_no_more_than_its_cause_needs(token: str, decodings: int) -> None:
    judge = Judge()

    with counted_calls() as calls:
        judge.code(token)

    assert calls[JSON] == decodings
    assert signature_checks(calls) == 0


def test_a_token_with_a_bad_signature_costs_one_check() -> None:
    judge = Judge()
    token = with_signature(mint(), bytes(64))

    with counted_calls() as calls:
        judge.code(token)

    assert signature_checks(calls) == 1


def test_a_bounded_number_of_headers_is_kept() -> None:
    judge = Judge()
    for number in range(65):
        judge.claims(mint(headers={"n": number}))

    assert judge.verifier._parse_header.cache_info().currsize == 64


# The same everywhere.


def test_the_verdict_does_not_depend_on_how_deep_its_caller_is() -> None:
    judge = Judge()
    good = mint(deep=json.loads(nested(25)))
    bad = mint(b'{"iss":' + nested(5_000).encode() + b"}")

    def below(levels: int) -> tuple[Any, str]:
        if levels:
            return below(levels - 1)
        return judge.claims(good), judge.code(bad)

    depth = 0
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    assert below(sys.getrecursionlimit() - depth - 200) == below(0)


def test_a_refusal_hides_what_the_parser_said() -> None:
    no_json = b'{"secret": }'
    for token in (mint(no_json), mint(headers=no_json), with_segment(mint(), 2, "=")):
        with pytest.raises(TokenError) as caught:
            Judge().claims(token)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("place", [0, 1])
def test_a_fault_of_ours_rejects_the_token(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, token = Judge(), mint()
    decode = base64url.decode

    def fail(segment: bytes) -> bytes:
        if segment == token.split(".")[place].encode():
            raise RuntimeError
        return decode(segment)

    monkeypatch.setattr(base64url, "decode", fail)
    with pytest.raises(TokenError) as caught:
        judge.claims(token)
    assert (caught.value.code, caught.value.unexpected) == ("malformed_token", "RuntimeError")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_fault_while_a_signature_is_verified_rejects_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = Judge()
    monkeypatch.setattr(VerificationKey, "verify", Mock(side_effect=OverflowError))

    with pytest.raises(TokenError) as caught:
        judge.claims(mint())
    assert (caught.value.code, caught.value.unexpected) == ("malformed_token", "OverflowError")
    assert caught.value.message == "The token could not be verified."


def test_search_of_an_earlier_call_goes_on() -> None:
    judge, search = Judge(), KeySearch(0)
    judge.verifier.issuers[URL].keys = provider = Mock(wraps=judge.keys)
    forged = mint(key=SigningKey.generate("EdDSA"), headers={"kid": ...})

    with pytest.raises(TokenError):
        judge.verifier.verify(forged, None, search)
    provider.confirm_unknown.assert_called_once_with(judge.keys.set, search)
    provider.current.assert_called_once_with(search)
    for _ in range(2):  # Verified, then cached.
        search = KeySearch(0)
        judge.verifier.verify(mint(), None, search)
        provider.current.assert_called_with(search)


def test_an_error_of_the_projects_own_code_propagates() -> None:
    judge = Judge(audience=Mock(side_effect=LookupError("the database is down")))

    with pytest.raises(LookupError, match="the database is down"):
        judge.claims(mint(aud="api"))


def test_every_part_of_a_token_is_what_its_segment_says() -> None:
    header, payload, signature = taken_apart(mint())

    assert Judge().claims(compact(header, payload, signature))
