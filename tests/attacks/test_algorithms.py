"""Algorithms that need no key, take the wrong one, or are not allowed."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest

from jwtauth.testing import SigningKey
from tests.forging import (
    public_key_as_secrets,
    with_signature,
)

from .forgeries import (
    KEYS,
    key_of,
)
from .siege import Attack, Siege, attack, attacks

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.faults import FaultyIssuer


_NONE: Final = ("none", "None", "NONE", "nOnE", " none", "none\0", "", "null", "nil")
_NO_NAMES: Final[tuple[Any, ...]] = (
    ...,
    None,
    True,
    0,
    1.5,
    [],
    ["none"],
    ["EdDSA"],
    {},
    {"alg": "none"},
)


def _without_signature(issuer: FaultyIssuer, algorithm: Any) -> str:
    return with_signature(issuer.token(headers={"alg": algorithm}), b"")


def _with_signature(issuer: FaultyIssuer, algorithm: Any) -> str:
    return issuer.token(headers={"alg": algorithm})


UNSIGNED: Final = [
    *attacks(_NONE, _without_signature, "algorithm_not_allowed", prefix="no signature, alg "),
    *attacks(_NONE, _with_signature, "algorithm_not_allowed", prefix="a good one, alg "),
    *attacks(_NO_NAMES, _without_signature, "malformed_token", prefix="no signature, alg "),
    *attacks(_NO_NAMES, _with_signature, "malformed_token", prefix="a good one, alg "),
    attack(
        "alg none and then EdDSA",
        lambda issuer: issuer.token(headers=b'{"alg":"none","alg":"EdDSA"}'),
        "malformed_token",
    ),
    attack(
        "alg in another case",
        lambda issuer: issuer.token(headers={"ALG": "EdDSA", "alg": "none"}),
        "algorithm_not_allowed",
    ),
    attack(
        "no signature, and no dot before it",
        lambda issuer: issuer.token(headers={"alg": "none"}).rpartition(".")[0],
        "malformed_token",
    ),
]


@pytest.mark.parametrize("attacked", UNSIGNED)
def test_a_token_that_claims_to_need_no_signature(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key", KEYS)
def test_a_public_key_taken_for_a_shared_secret(
    either_siege: Siege, key: str, algorithm: str
) -> None:
    siege = either_siege
    public = key_of(siege.issuer, key)
    name = {} if public.kid is None else {"kid": public.kid}

    for secret in public_key_as_secrets(public).values():
        for headers in ({}, name):
            token = siege.issuer.token(algorithm=algorithm, key=secret, headers=headers)
            siege.assert_refused(token, "algorithm_not_allowed")
            token = siege.issuer.token(
                algorithm=algorithm, key=secret, headers={**headers, "alg": key}
            )
            siege.assert_refused(token, "invalid_signature")


def _under_the_key_for(issuer: FaultyIssuer, pair: tuple[str, str]) -> str:
    algorithm, other = pair
    headers = {"kid": key_of(issuer, other).kid}
    return issuer.token(algorithm=algorithm, key=SigningKey.generate(algorithm), headers=headers)


MISFITS: Final = [
    *attacks(
        {
            f"{algorithm} under the key for {other}": (algorithm, other)
            for algorithm, other in product(("EdDSA", "RS256", "ES256", "ES384", "ES512"), KEYS)
            if algorithm != other
        },
        _under_the_key_for,
        "unknown_key",
    ),
    *attacks(
        ("RS384", "RS512", "PS256", "PS384", "PS512"),
        lambda issuer, name: issuer.token(key=key_of(issuer, "RS256"), algorithm=name),
        "unknown_key",
        prefix="by the key whose own alg is RS256, ",
    ),
]


@pytest.mark.parametrize("attacked", MISFITS)
def test_an_algorithm_that_does_not_fit_the_key(named_siege: Siege, attacked: Attack) -> None:
    named_siege.assert_fails(attacked)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512", "ES512"])
def test_an_algorithm_that_no_key_is_for(siege: Siege, algorithm: str) -> None:
    key = SigningKey.generate("ES512") if algorithm == "ES512" else key_of(siege.issuer, "RS256")

    siege.assert_refused(siege.issuer.token(algorithm=algorithm, key=key), "unknown_key")


def test_an_algorithm_that_is_not_allowed_though_the_key_is_there(
    siege: Siege, settings: Settings
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "ALGORITHMS": ["EdDSA"]}

    siege.assert_granted(siege.issuer.token())
    for algorithm in ("RS256", "ES256", "ES384"):
        siege.assert_refused(siege.issuer.token(algorithm=algorithm), "algorithm_not_allowed")
