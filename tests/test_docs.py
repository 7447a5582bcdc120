"""The statements of the documentation are true, its snippets work, and the site can be built."""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import inspect
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from types import ModuleType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.dispatch import Signal

import jwtauth.testing
from jwtauth import (
    authentication,
    decorators,
    exceptions,
    middleware,
    permissions,
    signals,
    users,
)
from jwtauth.keys.state import LOG_MESSAGES
from jwtauth.responses import www_authenticate
from jwtauth.settings.checks import check_deployment
from jwtauth.settings.loader import validate
from jwtauth.settings.schema import KEYS
from jwtauth.testing import SigningKey
from tests.faults import Answer, FaultyIssuer

from .jwtauth_settings.reading import check_ids
from .keys.certificates import Authority
from .management.running import run
from .new_project import own_environment
from .pages import DOCS, Page, files_after, names, write
from .readme import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

ELSEWHERE = {
    "observability.md": "tests/test_docs_observability.py",
    "openapi.md": "tests/test_docs_openapi.py",
    "testing.md": "tests/testing/test_docs_testing.py",
}
"""Pages whose Python blocks are run by other test modules."""

NOT_RUN = 0
"""The number of Python blocks that a comment marks as not run."""

PAGES = [Page(name) for name in names()]
OURS = [page for page in PAGES if page.name not in ELSEWHERE]


def _sections(*, run: bool) -> list[tuple[Page, int]]:
    """Return the sections to run: sections with tests, and the last one with code of each page.

    With ``run=False``, return the other sections that contain settings.
    """
    found = []
    for page in OURS:
        numbers = [n for n, section in enumerate(page.sections) if section.of("python")]
        for number in numbers:
            files = {block.file for block in page.sections[number].of("python")}
            is_run = any(block.is_test for block in page.sections[number].of("python")) or (
                number == numbers[-1] and files != {SETTINGS}
            )
            if is_run if run else (SETTINGS in files and not is_run):
                found.append((page, number))
    return found


SETTINGS = "shop/settings.py"

PROBE = """
import importlib

import pytest
from django.core.management import call_command
from django.urls import get_resolver

MODULES = {modules!r}


def test_checks_find_nothing():
    call_command("check", "--fail-level", "WARNING")


@pytest.mark.parametrize("module", MODULES)
def test_module_is_imported(module):
    importlib.import_module(module)


def test_urls_lead_to_views():
    assert get_resolver().url_patterns
"""

LOOK = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"

import django

django.setup()

from django.test import Client

answer = Client(headers={"host": "localhost"}).get("/orders/")
print("HTTP/1.1", answer.status_code, answer.reason_phrase)
print("WWW-Authenticate:", answer["WWW-Authenticate"])
print(answer.content.decode())
"""

LOADED = r'<(?:script|img|link)[^>]+(?:src|href)="https?:'
"""Files that a browser would load from another host."""


def page(name: str) -> Page:
    (found,) = [each for each in PAGES if each.name == name]
    return found


def executed(of: Page, number: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the settings after this section."""
    files = files_after(of, number)
    for name, module in re.findall(r"^from (shop\.(\w+)) import", files[SETTINGS], re.MULTILINE):
        imported = ModuleType(name)
        exec(files[f"shop/{module}.py"], vars(imported))
        monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
        monkeypatch.setitem(sys.modules, name, imported)
    namespace: dict[str, Any] = {
        "INSTALLED_APPS": [],
        "MIDDLEWARE": [],
        "CACHES": {"default": {}},
    }
    exec(files[SETTINGS], namespace)
    return namespace


def matches(text: str, pattern: str) -> bool:
    """Whether the text matches the pattern, in which ``…`` matches anything."""
    escaped = re.sub(r"([\[*?])", r"[\1]", pattern.strip())
    return fnmatch.fnmatchcase(text.strip(), escaped.replace("…", "*"))


