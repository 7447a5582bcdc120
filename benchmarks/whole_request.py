"""Measure the CPU time of whole requests under gunicorn, for each way to authenticate.

One sync worker, which always finds a request that waits, reports its own CPU time. Contenders take
turns on that worker.
"""

from __future__ import annotations

import json
import os
import socket
from collections import defaultdict, deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from chart import draw
from gateway import ALGORITHM, WITH_FAST, few, gateways, run_variants, tokens
from measure import difference
from report import Spread, options, publish
from servers import Server, gunicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSTANT: Final = "a class that returns a constant user"
SIGNATURE: Final = "a class that only checks the signature"
FIRST_SEEN: Final = "jwtauth, first seen"
CACHED: Final = "jwtauth, cached"
MIDDLEWARE: Final = "jwtauth, cached, with the middleware"
REQUESTS: Final = 50
WAITING: Final = 4
TURNS: Final = 4
RESULTS: Final = Path(__file__).parent / "results"


class Contender(NamedTuple):
    """A view, and the tokens that it gets."""

    server: Server
    path: str
    tokens: Iterator[str]


def main() -> None:
    arguments = options(__doc__)
    if run_variants():
        draw(RESULTS, arguments.tables / "cost.svg")
        return
    rows: list[tuple[object, ...]]
    environment = {"DJANGO_SETTINGS_MODULE": "backend.settings", "PYTHONWARNINGS": "ignore"}
    behind = {**environment, "BENCHMARK_MIDDLEWARE": "1"}
    with (
        gateways() as (issuer, kid_issuer),
        gunicorn(workers=1, threads=1, environment=environment) as server,
        gunicorn(workers=1, threads=1, environment=behind) as other,
    ):
        from backend.urls import CLASSES  # noqa: PLC0415 - needs the settings.
        from contenders import PEERS_WITH_KID  # noqa: PLC0415

        views = {}
        for number, name in enumerate(CLASSES):
            own = kid_issuer if name in PEERS_WITH_KID else issuer
            views[name] = Contender(server, f"/{number}", tokens(own))
        first_seen = views[FIRST_SEEN]
        contenders = {
            CONSTANT: views.pop("constant"),
            CACHED: first_seen._replace(tokens=few(issuer)),
            MIDDLEWARE: first_seen._replace(server=other, tokens=few(issuer)),
            SIGNATURE: views.pop("signature"),
            FIRST_SEEN: first_seen,
            **({} if WITH_FAST else views),
        }
        costs = measure(contenders, rounds=2 if arguments.quick else 30)
    rows = [
        (name, Spread.of(costs[name]), difference(costs[name], costs[CONSTANT]))
        for name in contenders
    ]
    header = (f"{ALGORITHM}: CPU time of a request", "µs, median (range)", "more than the first")
    variant = os.environ["BENCHMARK_VARIANT"]
    publish(arguments.tables, f"request-{variant}", header, rows)
    differences = [
        ("first seen", "a class that only checks the signature", FIRST_SEEN, SIGNATURE),
        ("cached", CONSTANT, CACHED, CONSTANT),
        ("cached, middleware and class", "the class without the middleware", MIDDLEWARE, CACHED),
    ]
    rows = [(of, to, difference(costs[this], costs[that])) for of, to, this, that in differences]
    header = (f"{ALGORITHM}", "compared with", "µs of CPU more, median (range)")
    publish(arguments.tables, f"differences-{variant}", header, rows)
    RESULTS.mkdir(exist_ok=True)
    more = {name: difference(costs[name], costs[CONSTANT]) for name in list(contenders)[1:]}
    (RESULTS / f"request-{variant}.json").write_text(json.dumps(more))


def measure(contenders: dict[str, Contender], *, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of CPU time of a request, for each contender and round."""
    costs = defaultdict(list)
    turns = list(contenders)
    for name in turns:  # Warms what is cold.
        spend(contenders[name], REQUESTS)
    for _ in range(rounds):
        spent = dict.fromkeys(turns, 0.0)
        for _ in range(TURNS):
            for name in turns:
                spent[name] += spend(contenders[name], REQUESTS)
            turns.append(turns.pop(0))
        for name, nanoseconds in spent.items():
            costs[name].append(nanoseconds / (TURNS * REQUESTS) / 1000)
    return costs


def spend(contender: Contender, number: int) -> int:
    """Send so many requests; return the nanoseconds of CPU time that they cost the worker."""
    server, path, own = contender
    several = list(islice(own, number))  # Signed now, because pauses would cool the worker down.
    before = int(receive(send(server, "/cpu")))
    # The worker always finds a request that waits.
    pending = deque(send(server, path, token) for token in several[:WAITING])
    for token in several[WAITING:]:
        receive(pending.popleft())
        pending.append(send(server, path, token))
    return int([receive(each) for each in (*pending, send(server, "/cpu"))][-1]) - before


def send(server: Server, path: str, token: str = "") -> socket.socket:
    """Send a request on a new connection."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def receive(connection: socket.socket) -> bytes:
    """Return the body of a response with 200."""
    with connection, connection.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    assert b" 200 " in head[:15], head
    return body


if __name__ == "__main__":
    main()
