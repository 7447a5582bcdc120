"""The ``JWTAUTH`` inside an issuer's ``with`` block: the project's own, with other issuers."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator

_REPLACED: Final = frozenset({"ISSUER", "ISSUERS", "JWKS_URL", "DISCOVERY", "JWKS"})


class _Block(NamedTuple):
    """An open block: its issuer, the settings of that, the ``JWTAUTH`` before it and inside it."""

    issuer: Any
    url: str
    settings: dict[str, Any]
    own: dict[str, Any]
    jwtauth: dict[str, Any]


_open: list[_Block] = []


def innermost() -> Any:
    """Return the issuer whose block was entered last, or ``None`` if no block is open."""
    return _open[-1].issuer if _open else None


def has_app() -> bool:
    """Return whether there is an app that could trust an issuer: Django's settings are loaded."""
    conf = sys.modules.get("django.conf")
    return conf is not None and conf.settings.configured


@contextmanager
def overridden(issuer: Any, **settings: Any) -> Generator[None]:
    """Have the app, if there is one, trust the issuer; ``settings`` belong to the issuer alone."""
    if not has_app():
        yield
        return
    from django.test import override_settings  # noqa: PLC0415 - Django is optional.

    with opened(issuer, **settings) as jwtauth, override_settings(JWTAUTH=jwtauth):
        yield


@contextmanager
def opened(issuer: Any, **settings: Any) -> Generator[dict[str, Any]]:
    """Count the issuer's block as open; the value is the ``JWTAUTH`` to use inside it."""
    from django.conf import settings as django_settings  # noqa: PLC0415 - Django is optional.

    own: Any = getattr(django_settings, "JWTAUTH", None)
    if _open and own is _open[-1].jwtauth:
        own = _open[-1].own
    own = own if isinstance(own, dict) else {}
    blocks = {block.url: block.settings for block in _open} | {issuer.url: settings}
    issuers = {
        url: {**_without_issuers((own.get("ISSUERS") or {}).get(url, {})), **blocks[url]}
        for url in blocks
    }
    jwtauth = _without_issuers(own)
    if len(issuers) > 1:
        jwtauth["ISSUERS"] = issuers
    else:
        jwtauth |= {"ISSUER": issuer.url, **issuers[issuer.url]}
    _open.append(_Block(issuer, issuer.url, settings, own, jwtauth))
    try:
        yield jwtauth
    finally:
        _open.pop()
        # Overrides that are undone in another order may bring this dict back.
        jwtauth.clear()
        jwtauth.update(own)


def _without_issuers(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _REPLACED}
