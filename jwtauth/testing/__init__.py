"""The testing kit: an issuer of your own, in memory or over real HTTP on loopback.

It works under pytest and under plain ``unittest``. Nothing but ``JWTClient`` needs Django.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .issuer import Issuer
from .keys import SigningKey
from .loopback import LoopbackIssuer

__all__ = ["Issuer", "JWTClient", "LoopbackIssuer", "SigningKey"]

if TYPE_CHECKING:
    from .client import JWTClient
else:  # A checker that saw this would take any name for one of ours.

    def __getattr__(name: str) -> Any:
        # Looked up late: Django REST Framework's test client reads Django's settings when imported.
        if name == "JWTClient":
            from .client import JWTClient  # noqa: PLC0415

            return JWTClient
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
