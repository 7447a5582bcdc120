"""Coverage-guided fuzzing of everything that reads a token, with atheris.

After ``pip install atheris``::

    python fuzz/fuzz_token.py -max_total_time=60 "$(mktemp -d)" fuzz/corpus

The first folder takes what is found, the second holds the seeds. It ends early where something is
raised that is no refusal, or a token is accepted that nobody signed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import contextlib

import atheris

with atheris.instrument_imports(include=["jwtauth"]):
    from jwtauth.exceptions import TokenError
    from jwtauth.keys.local import LocalKeys
    from jwtauth.testing import Issuer
    from jwtauth.tokens import base64url, header, strict_json
    from jwtauth.tokens.claims import ClaimsPolicy
    from jwtauth.tokens.jwks import KeySet
    from jwtauth.tokens.trusted_issuer import TrustedIssuer
    from jwtauth.tokens.verifier import Verifier

ISSUER = Issuer("https://issuer.test", algorithms=("EdDSA",))
NOW = 1_000_000_000

VERIFIER = Verifier(
    [
        TrustedIssuer(
            ISSUER.url,
            algorithms=["EdDSA", "Ed25519"],
            token_types=["JWT", "at+jwt"],
            claims=ClaimsPolicy(
                audience=("api",), required_claims={"tenant": ["a", 1, {"b": [True]}]}, leeway=5
            ),
            keys=LocalKeys(ISSUER.url, ISSUER.jwks()),
        )
    ],
    token_cache_size=2,
    clock=lambda: NOW,
)


def verify(token: str) -> dict[str, Any] | None:
    """The claims, or ``None`` where the token is refused, as it may be; nothing else may happen."""
    try:
        return VERIFIER.verify(token)
    except TokenError:
        return None


def fuzz_text(octets: bytes) -> None:
    """The whole token is the fuzzer's: none that it makes up can be good."""
    assert verify(octets.decode("latin-1")) is None, "a token that nobody signed was accepted"


def fuzz_segments(octets: bytes) -> None:
    """Header and payload are the fuzzer's and signed well: what is accepted came through whole."""
    head, _, payload = octets.partition(b"\n")
    claims = verify(ISSUER.sign(payload, headers=head, key=ISSUER.keys[0]))
    if claims is not None:
        assert claims == json.loads(payload), "the claims are not what was signed"
        json.dumps(claims, ensure_ascii=False, allow_nan=False).encode()


def fuzz_parts(octets: bytes) -> None:
    """The readers by themselves: one spelling for each value, and ``ValueError`` for all else."""
    with contextlib.suppress(ValueError):
        assert base64url.encode(base64url.decode(octets)) == octets
    for read in (strict_json.loads, lambda data: KeySet.from_text(data.decode("latin-1"))):
        with contextlib.suppress(ValueError):
            read(octets)
    with contextlib.suppress(TokenError):
        header.parse(octets)


def fuzz(octets: bytes) -> None:
    """The first octet says which of the three it is."""
    (fuzz_text, fuzz_segments, fuzz_parts)[octets[0] % 3 if octets else 0](octets[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
