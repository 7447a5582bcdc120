"""The settings of this Django project for ``jwtauth``: read once, and again when they change."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from .validation import backend_problems, validate

if TYPE_CHECKING:
    from .options import Settings
    from .validation import Problem

logger: Final = logging.getLogger("jwtauth")

READ_FROM: Final = frozenset({"JWTAUTH", "CACHES", "DEBUG"})
"""The settings of Django that these are read from: where one changes, so do they."""


@functools.cache
def get_settings() -> Settings:
    """The settings, parsed at the first call.

    Raises ``ImproperlyConfigured``, which names all problems at once: system checks do not run
    under WSGI or ASGI, so that this may be the first to notice. They are logged once, too.
    """
    current, problems = read_settings()
    if current is None or problems:
        raise ImproperlyConfigured(_log_problems())
    return current


@functools.cache
def _log_problems() -> str:
    """Log what is wrong with the settings, the first time only, and return the text."""
    _current, problems = read_settings()
    lines = "\n".join(f"{each.id}: {each.message} {each.hint}" for each in problems)
    logger.error(
        "jwtauth is not configured correctly. %s",
        lines,
        extra={"problems": [each.id for each in problems]},
    )
    return f"jwtauth is not configured correctly.\n{lines}"


@functools.cache
def read_settings() -> tuple[Settings | None, tuple[Problem, ...]]:
    """The settings and what is wrong with them, for system checks and run time alike."""
    current, problems = validate(
        getattr(settings, "JWTAUTH", None), debug=bool(settings.DEBUG), caches=settings.CACHES
    )
    return current, (*problems, *backend_problems())


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    # Sent by override_settings and its like, in tests.
    if setting in READ_FROM:
        read_settings.cache_clear()
        get_settings.cache_clear()
        _log_problems.cache_clear()
