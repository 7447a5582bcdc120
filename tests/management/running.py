"""Running a command in this process, with what it printed and how it ended."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

from django.core.management import call_command
from django.core.management.base import CommandError


class Result(NamedTuple):
    """``out`` is standard output; ``error`` is what standard error says and ``code`` the exit."""

    out: str
    error: str
    code: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(name: str, *arguments: str, **options: Any) -> Result:
    """Run ``manage.py name arguments``."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out, **{"no_color": True, **options})
    except CommandError as error:
        return Result(out.getvalue(), str(error), error.returncode)
    return Result(out.getvalue(), "", 0)
