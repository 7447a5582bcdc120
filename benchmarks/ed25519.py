"""Whether libsodium, through PyNaCl, verifies Ed25519 faster than OpenSSL does, and as strictly.

Both are asked for their verdict on Wycheproof's vectors, where they are at hand, and on what an
attacker or a careless issuer could come up with: S beyond the order, points of small order, points
with a part of small order, and encodings that are not canonical.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import threading
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from curve import BASE, L, P, add, encode, multiply, small_order_points
from measure import Contender, Undisturbed, in_turns
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from report import Goal, Report, options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPENSSL: Final = "OpenSSL, through cryptography"
LIBSODIUM: Final = "libsodium, through PyNaCl"
THREADS: Final = (1, 2, 8)


class Case(NamedTuple):
    """Something to give a verdict on."""

    kind: str
    public_key: bytes
    message: bytes
    signature: bytes


def main() -> None:
    arguments = options(__doc__)
    report = Report("ed25519")
    take_time(report, number=300 if arguments.quick else 3000)
    take_time_in_threads(report, runs=2 if arguments.quick else 5)
    compare_verdicts(report, rounds=2 if arguments.quick else 20)
    report.write(arguments.json)


def take_time(report: Report, number: int) -> None:
    """One signature at a time, over messages as tokens have them."""
    rows = []
    for length in (366, 16_000):
        openssl, libsodium = verifiers(length)
        turns = [
            Contender(OPENSSL, openssl, lambda _: None),
            Contender(LIBSODIUM, libsodium, lambda _: None),
        ]
        timings = in_turns(turns, [""] * number)
        for name, timing in timings.items():
            relative = timing.minimum / timings[OPENSSL].minimum
            rows.append((f"{name}: {length:,} bytes", timing.minimum, timing.median, relative))
        if length < 1000:
            ratio = timings[LIBSODIUM].minimum / timings[OPENSSL].minimum
            report.series["ratio"] = ratio
            report.goals.append(Goal("libsodium / OpenSSL", ratio, 0.75))
    header = ("one thread", "µs, minimum", "µs, median", "OpenSSL = 1")
    report.table("Ed25519: verifying a signature", header, rows)


def take_time_in_threads(report: Report, runs: int) -> None:
    """The same in several threads, by the number of calls of all of them."""
    openssl, libsodium = verifiers(366)
    samples: dict[tuple[str, int], list[float]] = {}
    for _ in range(runs):
        for threads in THREADS:
            for name, verify in ((OPENSSL, openssl), (LIBSODIUM, libsodium)):
                samples.setdefault((name, threads), []).append(together(verify, threads))
    rows = [
        (f"{name}: {threads}", min(times), statistics.median(times))
        for (name, threads), times in samples.items()
    ]
    report.table("Ed25519 in threads", ("threads", "µs a call, minimum", "median"), rows)


def together(verify: Callable[[object], None], threads: int, calls: int = 1600) -> float:
    """Microseconds of wall-clock time a call."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(calls // threads):
            verify(None)
        barrier.wait()

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    with Undisturbed():
        barrier.wait()
        began_at = perf_counter()
        barrier.wait()
        return (perf_counter() - began_at) * 1e6 / calls


def verifiers(length: int) -> tuple[Callable[[object], None], Callable[[object], None]]:
    """The same check by both, as a token would be checked."""
    private_key = Ed25519PrivateKey.generate()
    message = os.urandom(length)
    signature = private_key.sign(message)
    public_key = private_key.public_key()
    octets = public_key.public_bytes_raw()

    def openssl(_: object) -> None:
        public_key.verify(signature, message)

    def libsodium(_: object) -> None:
        crypto_sign_open(signature + message, octets)

    return openssl, libsodium


