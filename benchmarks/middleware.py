"""What the middleware adds to a request for a view that is behind our class anyway."""

from __future__ import annotations

import statistics
from time import process_time_ns
from typing import Any, Final

import django
from django.conf import settings
from measure import Undisturbed
from report import Goal, Report, options

from jwtauth.testing import Issuer

VIEW: Final = "jwtauth.views.ProtectedView behind our class alone"
BOTH: Final = "the same, and TokenRequiredMiddleware before it"
MIDDLEWARE: Final = {VIEW: [], BOTH: ["jwtauth.middleware.TokenRequiredMiddleware"]}
BATCH: Final = 200


def main() -> None:
    arguments = options(__doc__)
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=["rest_framework", "jwtauth"],
        REST_FRAMEWORK={
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
        ROOT_URLCONF="jwtauth.urls",
        SECRET_KEY="for benchmarks only",
    )
    django.setup()
    with Issuer() as issuer:
        times = in_turns(issuer.token(sub="alice"), 30 if arguments.quick else 150)
    report = Report("middleware")
    rows = [(name, min(each), statistics.median(each)) for name, each in times.items()]
    header = ("processor time of a request, µs", "minimum", "median")
    report.table(f"One cached token, batches of {BATCH} requests", header, rows)
    added = [both - alone for alone, both in zip(times[VIEW], times[BOTH], strict=True)]
    report.goals = [Goal("the middleware adds µs", statistics.median(added), 12, digits=1)]
    report.write(arguments.json)


def in_turns(token: str, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a request, one figure for each batch."""
    handlers = {name: handler(middleware) for name, middleware in MIDDLEWARE.items()}
    times: dict[str, list[float]] = {name: [] for name in handlers}
    with Undisturbed():
        for number in range(rounds + 1):
            for name, each in handlers.items():
                spent = batch(each, token)
                if number:  # The first one warms what is still cold.
                    times[name].append(spent)
    return times


def handler(middleware: list[str]) -> Any:
    """Return Django's handler of requests with this middleware."""
    from django.core.handlers.base import BaseHandler  # noqa: PLC0415 - needs the settings.
    from django.test import override_settings  # noqa: PLC0415

    made = BaseHandler()
    with override_settings(MIDDLEWARE=middleware):
        made.load_middleware()
    return made


def batch(handler: Any, token: str) -> float:
    """Return the processor time of a request, from a batch of them."""
    from django.test import RequestFactory  # noqa: PLC0415

    factory = RequestFactory(headers={"Authorization": f"Bearer {token}"})
    requests = [factory.get("/protected/") for _ in range(BATCH)]
    began_at = process_time_ns()
    for request in requests:
        assert handler.get_response(request).status_code == 200
    return (process_time_ns() - began_at) / BATCH / 1000


if __name__ == "__main__":
    main()
