"""Exceptions that verifying a token raises.

The authentication classes turn ``TokenError`` into a response with status 401, and
``KeysUnavailable`` into a response with status 503.
"""

from math import ceil


def gettext_noop(message: str) -> str:
    """Mark a message for ``makemessages``, which looks for this name, without importing Django."""
    return message


class TokenError(Exception):
    """A token was rejected.

    ``code`` is stable and meant for programs, ``message`` is meant for people. Neither contains any
    part of the token, of a key or of the configuration.

    ``issuer`` is the URL of the trusted issuer that the token names, if it is known.
    ``claimed_issuer`` is the ``iss`` of a token whose issuer is not trusted. It is a stranger's
    text, so use it in logs only. ``unexpected`` is the name of an unexpected exception that caused
    the rejection, if there was one.
    """

    issuer: str | None = None
    claimed_issuer: str | None = None
    unexpected: str | None = None

    def __init__(self, code: str, message: str) -> None:
        # Exception.__new__() already keeps the arguments.
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class KeysUnavailable(Exception):  # noqa: N818 - the name is part of the public contract.
    """The key of a token could not be determined, so the token may be valid.

    ``retry_after`` is in whole seconds, at least 1, for the header ``Retry-After``. ``issuer`` is
    the URL of the trusted issuer that the token names.
    """

    issuer: str | None = None

    code = "keys_unavailable"
    message: str = gettext_noop("The keys to verify this token are not available at the moment.")

    def __init__(self, retry_after: float = 1) -> None:
        super().__init__(retry_after)
        self.retry_after: int = max(1, ceil(retry_after))

    def __str__(self) -> str:
        return self.message
