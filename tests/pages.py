"""Parse the pages of ``docs/``: their sections, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from .readme import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS: Final = ROOT / "docs"

_FENCE = re.compile(r"```(?P<language>[\w{}-]*)(?P<argument>.*)")
_FILE = re.compile(r"# ((?:\w+/)*\w+\.py)\n")
_NOT_RUN = re.compile(r"<!-- not run: .+ -->")


class Block(NamedTuple):
    """A fenced code block. ``file`` is the name in the first line of a Python block."""

    language: str
    argument: str
    text: str
    file: str | None
    is_marked: bool

    @property
    def is_test(self) -> bool:
        """Whether the block belongs to a test module."""
        return bool(self.file and re.search(r"(^|/)(tests|test_\w+)\.py$", self.file))


@dataclass
class Section:
    """The blocks under one heading. The first section of a page has no title."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    def of(self, language: str) -> list[Block]:
        """Return the blocks of one language."""
        return [block for block in self.blocks if block.language == language]


class Page:
    """A document; ``name`` is its path below ``docs/``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (DOCS / name).read_text("utf-8")
        self.sections = [Section("")]
        self._parse()

    def __repr__(self) -> str:
        return self.name

    def of(self, language: str) -> list[Block]:
        """Return all blocks of one language."""
        return [block for section in self.sections for block in section.of(language)]

    def _parse(self) -> None:
        lines = iter(self.text.splitlines())
        is_marked = False
        for line in lines:
            if line.startswith("## "):
                self.sections.append(Section(line.removeprefix("## ")))
            elif opened := _FENCE.fullmatch(line):
                text = "".join(f"{each}\n" for each in iter(lambda: next(lines), "```"))
                name = _FILE.match(text) if opened["language"] == "python" else None
                self.sections[-1].blocks.append(
                    Block(
                        opened["language"].strip("{}"),
                        opened["argument"].strip(),
                        text,
                        name[1] if name else None,
                        is_marked,
                    )
                )
            is_marked = bool(_NOT_RUN.fullmatch(line)) or (is_marked and not line)


def names() -> list[str]:
    """Return the names of all documents."""
    found = (path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
    return sorted(str(path) for path in found if "_build" not in path.parts)


def files_after(page: Page, number: int) -> dict[str, str]:
    """Return the files of a project after the steps of a page up to this section.

    Every page starts from the project of the first steps. Only the tests of this section are
    included: earlier tests may need settings that the section has changed.
    """
    before = [] if page.name == "first-steps.md" else Page("first-steps.md").of("python")
    for section in page.sections[:number]:
        before += section.of("python")
    blocks = [block for block in before if not block.is_test]
    blocks += page.sections[number].of("python")
    return files_of(blocks)


def files_of(blocks: list[Block]) -> dict[str, str]:
    """Join the blocks by the file that they name."""
    texts = [(block.file, block.text) for block in blocks if block.file and not block.is_marked]
    files: dict[str, str] = {}
    for name, text in texts:
        files[name] = files.get(name, "") + f"\n\n{text}"
    return files


def write(files: dict[str, str], directory: Path) -> None:
    """Append these texts to the files in a directory."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