def compare_verdicts(report: Report, rounds: int) -> None:
    """Count what both say to each kind of case."""
    verdicts: dict[str, Counter[tuple[bool, bool]]] = {}
    for case in cases(rounds):
        counter = verdicts.setdefault(case.kind, Counter())
        counter[openssl_accepts(case), libsodium_accepts(case)] += 1
    rows = [
        (
            kind,
            counter[True, True],
            counter[False, False],
            counter[True, False],
            counter[False, True],
        )
        for kind, counter in verdicts.items()
    ]
    header = ("signatures", "both accept", "both refuse", "only OpenSSL", "only libsodium")
    report.table("Ed25519: verdicts (accepted by)", header, rows)
    laxer = sum(counter[False, True] for counter in verdicts.values())
    report.series["accepted by libsodium only"] = laxer
    report.goals.append(Goal("signatures that only libsodium accepts", laxer, 0, digits=0))
    if "Wycheproof, valid" not in verdicts:
        report.note("Wycheproof's vectors are not at hand: set JWTAUTH_VECTORS to their folder.")


def openssl_accepts(case: Case) -> bool:
    """The verdict of OpenSSL."""
    try:
        key = Ed25519PublicKey.from_public_bytes(case.public_key)
        key.verify(case.signature, case.message)
    except (InvalidSignature, ValueError):
        return False
    return True


def libsodium_accepts(case: Case) -> bool:
    """The verdict of libsodium, which takes signature and message as one."""
    if len(case.signature) != 64:
        return False
    try:
        crypto_sign_open(case.signature + case.message, case.public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


def cases(rounds: int) -> Iterator[Case]:
    """All that verdicts are asked for."""
    yield from published_cases()
    choose = random.Random(8032)
    small = small_order_points()
    unusual = [(y + P | sign << 255).to_bytes(32, "little") for y in range(19) for sign in (0, 1)]
    secret = choose.randrange(L)
    key = multiply(secret, BASE)
    public_key = encode(key)
    for _ in range(rounds):
        message = choose.randbytes(40)
        nonce = choose.randrange(L)
        commitment = multiply(nonce, BASE)

        def sign(r: bytes, key_octets: bytes, message: bytes = message, nonce: int = nonce) -> int:
            return (nonce + challenge(r, key_octets, message) * secret) % L

        r = encode(commitment)
        s = sign(r, public_key)
        yield Case("well made", public_key, message, r + scalar(s))
        for factor in range(1, 15):
            yield Case("S beyond the order", public_key, message, r + scalar(s + factor * L))
        for point in small[1:]:
            r_mixed = encode(add(commitment, point))
            signature = r_mixed + scalar(sign(r_mixed, public_key))
            yield Case("R with a part of small order", public_key, message, signature)
            mixed = encode(add(key, point))
            yield Case("key with a part of small order", mixed, message, r + scalar(sign(r, mixed)))
        for point in small:
            octets = encode(point)
            yield Case(
                "R of small order",
                public_key,
                message,
                octets + scalar(sign(octets, public_key, nonce=0)),
            )
            for other in small:
                signature = encode(other) + scalar(0)
                yield Case("key and R of small order, S = 0", octets, message, signature)
            yield Case("key of small order", octets, message, r + scalar(nonce))
        for octets in unusual:
            signature = octets + scalar(sign(octets, public_key, nonce=0))
            yield Case("R not canonical", public_key, message, signature)
            for other in small:
                signature = encode(other) + scalar(0)
                yield Case("key not canonical, S = 0", octets, message, signature)


def published_cases() -> Iterator[Case]:
    """Wycheproof's vectors."""
    beside = Path(__file__).parent.parent.parent / "shared" / "vectors"
    folder = Path(os.environ.get("JWTAUTH_VECTORS", beside))
    path = folder / "wycheproof" / "ed25519_test.json"
    if not path.is_file():
        return
    document: dict[str, Any] = json.loads(path.read_text())
    for group in document["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            yield Case(f"Wycheproof, {test['result']}", public_key, message, signature)


def challenge(r: bytes, public_key: bytes, message: bytes) -> int:
    """The hash that ties a signature to key and message."""
    digest = hashlib.sha512(r + public_key + message).digest()
    return int.from_bytes(digest, "little") % L


def scalar(value: int) -> bytes:
    """S as a signature carries it; what does not fit is cut off."""
    return (value % 2**256).to_bytes(32, "little")


if __name__ == "__main__":
    main()
