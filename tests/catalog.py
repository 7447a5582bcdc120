"""A catalog of translations, compiled without gettext's own tools."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_catalog(directory: Path, language: str, translations: Mapping[str, str]) -> None:
    """Write an MO file to where Django looks for it in a directory of ``LOCALE_PATHS``."""
    # GNU gettext §10.3: seven numbers, two tables of lengths and offsets, NUL-terminated strings.
    messages = {"": "Content-Type: text/plain; charset=UTF-8\n", **translations}
    names = sorted(messages)
    texts = [*names, *(messages[name] for name in names)]
    count = len(messages)
    numbers = [0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0]
    strings = b""
    for octets in map(str.encode, texts):
        numbers += [len(octets), 28 + 16 * count + len(strings)]
        strings += octets + b"\0"
    path = directory / language / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(struct.pack(f"<{len(numbers)}I", *numbers) + strings)
