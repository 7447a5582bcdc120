"""Write what the code says about each key of ``JWTAUTH`` into ``docs/reference/settings.md``.

Run it after a change of ``jwtauth/settings/schema.py``. A test fails if the page is out of date.
The prose of the page is written by hand.

    .venv/bin/python docs/settings_reference.py
"""
# ruff: noqa: INP001 - A script.

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from jwtauth.settings.schema import KEYS, Key

PAGE: Final = Path(__file__).parent / "reference/settings.md"

_HEADER = "| key | default | per issuer | check |\n| --- | --- | --- | --- |\n"


def updated(text: str) -> str:
    """Return the page with the table and the facts of each key as the code has them."""
    rows = "".join(map(_row, KEYS.values()))
    text = re.sub(
        rf"{re.escape(_HEADER)}(\|.*\n)*", lambda _match: f"{_HEADER}{rows}", text, count=1
    )
    return re.sub(r"(?m)^## (\w+)\n\n(- .+\n)*\n?", lambda match: _heading(KEYS[match[1]]), text)


def _row(key: Key) -> str:
    per_issuer = "yes" if key.per_issuer else "no"
    link = f"[`{key.name}`](#{key.name.lower()})"
    return f"| {link} | {_default(key)} | {per_issuer} | `{key.id}` |\n"


def _heading(key: Key) -> str:
    accepts = key.validate.accepts.replace("*", r"\*")
    return f"## {key.name}\n\n- **Default:** {_default(key)}\n- **Must be** {accepts}\n\n"


def _default(key: Key) -> str:
    if key.name == "ISSUER":
        return "none; required, unless `ISSUERS` is set"
    written = repr(key.default).replace("'", '"')
    return f"`{written}`"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text("utf-8")), "utf-8")
