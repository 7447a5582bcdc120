"""JWT authentication for Django REST Framework behind an API gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["__version__", "averify_token", "verify_token"]

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .verification import averify_token, verify_token
else:  # A checker that saw this would take any name for one of ours.

    def __getattr__(name: str) -> Any:
        # Looked up late: Django imports this package before its settings and apps are ready.
        if name in {"averify_token", "verify_token"}:
            from . import verification  # noqa: PLC0415

            return getattr(verification, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
