"""An app under attack: requests that must be refused, and what must not come of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from django.core.cache import caches
from django.test import Client

from jwtauth.testing import SigningKey
from tests.challenge import read_refusal

from .forgeries import NONE_OF_YOURS, PROTECTED

if TYPE_CHECKING:
    from tests.faults import FaultyIssuer


Forge = Callable[["FaultyIssuer"], str]

CODES: Final = frozenset(
    {
        "malformed_token",
        "token_too_large",
        "algorithm_not_allowed",
        "untrusted_issuer",
        "unknown_key",
        "invalid_signature",
        "token_expired",
        "token_not_yet_valid",
        "invalid_audience",
        "missing_claim",
        "invalid_claim",
        "invalid_type",
        "user_refused",
    }
)
"""Every code of a refusal that there is."""

_SHORTEST_SECRET: Final = 12


class Attack(NamedTuple):
    """A forger's work: the token, the codes that may answer it, and text that nobody may repeat."""

    forge: Forge
    codes: frozenset[str]
    hidden: tuple[str, ...]


def attack(name: str, forge: Forge | str, *codes: str, hidden: Iterable[str] = ()) -> Any:
    """A line of a table: a ``pytest.param`` with an ``Attack``."""
    forger = (lambda _: forge) if isinstance(forge, str) else forge
    return pytest.param(Attack(forger, frozenset(codes), tuple(hidden)), id=name)


def attacks(
    values: Mapping[str, Any] | Iterable[Any],
    forge: Callable[[FaultyIssuer, Any], str],
    *codes: str,
    prefix: str = "",
) -> list[Any]:
    """A line for each value, by its name, or by what it looks like; ``forge`` gets it too."""
    named = values if isinstance(values, Mapping) else {repr(value): value for value in values}

    def bound(value: Any) -> Forge:
        return lambda issuer: forge(issuer, value)

    return [attack(f"{prefix}{name}", bound(value), *codes) for name, value in named.items()]


class Siege:
    """An app that trusts ``issuer`` and has its keys."""

    def __init__(self, issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture) -> None:
        self.issuer = issuer
        self._caplog = caplog
        caplog.set_level(logging.DEBUG)

    def request(self, token: str, path: str = PROTECTED) -> Any:
        """What comes of a request with a bearer token."""
        return self.request_with_header(f"Bearer {token}", path)

    def request_with_header(self, authorization: str | None, path: str = PROTECTED) -> Any:
        """What comes of a request with this ``Authorization``, as a server hands it to Django."""
        extra = {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
        return Client().get(path, **extra)  # type: ignore[arg-type]

    def use_up_the_fetch_of(self, issuer: FaultyIssuer) -> None:
        """Send a forged token, the only one in a cooldown that causes a fetch."""
        fetches = issuer.fetches
        assert self.request(issuer.token(key=SigningKey.generate())).status_code == 401
        assert issuer.fetches == fetches + 1

    def assert_granted(self, token: str, path: str = PROTECTED) -> Any:
        """The body of the answer to a valid token."""
        response = self.request(token, path)
        assert response.status_code == 200, response.content
        return response.json()

    def assert_fails(self, attacked: Attack) -> None:
        """The attack ends in a refusal."""
        hidden = (NONE_OF_YOURS, *attacked.hidden)
        self.assert_refused(attacked.forge(self.issuer), *attacked.codes, hidden=hidden)

    def assert_refused(
        self,
        token: str,
        *codes: str,
        hidden: Iterable[str] = (),
        path: str = PROTECTED,
    ) -> None:
        """401 with one of these codes, and nothing else happens or is told."""
        self.assert_header_refused(
            f"Bearer {token}", *codes, hidden=[*hidden, *token.split(".")], path=path
        )

    def assert_header_refused(
        self,
        authorization: str,
        *codes: str,
        hidden: Iterable[str] = (),
        path: str = PROTECTED,
    ) -> None:
        """The same for a whole ``Authorization``."""
        fetches, entries = self.issuer.fetches, _cache_entries()
        self._caplog.clear()

        response = self.request_with_header(authorization, path)

        assert response.status_code == 401, response.content
        body = response.json()
        assert body.keys() == {"detail", "code"}
        assert body["code"] in CODES & set(codes), body
        assert read_refusal(response.headers["WWW-Authenticate"]) == body["detail"]
        assert self.issuer.fetches == fetches
        assert _cache_entries() == entries
        self.assert_nothing_logged_as_an_error()
        told = response.serialize().decode("latin-1") + self.log()
        for secret in hidden:
            assert len(secret) < _SHORTEST_SECRET or secret not in told

    def assert_nothing_logged_as_an_error(self) -> None:
        """No record is worse than a warning, and none has a traceback."""
        for record in self._caplog.records:
            assert record.levelno < logging.ERROR, record
            assert not record.exc_info, record

    def log(self) -> str:
        """All that was logged, as a handler writes it."""
        return "\n".join(
            map(logging.Formatter("%(name)s %(message)s").format, self._caplog.records)
        )


def _cache_entries() -> set[str]:
    """The keys in the cache, of which no token may make one."""
    return set(caches["default"]._cache)  # type: ignore[attr-defined]  # of LocMemCache