@pytest.fixture(scope="module")
def source() -> ModuleType:
    """Import the Sphinx extension, which reads the source of the package."""
    spec = importlib.util.spec_from_file_location("from_code", DOCS / "_ext/from_code.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_python_block_is_run_or_says_why_not() -> None:
    blocks = [block for page in OURS for block in page.of("python")]

    assert [block.text for block in blocks if not block.file and not block.is_marked] == []
    assert sum(block.is_marked for block in blocks) == NOT_RUN
    for name, test in ELSEWHERE.items():
        assert page(name).of("python")
        assert f"docs/{name}" in (ROOT / test).read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), _sections(run=True), ids=str)
def test_who_follows_a_page_has_a_project_that_works(
    page: Page, number: int, tmp_path: Path
) -> None:
    section = page.sections[number]
    blocks = section.of("python")
    assert sum(block.text.count("JWTAUTH = ") for block in blocks) <= 1
    files = files_after(page, number)
    modules = [
        name.removesuffix(".py").replace("/", ".") for name in files if name.startswith("shop/")
    ]
    call_command("startproject", "shop", tmp_path)
    write(files, tmp_path)
    write({"test_probe.py": PROBE.format(modules=modules)}, tmp_path)
    write(
        {
            "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = shop.settings\n"
            "python_files = tests.py test_*.py\nfilterwarnings = error\n"
        },
        tmp_path,
    )

    plugins = ("asyncio", "cacheprovider", "randomly", "schemathesis", "xdist")
    without = [option for name in plugins for option in ("-p", f"no:{name}")]
    output = python(tmp_path, "-m", "pytest", "-q", "--no-migrations", *without)

    tests = sum(len(re.findall(r"def test_", block.text)) for block in blocks if block.is_test)
    passed = re.search(r"^(\d+) passed in", output, re.MULTILINE)
    assert passed, output
    assert int(passed[1]) >= tests + 2 + len(modules)


def python(directory: Path, *arguments: str) -> str:
    """Run Python in the project, with warnings as errors; return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=directory,
        env=own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(("page", "number"), _sections(run=False), ids=str)
def test_settings_of_a_page_are_right(
    page: Page, number: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = executed(page, number, monkeypatch)

    for value in namespace.values():
        if isinstance(value, dict) and {"ISSUER", "ISSUERS"} & value.keys():
            settings.CACHES = namespace["CACHES"]
            _settings, problems = validate(value)
            assert problems == []


def test_caches_of_the_page_can_be_shared(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = page("how-to/caches.md")
    for number, section in enumerate(found.sections):
        if section.of("python"):
            namespace = executed(found, number, monkeypatch)
            settings.CACHES, settings.JWTAUTH = namespace["CACHES"], namespace["JWTAUTH"]
            assert [*check_deployment()] == []


@pytest.mark.slow
def test_first_steps_print_what_the_page_shows(tmp_path: Path) -> None:
    steps = page("first-steps.md")
    by_title = {section.title: section for section in steps.sections}
    lines = [line for block in steps.of("console") for line in block.text.splitlines()]
    assert "django-admin startproject shop ." in lines
    python(tmp_path, "-m", "django", "startproject", "shop", ".")
    write(files_after(steps, [*by_title].index("The first test")), tmp_path)

    for title, command in (("Three settings", "check"), ("The first test", "test")):
        (shown,) = by_title[title].of("text")
        assert f"python manage.py {command}" in lines
        assert matches(python(tmp_path, "-u", "manage.py", command), shown.text)
    answer = python(tmp_path, "-c", LOOK)
    (shown,) = by_title["Call the view"].of("text")
    for line in shown.text.splitlines():
        assert line == "…" or line in answer


def test_commands_in_console_blocks_can_be_given() -> None:
    known = get_commands()
    seen = set()
    for page in PAGES:
        for line in (line for block in page.of("console") for line in block.text.splitlines()):
            if "manage.py" not in line:
                assert re.match(
                    r"python3? -m|pip |curl |mkdir |django-admin |\S*python3? benchmarks/\w+.py",
                    line,
                ), line
                continue
            _before, _, arguments = line.partition("manage.py ")
            name, *rest = shlex.split(arguments.partition(" < ")[0])
            seen.add(name)
            if name in known:
                app = known[name]
                command = load_command_class(app, name) if isinstance(app, str) else app
                command.create_parser("manage.py", name).parse_args(rest)
    assert seen >= {name for name, app in known.items() if app == "jwtauth"}


@pytest.fixture
def gateway(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyIssuer]:
    """An issuer with TLS and one key, and a cache that can be shared."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    context = authority.server_context("127.0.0.1")
    with FaultyIssuer(ssl_context=context, trusted=False) as issuer:
        issuer.keys = [SigningKey.generate()]
        settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": "https://backend.example.com"}
        settings.CACHES = {"default": {"BACKEND": "tests.management.caches.SharedCache"}}
        yield issuer


