"""How an issuer answers a request for one of its documents, faults included."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PADDING: Final = b" " * 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer over HTTP; without arguments, that of a healthy issuer.

    Each field is one fault, and they combine:

        Answer(status=500)
        Answer(status=302, headers={"Location": "http://127.0.0.1:1/"})
        Answer(body=b"<html>")
        Answer(body={"keys": []})
        Answer(size=200_000_000)  # 200 MB, of which nothing is held in memory
        Answer(body_pause=0.1)  # ten bytes a second
    """

    status: int = 200

    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Added to the usual ones or, by the same name in any case, in place of them; ``None`` leaves
    one out. Without ``Content-Length`` the body ends where the connection does."""

    body: Any = None
    """``None`` for the issuer's document. ``bytes`` are sent as they are, all else as JSON."""

    size: float = 0
    """The least number of bytes of the body, which is filled up with spaces and so stays valid
    JSON. ``math.inf`` never ends."""

    delay: float = 0
    """Seconds before the first byte."""

    header_pause: float = 0
    """Seconds after each byte of the status line and the headers."""

    body_pause: float = 0
    """Seconds after each byte of the body."""

    reset_after: int | None = None
    """Bytes of the body after which the connection is reset."""

    def __post_init__(self) -> None:
        # Now, so that a value which is no JSON fails in the test that wrote it.
        if self.body is not None and not isinstance(self.body, bytes):
            object.__setattr__(self, "body", json.dumps(self.body).encode())

    def length(self, body: bytes) -> float:
        """The number of bytes that ``chunks(body)`` has."""
        return max(self.size, len(body))

    def chunks(self, body: bytes) -> Iterator[bytes]:
        """``body`` filled up to ``size``."""
        yield body
        remaining = self.size - len(body)
        while remaining > 0:
            chunk = _PADDING[: int(min(remaining, len(_PADDING)))]
            yield chunk
            remaining -= len(chunk)
