"""Measure how the cost of a token grows with its length and with the number of keys.

All tokens are seen for the first time.
"""

from __future__ import annotations

import json
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import django
from django.conf import settings
from gateway import split, tokens
from measure import Contender, in_turns, ratio
from report import Spread, options, publish

from jwtauth import verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer, SigningKey

if TYPE_CHECKING:
    from collections.abc import Iterator

USUAL: Final = "valid, about 400 characters, one key"
FLOOR: Final = "the signature check alone"
# What fills the payload of a rejected token, within the limits of the parser.
SHAPES: Final = {
    "one string": f'"{"a" * 12_000}"',
    "escapes": '"' + 2_000 * r"\u00e9" + '"',
    "members": json.dumps({f"name {number:05}": "value" for number in range(490)}),
    "numbers": ",".join(["123456789.5"] * 990),
    "long integers": ",".join(["9" * 640] * 18),
    "objects": ",".join(['{"a":"0123456789012345678901234567"}'] * 290),
}


def main() -> None:
    arguments = options(__doc__)
    calls, rounds = (20, 3) if arguments.quick else (100, 12)
    issuers = {
        number: Issuer(f"https://with-{number}-keys.test", ["EdDSA"]) for number in (1, 2, 16)
    }
    for number, issuer in issuers.items():
        issuer.keys += [SigningKey.generate() for _ in range(number - 1)]
    settings.configure(
        INSTALLED_APPS=["rest_framework", "jwtauth"],
        # The key that signs is the last one that is tried.
        JWTAUTH={
            "ISSUERS": {
                each.url: {"JWKS": {"keys": each.jwks()["keys"][::-1]}} for each in issuers.values()
            }
        },
    )
    django.setup()
    one = issuers[1]
    streams = {
        USUAL: tokens(one),
        "valid, two keys": tokens(issuers[2]),
        "valid, sixteen keys": tokens(issuers[16]),
        **{
            f"valid, {length:,} characters": tokens(one, permissions=["orders.read.eu-12"] * number)
            for length, number in ((2_000, 58), (8_000, 285), (16_000, 585))
        },
    }
    contenders = {name: Contender(verify_token, stream) for name, stream in streams.items()}
    for name, shape in SHAPES.items():
        contenders[f"rejected, 16 KiB, {name}"] = Contender(reject, forged(one, shape))
    key: Any = one.keys[0].private_key.public_key()
    contenders[FLOOR] = Contender(lambda parts: key.verify(*parts), map(split, tokens(one)))
    in_turns(contenders, rounds=1, calls=20)  # Warms what is cold.
    times = in_turns(contenders, rounds=rounds, calls=calls)
    rows = [
        (
            name,
            Spread.of(each),
            ratio(each, times[USUAL]),
            ratio(
                [this - that for this, that in zip(each, times[USUAL], strict=True)], times[FLOOR]
            ),
        )
        for name, each in times.items()
    ]
    header = ("EdDSA", "µs, median (range)", "first row = 1", "more, in signature checks")
    publish(arguments.tables, "growth", header, rows)


def reject(token: str) -> None:
    """Verify a token that is not valid."""
    try:
        verify_token(token)
    except TokenError as error:
        if error.code == "invalid_signature":
            return
        raise


def forged(issuer: Issuer, shape: str) -> Iterator[str]:
    """Yield tokens of almost 16 KiB that only the signature check rejects."""
    stranger = SigningKey.generate()
    for number in count():
        start = f'{{"iss":"{issuer.url}","exp":{int(time.time()) + 600},"sub":"{number}"'
        payload = f'{start},"x":[{shape}]}}'
        yield issuer.sign(payload.encode(), key=stranger)


if __name__ == "__main__":
    main()
