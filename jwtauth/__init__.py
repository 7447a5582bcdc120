"""JWT authentication for Django REST Framework behind an API gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .verification import verify_token

__all__ = ["__version__", "verify_token"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Looked up late: Django imports this package before its settings and apps are ready.
    if name == "verify_token":
        from .verification import verify_token  # noqa: PLC0415

        return verify_token
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
