"""Measure the memory of cached tokens, and whether a process grows with a million others."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from report import options, publish

from jwtauth import verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER: Final = "https://my-api.zuplo.app/__zuplo/issuer"
SIZE: Final = 1024
MANY: Final = {"permissions": [f"orders:{number:04}" for number in range(100)]}
KEY: Final = SigningKey.generate()
STRANGER: Final = SigningKey.generate()


def main() -> None:
    arguments = options(__doc__)
    settings.configure(
        INSTALLED_APPS=["rest_framework", "jwtauth"],
        JWTAUTH={
            "ISSUER": ISSUER,
            "JWKS": {"keys": [KEY.public_jwk()]},
            "TOKEN_CACHE_SIZE": SIZE,
        },
    )
    number = 20_000 if arguments.quick else 1_000_000
    rows = [grow("accepted", KEY, number), grow("rejected, bad signature", STRANGER, number // 5)]
    header = ("distinct tokens, after 4,096 others", "number", "growth of the process, KiB")
    publish(arguments.tables, "memory-growth", header, rows)
    rows = [weigh("like the gateway's", {}), weigh("with 100 permissions", MANY)]
    header = (f"{SIZE:,} cached tokens", "characters each", "KiB in total")
    publish(arguments.tables, "memory-cached", header, rows)


def weigh(title: str, extra: dict[str, Any]) -> tuple[object, ...]:
    """Return what the cached tokens take up, as ``tracemalloc`` counts it."""
    several = list(islice(tokens(KEY, extra), 2 * SIZE))
    tracemalloc.start()
    # They replace the tokens that were cached before, which are not counted.
    for token in several[:SIZE]:
        verify_token(token)
    gc.collect()
    kibibytes = tracemalloc.get_traced_memory()[0] / 1024
    tracemalloc.stop()
    return title, len(several[0]), f"{kibibytes:,.0f}"


def grow(title: str, key: SigningKey, number: int) -> tuple[object, ...]:
    """Return by how much the process grows with distinct tokens, once its cache is full."""
    distinct = tokens(key, {})
    verify(islice(distinct, 4 * SIZE))
    before = resident()
    verify(islice(distinct, number))
    return title, f"{number:,}", f"{(resident() - before) / 1024:,.0f}"


def verify(several: Iterator[str]) -> None:
    """Verify tokens, valid or not."""
    for token in several:
        with suppress(TokenError):
            verify_token(token)
    gc.collect()


def tokens(key: SigningKey, extra: dict[str, Any]) -> Iterator[str]:
    """Yield distinct tokens, faster than ``Issuer.token``."""
    header = base64url.encode(b'{"alg":"EdDSA"}')
    sign: Any = key.private_key.sign
    claims = {
        "iss": ISSUER,
        "exp": int(time.time()) + 3600,
        "email": "consumer@example.com",
        "plan": "enterprise",
        "scope": "orders:read orders:write invoices:read",
        **extra,
    }
    members = json.dumps(claims, separators=(",", ":"))[1:]
    for number in count():
        payload = base64url.encode(f'{{"sub":"consumer-{number:016x}",{members}'.encode())
        signed = b"%b.%b" % (header, payload)
        yield f"{signed.decode()}.{base64url.encode(sign(signed)).decode()}"


def resident() -> int:
    """Return the bytes of memory that this process has in use (Linux only)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say")


if __name__ == "__main__":
    main()
