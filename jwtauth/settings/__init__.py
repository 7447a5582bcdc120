"""The setting ``JWTAUTH``: its keys, their validation, and the typed settings that code reads."""

from .loader import get_settings, read_settings
from .schema import IssuerSettings, Settings, meta_key

__all__ = ["IssuerSettings", "Settings", "get_settings", "meta_key", "read_settings"]
