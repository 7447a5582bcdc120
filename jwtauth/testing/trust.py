"""How the app comes to trust an issuer inside its ``with`` block: by ``JWTAUTH``, for a while."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from contextlib import ContextDecorator, ExitStack, contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar, cast

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.state import Status
from jwtauth.tokens.jwks import KeySet

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from jwtauth.tokens.jwks import VerificationKey

    from .issuer import Issuer

Function = TypeVar("Function", bound="Callable[..., Any]")

IN_MEMORY: Final = "https://in-memory.invalid/jwks.json"
"""The ``JWKS_URL`` of an issuer in memory: never asked, and at no host that could answer."""

_PLACES: Final = frozenset({"ISSUER", "ISSUERS", "JWKS_URL", "DISCOVERY"})
_MISSING: Final = object()


class Block(ContextDecorator, ABC):
    """A ``with`` block that can be entered anew inside itself, and that functions can be put in."""

    def __init__(self) -> None:
        self._entered: list[ExitStack] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._enter(stack)
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.pop().close()

    def __call__(self, function: Function) -> Function:
        """Decorate a function, or a coroutine function, which then runs in the block."""
        if isinstance(function, type):
            raise TypeError("An issuer decorates functions: call enterContext(issuer) in setUp().")
        if not iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return cast("Function", inside)

    @abstractmethod
    def _enter(self, stack: ExitStack) -> None:
        """Do what the block is for, and have ``stack`` undo it."""


class _Trust(NamedTuple):
    """An issuer that is trusted now: under which URL, and by a change of which settings."""

    issuer: Issuer
    url: str
    jwks_url: str
    holder: Any


_trusts: list[_Trust] = []


def innermost() -> Issuer | None:
    """The issuer of the block that was entered last."""
    return _trusts[-1].issuer if _trusts else None


@contextmanager
def trusted(issuer: Issuer, jwks_url: str) -> Generator[None]:
    """Have the app trust the issuer; where Django's settings are not loaded, there is no app."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        yield
        return
    from jwtauth.verification import keys_in_process  # noqa: PLC0415 - it needs Django.

    trust = _Trust(issuer, issuer.url, jwks_url, conf.settings._wrapped)  # noqa: SLF001 - what override_settings replaces.
    _trusts.append(trust)
    try:
        if jwks_url == IN_MEMORY:
            keys_in_process.setdefault(trust.url, KeysInMemory(trust.url))
        _renew(trust.holder, enter=True)
        yield
    finally:
        _trusts.remove(trust)
        if not any(each.jwks_url == IN_MEMORY for each in _trusts_of(trust.url)):
            keys_in_process.pop(trust.url, None)
        _renew(trust.holder, enter=False)


class KeysInMemory:
    """The keys that the trusted issuers of this URL have at the moment, in place of a KeySource."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._latest = ("", KeySet({"keys": []}))

    def current(self) -> KeySet:
        """The keys. Raises ``KeysUnavailable`` where there is none that could be used."""
        keys = self._keys()
        if not len(keys):
            raise KeysUnavailable
        return keys

    def find(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """What ``current()`` has: there is nobody else to ask."""
        return self.current().select(kid, algorithm)

    def suspect(self) -> None:
        """Nothing to do about it."""

    def status(self) -> Status:
        """As of keys that were fetched just now."""
        number = len(self._keys())
        state = "fresh" if number else "unavailable"
        return Status(self._url, state, 0, number, failures=0, reason=None, retry_in=None)

    refresh = status

    def _keys(self) -> KeySet:
        jwks = [jwk for each in _trusts_of(self._url) for jwk in each.issuer.jwks()["keys"]]
        text, keys = self._latest
        # The same set while it does not change: tokens are remembered by it.
        if (now := json.dumps({"keys": jwks})) != text:
            keys = KeySet.from_text(now, keys)
            self._latest = (now, keys)
        return keys


class _Trusting(dict[str, Any]):
    """A ``JWTAUTH`` made here: the project's own, with the trusted issuers in place of its own."""

    def __init__(self, holder: Any, before: Any) -> None:
        self.holder = holder
        self.before = before
        self.own: Any = before.own if isinstance(before, _Trusting) else before
        own = self.own if isinstance(self.own, dict) else {}
        shared = {key: value for key, value in own.items() if key not in _PLACES}
        entries = {
            each.url: {**_entry(own, each.url), "JWKS_URL": each.jwks_url} for each in _trusts
        }
        if len(entries) == 1:
            ((url, entry),) = entries.items()
            super().__init__(shared | entry | {"ISSUER": url})
        else:
            super().__init__(shared | {"ISSUERS": entries})


def _entry(own: dict[str, Any], url: str) -> dict[str, Any]:
    """What the project says of this issuer alone, if anything."""
    entry = (own.get("ISSUERS") or {}).get(url, {})
    return {key: value for key, value in entry.items() if key not in _PLACES}


def _renew(holder: Any, *, enter: bool) -> None:
    """Write ``JWTAUTH`` anew where issuers were entered, and as it was where none is left.

    Not by ``override_settings``, which must be undone in the order in which it was done: fixtures
    that change settings too are not always undone before the issuer.
    """
    from django import conf  # noqa: PLC0415 - Django may be absent.
    from django.core.signals import setting_changed  # noqa: PLC0415 - likewise.

    settings: Any = conf.settings

    value = current = getattr(holder, "JWTAUTH", _MISSING)
    if isinstance(current, _Trusting) and current.holder is holder:
        value = current.before
    if any(trust.holder is holder for trust in _trusts):
        value = _Trusting(holder, value)
    if value is not _MISSING:
        holder.JWTAUTH = value
    elif current is not _MISSING:
        del holder.JWTAUTH
    settings._wrapped = settings._wrapped  # noqa: SLF001 - as override_settings forgets old values.
    value = getattr(settings, "JWTAUTH", None)
    setting_changed.send(type(settings._wrapped), setting="JWTAUTH", value=value, enter=enter)  # noqa: SLF001 - the sender as there.


def _trusts_of(url: str) -> list[_Trust]:
    return [trust for trust in _trusts if trust.url == url]
