"""The WSGI application that gunicorn serves: Django, and what the benchmarks ask a worker.

``/cpu`` returns the nanoseconds of CPU time of the process. Each response names its process.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application

if TYPE_CHECKING:
    from collections.abc import Iterable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], *error)

    if environ["PATH_INFO"] != "/cpu":
        return _django(environ, start)
    start("200 OK", [])
    return [str(time.process_time_ns()).encode()]
