"""A testing kit: issuers in memory or over HTTP on loopback, and a client that sends tokens.

It works with pytest and with plain ``unittest``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .issuer import Issuer
from .keys import SigningKey
from .loopback import LoopbackIssuer

__all__ = ["Issuer", "JWTClient", "LoopbackIssuer", "SigningKey"]

if TYPE_CHECKING:
    from .client import JWTClient
else:  # Type checkers would take any name for one of this module.

    def __getattr__(name: str) -> Any:
        # Imported late: Django REST Framework's test client reads Django's settings at import.
        if name == "JWTClient":
            from .client import JWTClient  # noqa: PLC0415

            return JWTClient
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