def test_commands_print_what_the_page_shows(gateway: FaultyIssuer, settings: Settings) -> None:
    shown = [block.text for block in page("how-to/commands.md").of("text")]
    token = gateway.token(sub="alice", aud="https://another.example.com")

    def printed(name: str) -> str:
        options = {"stdin": io.StringIO(token)} if name == "jwtauth_explain" else {}
        result = run(name, **options)
        text = result.out + (f"CommandError: {result.error}\n" if result.error else "")
        for ours, theirs in (
            (gateway.url, "https://my-api.zuplo.app/__zuplo/issuer"),
            ("tests.management.caches.SharedCache", "django.core.cache.backends.redis.RedisCache"),
        ):
            text = text.replace(ours, theirs)
        return text

    refreshed = printed("jwtauth_refresh")
    checked = printed("jwtauth_check")
    explained = printed("jwtauth_explain")
    gateway.jwks_answer = Answer(status=503)
    failed = printed("jwtauth_check")
    gateway.jwks_answer = Answer()
    settings.JWTAUTH = {"ISSUER": f"{gateway.url}/"}
    slash = printed("jwtauth_check")

    for text, pattern in zip((checked, slash, failed, refreshed, explained), shown, strict=True):
        assert matches(text, pattern), text


def test_every_key_has_its_section() -> None:
    settings_page = page("reference/settings.md")

    assert sorted(section.title for section in settings_page.sections[1:]) == sorted(KEYS)


def test_settings_page_says_what_the_code_says() -> None:
    script = runpy.run_path(str(DOCS / "settings_reference.py"))
    text = page("reference/settings.md").text

    assert script["updated"](text) == text, "Run docs/settings_reference.py."
    for key in KEYS.values():
        assert f"| [`{key.name}`](#{key.name.lower()}) |" in text
        assert f"## {key.name}\n\n- **Default:** " in text


def test_every_code_has_its_section(source: ModuleType) -> None:
    codes_page = page("reference/codes.md")
    written = [section.title for section in codes_page.sections if section.of("refusal")]

    assert sorted(written) == sorted(source.messages())
    assert all(source.messages().values())
    for section in codes_page.sections:
        assert [block.argument for block in section.of("refusal")] in ([], [section.title])


def test_every_check_is_on_the_page_once() -> None:
    checks_page = page("reference/checks.md")
    written = [block.argument.split()[0] for block in checks_page.of("check")]

    assert written == sorted(check_ids() - {key.id for key in KEYS.values()})


def test_every_command_is_on_the_page_once() -> None:
    written = [block.argument for block in page("reference/commands.md").of("command")]

    assert sorted(written) == sorted(n for n, app in get_commands().items() if app == "jwtauth")


def test_lines_of_the_log_are_those_of_the_code(source: ModuleType) -> None:
    calls = [
        call
        for level in ("debug", "info", "warning", "error", "exception", "_warn_once")
        for call in source.calls_of(level)
        if ast.unparse(call.func) in {f"logger.{level}", "_warn_once"}
    ]
    texts = {*LOG_MESSAGES.values(), *(source.text_of(call.args[0]) for call in calls)}
    # The function that warns once logs the text that it is called with.
    known = {re.sub(r"%(\(\w+\))?[ds]", "…", text) for text in texts if text is not None}

    assert_same(code_in("how-to/outages.md", "Lines in the log", column=1), known)
    for block in page("how-to/caches.md").of("text"):
        for line in block.text.splitlines():
            assert any(matches(line, each) for each in known), line


def test_reasons_of_failures_are_those_of_the_code(source: ModuleType) -> None:
    calls = [*source.calls_of("FetchError"), *source.calls_of("NoUsableKeyError")]
    known = {source.text_of(call.args[0]) for call in calls}

    assert_same(code_in("how-to/outages.md", "Reasons", column=0), known)


