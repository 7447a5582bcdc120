"""What remembered tokens weigh, and whether anything grows with the tokens that are not.

Signing a million tokens would take minutes, so the key is a stub that finds every signature good;
all else is the path that tokens go.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from report import Goal, Report, options

from jwtauth.exceptions import TokenError
from jwtauth.tokens import base64url
from jwtauth.tokens.claims import ClaimsPolicy
from jwtauth.tokens.trusted_issuer import KeySearch, TrustedIssuer
from jwtauth.tokens.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jwtauth.tokens.jwks import KeySet

ISSUER: Final = "https://my-api.zuplo.app/__zuplo/issuer"
SIZE: Final = 1024


class StubKey:
    """Finds every signature good but one of all zeros."""

    def verify(self, _algorithm: str, _signing_input: bytes, signature: bytes) -> bool:
        return any(signature)


class StubKeys:
    """A key provider and its key set at once, with one key for everything."""

    def __init__(self) -> None:
        self._keys = (StubKey(),)

    def start_search(self) -> KeySearch:
        return KeySearch(0)

    def current(self, _search: KeySearch | None) -> KeySet:
        return cast("KeySet", self)

    def confirm_unknown(self, keys: KeySet, _search: KeySearch) -> KeySet:
        return keys

    def select(self, kid: str | None, _algorithm: str) -> tuple[StubKey, ...]:
        return self._keys if kid == "known" else ()

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def report_bad_signature(self) -> None:
        return


def main() -> None:
    arguments = options(__doc__)
    report = Report("memory")
    number = 50_000 if arguments.quick else 1_000_000
    weigh(report)
    grow(report, number)
    report.write(arguments.json)


def weigh(report: Report) -> None:
    """Bytes that a remembered token takes up, all of them counted."""
    rows = []
    for title, extra in (
        ("a usual token", {}),
        ("a token with 100 permissions", {"permissions": [f"orders:{i:04}" for i in range(100)]}),
    ):
        judge = verifier(SIZE)
        made = tokens(extra)
        length = len(next(made))
        judge.verify(next(made))
        gc.collect()
        tracemalloc.start()
        for _ in range(SIZE - 1):
            judge.verify(next(made))
        gc.collect()
        weight = tracemalloc.get_traced_memory()[0] / (SIZE - 1)
        tracemalloc.stop()
        rows.append((title, length, round(weight), round(weight * SIZE / 1024)))
    report.table(
        "Memory of remembered tokens, as tracemalloc counts it",
        ("", "characters", "bytes each", f"KiB, {SIZE} of them"),
        rows,
    )
    report.series["bytes a token"] = rows[0][2]


def grow(report: Report, number: int) -> None:
    """Growth of the process with distinct tokens beyond those that are remembered."""
    rows = []
    for title, take in (("accepted", accept), ("refused, bad signature", refuse)):
        judge = verifier(SIZE)
        made = tokens({}, signature=b"\x00" * 64 if take is refuse else b"\x01" * 64)
        for _ in range(4 * SIZE):
            take(judge, next(made))
        gc.collect()
        before, began_at = resident(), time.perf_counter()
        for _ in range(number if take is accept else number // 5):
            take(judge, next(made))
        seconds = time.perf_counter() - began_at
        gc.collect()
        seen = number if take is accept else number // 5
        grown = resident() - before
        rows.append((title, f"{seen:,}", f"{grown:,}", grown / seen, round(seconds)))
        if take is accept:
            report.goals.append(
                Goal(f"bytes of growth a token, {seen:,} tokens beyond {SIZE:,}", grown / seen, 10)
            )
    report.table(
        f"Resident memory with distinct tokens beyond TOKEN_CACHE_SIZE = {SIZE}"
        " (the signature check stubbed)",
        ("", "tokens", "bytes grown", "bytes a token", "seconds"),
        rows,
    )
    report.series["growth"] = rows


def accept(judge: Verifier, token: str) -> None:
    """Verify a token that passes."""
    judge.verify(token)


def refuse(judge: Verifier, token: str) -> None:
    """Verify a token that does not pass."""
    try:
        judge.verify(token)
    except TokenError:
        return
    raise AssertionError("a token that must be refused was accepted")


def verifier(size: int) -> Verifier:
    """A verifier whose one issuer has the stub for a key."""
    issuer = TrustedIssuer(ISSUER, algorithms=["EdDSA"], claims=ClaimsPolicy(), keys=StubKeys())
    return Verifier([issuer], token_cache_size=size)


def tokens(extra: dict[str, Any], signature: bytes = b"\x01" * 64) -> Iterator[str]:
    """Distinct tokens, without end."""
    header = base64url.encode(b'{"alg":"EdDSA","kid":"known","typ":"JWT"}').decode()
    last = base64url.encode(signature).decode()
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "iat": now,
        "exp": now + 3600,
        "email": "consumer@example.com",
        "plan": "enterprise",
        "scope": "orders:read orders:write invoices:read",
        **extra,
    }
    members = json.dumps(claims, separators=(",", ":"))[1:]
    for index in count():
        payload = f'{{"sub":"consumer-{index:016x}",{members}'
        yield f"{header}.{base64url.encode(payload.encode()).decode()}.{last}"


def resident() -> int:
    """Bytes of memory that this process has in use."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell")


if __name__ == "__main__":
    main()
