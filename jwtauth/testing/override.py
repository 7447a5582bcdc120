"""The setting ``JWTAUTH`` inside an issuer's ``with`` block."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.conf import settings as django_settings


class _Block(NamedTuple):
    """An open block of an issuer: its entry in ``ISSUERS``, and ``JWTAUTH`` outside and inside."""

    issuer: Any
    entry: dict[str, Any]
    outside: Mapping[str, Any]
    inside: dict[str, Any]


_open: list[_Block] = []


def innermost() -> Any:
    """Return the issuer whose block was entered last, or ``None`` if no block is open."""
    return _open[-1].issuer if _open else None


@contextmanager
def overridden(issuer: Any, **keys: Any) -> Generator[None]:
    """Let the app trust the issuer; ``keys`` are the settings that say where its keys are."""
    from django.test import override_settings  # noqa: PLC0415 - It is slow to import.

    with opened(issuer, **keys) as jwtauth, override_settings(JWTAUTH=jwtauth):
        yield


@contextmanager
def opened(issuer: Any, **keys: Any) -> Generator[dict[str, Any]]:
    """Open a block of the issuer; the value is the ``JWTAUTH`` to use inside it."""
    outside: Any = getattr(django_settings, "JWTAUTH", None) or {}
    if _open and outside is _open[-1].inside:
        outside = _open[-1].outside
    entry = {**_without_issuers(outside.get("ISSUERS", {}).get(issuer.url, {})), **keys}
    issuers = {block.issuer.url: block.entry for block in _open} | {issuer.url: entry}
    inside = {**_without_issuers(outside), "ISSUERS": issuers}
    _open.append(_Block(issuer, entry, outside, inside))
    try:
        yield inside
    finally:
        _open.pop()


def _without_issuers(settings: Mapping[str, Any]) -> dict[str, Any]:
    replaced = {"ISSUER", "ISSUERS", "JWKS_URL", "DISCOVERY", "JWKS"}
    return {key: value for key, value in settings.items() if key not in replaced}
