"""The WSGI application that gunicorn serves. ``/cpu`` returns the CPU time of the process."""

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
    """Serve Django, and the nanoseconds that this process has used."""
    if environ["PATH_INFO"] != "/cpu":
        return _django(environ, start_response)
    start_response("200 OK", [])
    return [str(time.process_time_ns()).encode()]
