"""What can go wrong with a token, and with the keys to judge it by."""

from __future__ import annotations

from math import ceil


def gettext_noop(message: str) -> str:
    """Mark a message for ``makemessages``, which looks for this name; here, Django is unknown."""
    return message


class TokenError(Exception):
    """A token was refused.

    ``code`` is stable and meant for programs, the message is meant for people. Neither holds any
    part of the token, of a key or of the configuration.

    ``issuer`` is the URL of the trusted issuer that the token is of, where that is known.
    ``claimed_issuer`` is the ``iss`` of a token whose issuer is not trusted: a stranger's text, for
    logs only.
    ``unexpected`` is the name of an exception that nobody foresaw, where the token was refused
    because of one.
    """

    issuer: str | None = None
    claimed_issuer: str | None = None
    unexpected: str | None = None

    def __init__(self, code: str, message: str) -> None:
        # The arguments are kept by Exception.__new__() already.
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class KeysUnavailable(Exception):  # noqa: N818 - the name is part of the public contract.
    """The key that a token names could not be looked up: nothing is known against the token.

    ``retry_after`` is in whole seconds, at least 1, as HTTP's ``Retry-After`` wants it. ``issuer``
    is as that of ``TokenError``.
    """

    issuer: str | None = None

    code = "keys_unavailable"
    message: str = gettext_noop("The keys to verify this token are not available at the moment.")

    def __init__(self, retry_after: float = 1) -> None:
        super().__init__(retry_after)
        self.retry_after: int = max(1, ceil(retry_after))

    def __str__(self) -> str:
        return self.message
