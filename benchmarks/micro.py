"""Time one call of ``authenticate()``, next to the bare signature check and other packages.

Each contender gets real Django REST Framework requests, warm keys, and each token once.
"""

from __future__ import annotations

import logging
import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Final

from gateway import ALGORITHM, WITH_FAST, few, gateways, run_variants, split, tokens
from measure import Contender, in_turns, ratio
from report import Spread, options, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rest_framework.authentication import BaseAuthentication
    from rest_framework.request import Request

    from jwtauth.testing import Issuer

FLOOR: Final = "signature check alone (`cryptography`)"
CACHED: Final = "jwtauth, cached"


def main() -> None:
    arguments = options(__doc__)
    if run_variants():
        return
    # Peers log the tokens that they reject.
    logging.disable()
    warnings.simplefilter("ignore")
    rounds, calls = (3, 50) if arguments.quick else (12, 120)
    with gateways() as (issuer, kid_issuer):
        module = import_module("contenders")
        verify = module.signature_check()
        contenders = {
            FLOOR: Contender(lambda parts: verify(*parts), map(split, tokens(issuer))),
            CACHED: contender(module.CLASSES[module.OURS], few(issuer)),
        }
        for name, authentication in module.CLASSES.items():
            if not WITH_FAST or name == module.OURS:
                own = kid_issuer if name in module.PEERS_WITH_KID else issuer
                check(name, authentication, own)
                contenders[name] = contender(authentication, tokens(own))
        in_turns(contenders, rounds=1, calls=50)  # Warms what is cold.
        # A full token cache: each new token replaces another one.
        accept = contenders[module.OURS]
        for _ in range(0 if arguments.quick else 1024):
            accept.call(next(accept.arguments))
        times = in_turns(contenders, rounds=rounds, calls=calls)
    order = sorted(times, key=lambda name: Spread.of(times[name]))
    rows: list[tuple[object, ...]]
    rows = [(name, Spread.of(times[name]), ratio(times[name], times[FLOOR])) for name in order]
    if not WITH_FAST:
        best = next(name for name in order if name in module.PEERS)
        ours = ratio(times[module.OURS], times[best])
        rows.append((f"jwtauth, first seen, compared with {best}", "", f"{ours} of its time"))
    header = (f"{ALGORITHM}: `authenticate()`", "µs, median (range)", "signature check = 1")
    publish(arguments.tables, f"micro-{os.environ['BENCHMARK_VARIANT']}", header, rows)


def contender(authentication: type[BaseAuthentication], own: Iterator[str]) -> Contender:
    """Return the class with its tokens; as in a view, with a new instance for each request."""
    return Contender(lambda each: authentication().authenticate(each), map(request, own))


def request(token: str) -> Request:
    """Return a request as Django REST Framework hands it to an authentication class."""
    from django.test import RequestFactory  # noqa: PLC0415 - needs the settings.
    from rest_framework.request import Request  # noqa: PLC0415

    return Request(RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"}))


def check(name: str, authentication: type[BaseAuthentication], issuer: Issuer) -> None:
    """Check that a contender does the job: it accepts valid tokens and rejects others."""

    def accepts(token: str) -> bool:
        try:
            return authentication().authenticate(request(token)) is not None
        except Exception:  # noqa: BLE001 - packages raise anything.
            return False

    valid = next(tokens(issuer))
    middle = valid.rindex(".") + 10
    bad = {
        "a bad signature": f"{valid[:middle]}{'AB'[valid[middle] == 'A']}{valid[middle + 1 :]}",
        "another issuer": next(tokens(issuer, iss="https://other.test")),
        "no exp": next(tokens(issuer, exp=...)),
        # Longer ago than drf-oidc-auth's leeway, which its documentation sets to ten minutes.
        "an exp in the past": next(tokens(issuer, exp=1_000_000_000)),
    }
    assert accepts(valid), f"{name} rejects a valid token"
    for fault, token in bad.items():
        assert not accepts(token), f"{name} accepts a token with {fault}"


if __name__ == "__main__":
    main()
