"""A loopback issuer as a process of its own: ``python -m jwtauth.testing``."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from .issuer import DEFAULT_ALGORITHMS
from .loopback import LoopbackIssuer


def main() -> None:
    """Print one line of JSON, then serve until standard input ends or SIGTERM comes.

    The line has ``url``, ``jwks_url``, ``discovery_url`` and, so that others can sign this
    issuer's tokens, its private ``keys`` (for ``SigningKey.from_jwk``).
    """
    parser = argparse.ArgumentParser(
        prog="python -m jwtauth.testing",
        description="Serve an issuer for tests on loopback until standard input ends. "
        "Its first line on standard output is a JSON object with its URLs and private keys.",
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--path", default="/__zuplo/issuer", help="the path of the issuer's URL")
    parser.add_argument(
        "--algorithms", nargs="+", default=DEFAULT_ALGORITHMS, help="one key is made for each"
    )
    parser.add_argument("--kid", action="store_true", help="give each key a kid")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with LoopbackIssuer(
        options.algorithms,
        port=options.port,
        path=options.path,
        kid=options.kid,
    ) as issuer:
        line = {
            "url": issuer.url,
            "jwks_url": issuer.jwks_url,
            "discovery_url": issuer.discovery_url,
            "keys": [key.private_jwk() for key in issuer.keys],
        }
        sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