def code_in(name: str, title: str, *, column: int) -> set[str]:
    """Return the code in one column of the table in a section."""
    (section,) = re.findall(rf"(?ms)^## {title}\n(.*?)^## ", page(name).text)
    _header, _line, *rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return {text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[column])}


def assert_same(examples: set[str], patterns: set[str]) -> None:
    """Check that every pattern has an example, and every example a pattern."""
    unmatched = {each for each in patterns if not any(matches(x, each) for x in examples)}
    unknown = {each for each in examples if not any(matches(each, x) for x in patterns)}

    assert (unmatched, unknown) == (set(), set())


def test_pages_name_no_key_of_jwtauth_that_there_is_not() -> None:
    for page in PAGES:
        named = re.findall(r"JWTAUTH\[\"(\w+)\"\]|`(JWKS_\w+|TOKEN_\w+_SIZE)`", page.text)
        for key in {left or right for left, right in named}:
            assert key in KEYS, (page, key)


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert code_in("install.md", "Extras", column=0) == project["optional-dependencies"].keys()


def test_no_page_installs_a_package_that_is_not_published() -> None:
    """How to install is said in one place, which needs a checkout or a wheel."""
    for each in PAGES:
        for command in re.findall(r"pip install ([^`\n]+)", each.text):
            if "drf-zuplo-jwt" in command:
                assert each.name in {"install.md", "first-steps.md"}
                assert "drf-zuplo-jwt/" in command


def test_map_names_modules_that_there_are() -> None:
    package = ROOT / "jwtauth"
    named = re.findall(r"`([\w/]+\.py)`", page("why/map.md").text)
    assert named
    assert [name for name in named if not (package / name).is_file()] == []

    modules = {path.stem for path in package.rglob("*.py")}
    picture = ET.parse(DOCS / "why/decisions.svg")
    drawn = picture.findall(".//{*}text[@class='mono']")
    assert drawn
    for each in drawn:
        assert modules >= set((each.text or "").split(", "))


@pytest.mark.parametrize("path", sorted(DOCS.glob("*/*.svg")), ids=lambda path: path.stem)
def test_picture_has_colors_for_the_dark(path: Path) -> None:
    assert "@media (prefers-color-scheme: dark)" in path.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_blocks_of_data_can_be_read(page: Page) -> None:
    for block in page.of("json"):
        json.loads(block.text)
    for block in page.of("toml"):
        tomllib.loads(block.text)
    for block in page.of("ini"):
        ConfigParser().read_string(block.text)


@pytest.mark.slow
def test_site_is_built_without_a_warning_and_has_what_is_public(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path],
        env={name: os.environ[name] for name in os.environ.keys() - {"DJANGO_SETTINGS_MODULE"}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    api = (tmp_path / "reference/api.html").read_text("utf-8")
    public = [
        "jwtauth.verify_token",
        "jwtauth.averify_token",
        *(f"jwtauth.testing.{n}" for n in jwtauth.testing.__all__),
        *(f"jwtauth.users.{n}" for n in ("token_user", "model_user", "ModelUserResolver")),
    ]
    for module in (authentication, decorators, exceptions, middleware, permissions, users):
        public += [
            f"{module.__name__}.{name}"
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
            and (inspect.isclass(value) or module is decorators)
            and not name.startswith("_")
        ]
    for name in public:
        assert f'id="{name}"' in api, name
    page_of_signals = (tmp_path / "reference/signals.html").read_text("utf-8")
    for name, value in vars(signals).items():
        if isinstance(value, Signal):
            assert f'id="jwtauth.signals.{name}"' in page_of_signals
    for path in tmp_path.rglob("*.html"):
        # The site works without a network.
        assert not re.search(LOADED, path.read_text("utf-8")), path


def test_responses_have_the_challenges_that_are_sent() -> None:
    text = page("reference/codes.md").text
    rejected = www_authenticate(error="invalid_token", error_description="…")

    assert f"`WWW-Authenticate: {www_authenticate()}`" in text
    # An ellipsis is not ASCII, and is replaced in the header.
    assert f"`WWW-Authenticate: {rejected.replace('?', '…')}`" in text
