"""The content of wheel and sdist, and a project with the installed wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import jwtauth
from jwtauth.testing import LoopbackIssuer

from .new_project import README_AUDIENCE, ReadmeProject
from .readme import ROOT

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
_EPOCH = str(2**30)
"""The date of every file in a wheel, in seconds; any date that a ZIP archive can store."""


def build_wheel(source: Path, target: Path) -> Path:
    """Build a wheel with the installed setuptools, without a download."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir")
    subprocess.run(
        [*_PIP, "wheel", *options, target, source],
        check=True,
        capture_output=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": _EPOCH},
    )
    (wheel,) = target.glob("*.whl")
    return wheel


def package_files() -> set[str]:
    """Return the paths of the distributed files: the package, and the pytest fixtures."""
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "jwtauth").rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    return package | {"pytest_jwtauth.py"}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree to build in the copy: a build writes files, and other tests read the tree.

    The copies have the modes of new files, as in an sdist that pip unpacks.
    """
    copy = tmp_path_factory.mktemp("source")
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copyfile(path, copy / path.name)
    for name in ("jwtauth", "examples", "project", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored, copy_function=shutil.copyfile)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def test_what_is_tested_is_what_is_installed() -> None:
    """Compare this process with a program that runs in the folder of the project."""
    copied = Path(str(metadata.distribution("drf-zuplo-jwt").locate_file("jwtauth")))
    # An editable installation has no copy, and is the tree.
    installed = next(each for each in (copied, ROOT / "jwtauth") if each.is_dir())
    program = [sys.executable, "-c", "import jwtauth; print(jwtauth.__file__)"]
    of_program = subprocess.run(program, cwd=ROOT, check=True, capture_output=True, text=True)

    for imported in (jwtauth.__file__, of_program.stdout):
        assert Path(imported).parent == installed


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_license_and_nothing_else(wheel: Path) -> None:
    package = package_files()
    metadata = {
        *("METADATA", "RECORD", "WHEEL", "licenses/LICENSE"),
        *("entry_points.txt", "top_level.txt"),
    }

    name, version, *_tags = wheel.name.split("-")
    assert contents(wheel).keys() == package | {
        f"{name}-{version}.dist-info/{file}" for file in metadata
    }
    assert "jwtauth/py.typed" in package


@pytest.mark.slow
def test_the_sdist_holds_no_tests_and_builds_the_same_wheel_octet_by_octet(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-c", _SDIST, tmp_path], cwd=source, check=True, capture_output=True
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {file.name.partition("/")[2] for file in archive if not file.isdir()}

    metadata = {name for name in files if name.startswith("drf_zuplo_jwt.egg-info/")}
    assert files - metadata == package_files() | {
        *("CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md"),
        *("MANIFEST.in", "PKG-INFO", "pyproject.toml", "setup.cfg"),
    }
    built = build_wheel(sdist, tmp_path)
    assert contents(built) == contents(wheel)
    assert built.read_bytes() == wheel.read_bytes()


@pytest.mark.slow
def test_the_installed_wheel_serves_a_new_project_with_the_three_settings(
    wheel: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [*_PIP, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
    )
    # The dependencies of this environment, without the tree that it has in place of the wheel:
    # a path in a .pth file is searched for modules, not for more of such files.
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    directory = tmp_path / "project"
    directory.mkdir()

    with LoopbackIssuer(["EdDSA", "RS256"]) as issuer:
        project = ReadmeProject(directory, issuer=issuer.url, python=str(python))
        imported = project.run("-c", "import jwtauth; print(jwtauth.__file__)")
        assert imported.startswith(str(site_packages))
        project.run("manage.py", "check", "--fail-level", "WARNING")
        answers = project.get_protected(
            "",
            issuer.token(aud=README_AUDIENCE, algorithm="EdDSA"),
            issuer.token(aud=README_AUDIENCE, algorithm="RS256"),
            issuer.token(aud=README_AUDIENCE, lifetime=-1),
        )

    assert [status for status, _challenge, _body in answers] == [401, 200, 200, 401]
    assert answers[1][2]["message"] == "Access granted"
    assert answers[1][2]["user"]["iss"] == issuer.url
    assert answers[3][2]["code"] == "token_expired"
    assert issuer.fetches == 1
