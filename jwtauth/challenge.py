"""The ``WWW-Authenticate`` header (RFC 9110 §11.6.1, RFC 6750 §3)."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^ -~]")


def challenge(scheme: str, **parameters: str) -> str:
    """A challenge of this scheme; every parameter becomes a quoted string that stays one.

    Quotes and backslashes are escaped (RFC 9110 §5.6.4); what is not printable ASCII, line breaks
    among it, becomes a question mark.
    """
    quoted = (f'{name}="{_escape(value)}"' for name, value in parameters.items())
    return f"{scheme} {', '.join(quoted)}"


def _escape(value: str) -> str:
    return _UNSAFE.sub("?", value).replace("\\", "\\\\").replace('"', '\\"')
