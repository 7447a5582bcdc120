"""Directives that generate parts of the reference from the code.

They produce everything that could differ from the code. The prose is in the documents.
"""
# ruff: noqa: INP001 - Sphinx finds it by its path.

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

import jwtauth
from jwtauth.exceptions import KeysUnavailable
from jwtauth.responses import InsufficientScope

if TYPE_CHECKING:
    from argparse import Action
    from collections.abc import Iterable, Iterator

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

PACKAGE: Final = Path(jwtauth.__file__).parent
ROOT: Final = Path(__file__).parents[2]

STATUSES: Final = {"insufficient_scope": 403, KeysUnavailable.code: 503}
"""The HTTP status of responses with these codes. All others are 401."""

OFTEN: Final = 3
"""The search finds a page by an HTTP status that the page mentions this many times."""

_PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "docs/how-to/compromised-key.md": "how-to/compromised-key.md",
    "docs/why/mutants.md": "why/mutants.md",
}


class Generated(SphinxDirective):
    """A directive that generates Markdown."""

    def read(self, *lines: str) -> list[nodes.Node]:
        """Parse these lines in the place of the directive."""
        source, number = self.get_source_info()
        text = StringList([], source)
        for line in lines:
            text.append(line, source, number)
        found = nodes.Element()
        self.state.nested_parse(text, self.content_offset, found, match_titles=True)
        return [*found.children]


class Refusal(Generated):
    """``{refusal} code``: the HTTP status and the messages of this code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a paragraph."""
        code = self.arguments[0]
        said = " ".join(f"*{message}*" for message in messages()[code])
        return self.read(f"Status {STATUSES.get(code, 401)}. {said}")


class Check(Generated):
    """``{check} id meaning``: a system check. The content says what to do."""

    required_arguments = 2
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return an item of a definition list."""
        check_id, meaning = self.arguments
        first, *more = self.content
        return self.read(f"`{check_id}`: {meaning}", f": {first}", *(f"  {line}" for line in more))


class Command(Generated):
    """``{command} name``: the help text and the options of a command."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the help text and a table of options."""
        name = self.arguments[0]
        text = load_command_class("jwtauth", name).create_parser("", name).description or ""
        rows = [(f"`{_written(option)}`", str(option.help)) for option in options_of(name)]
        return [
            nodes.literal_block(text, text, language="text"),
            *self.read(*table("option", "does", rows=rows)),
        ]


class Page(Generated):
    """``{page} FILE``: a document from the root of the repository.

    The title is left out, because the page has its own.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the document. Links to other such documents lead to their pages."""
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        text = path.read_text("utf-8").partition("\n")[2]
        for name, page in _PAGES.items():
            text = text.replace(f"]({name})", f"]({page})")
        return self.read(*text.splitlines())


def options_of(command: str) -> list[Action]:
    """Return the options of this command, without the options of every Django command."""
    everybodys = {action.dest for action in BaseCommand().create_parser("", "")._actions}  # noqa: SLF001 - argparse has no other way.
    parser = load_command_class("jwtauth", command).create_parser("", command)
    return [action for action in parser._actions if action.dest not in everybodys]  # noqa: SLF001


@cache
def messages() -> dict[str, list[str]]:
    """Return the messages of each code, as they are written in the source."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for call in calls_of("TokenError"):
        code, message = (*map(text_of, call.args), None, None)[:2]
        if code and message and message not in found[code]:
            found[code].append(message)
    found[KeysUnavailable.code] = [str(KeysUnavailable.message)]
    scope: Any = InsufficientScope(()).detail
    found[str(scope["code"])] = [str(scope["detail"])]
    return dict(found)


def calls_of(name: str) -> Iterator[ast.Call]:
    """Yield every call of a function or class with this name in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                if getattr(function, "id", None) == name or getattr(function, "attr", None) == name:
                    yield node


def text_of(node: ast.expr) -> str | None:
    """Return the text of a literal argument. Placeholders become ``…``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    if isinstance(node, ast.Call) and len(node.args) == 1:  # gettext or a variant.
        return text_of(node.args[0])
    return None


def table(*header: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _written(option: Action) -> str:
    metavar = (option.metavar,) if isinstance(option.metavar, str) else ()
    return " ".join((*option.option_strings, *metavar))


def _mark_code(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Turn the indented blocks of a docstring into code. Docutils would make them quotations."""
    for number, line in reversed([*enumerate(lines)]):
        before = lines[number - 1] if number else "x"
        if line.startswith("    ") and not before.strip():
            paragraph = next((each for each in reversed(lines[:number]) if each.strip()), "")
            if not paragraph.startswith("    ") and not paragraph.endswith("::"):
                lines[number:number] = ["::", ""]


def _index_statuses(app: Sphinx, doctree: nodes.document) -> None:
    """Add HTTP statuses to the index, because Sphinx's search ignores other numbers.

    It finds the page of codes first, then the pages that mention the status often.
    """
    mentioned = Counter(re.findall(r"\b(?:401|403|503)\b", doctree.astext()))
    main = "main" if app.env.docname == "reference/codes" else ""
    for section in [*doctree.findall(nodes.section)][:1]:
        target = section["ids"][0]
        entries = [("single", s, target, main, None) for s, n in mentioned.items() if n >= OFTEN]
        section.insert(1, addnodes.index(entries=entries))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives with Sphinx."""
    app.add_directive("refusal", Refusal)
    app.add_directive("check", Check)
    app.add_directive("command", Command)
    app.add_directive("page", Page)
    app.connect("autodoc-process-docstring", _mark_code)
    app.connect("doctree-read", _index_statuses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
