"""Runs the benchmarks, each in a process of its own, in an environment of their own.

From a fresh clone this is all it takes. It makes ``benchmarks/.venv`` where that is missing,
installs what ``requirements.txt`` and ``node/package-lock.json`` name, writes what was found to
``benchmarks/results/`` as JSON, and ends with the table of goals. Times never make it fail.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from report import Goal, goals_table

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = Path(__file__).parent
VENV: Final = HERE / ".venv"
PYTHON: Final = VENV / "bin" / "python"
RESULTS: Final = HERE / "results"
PLOTS: Final = HERE.parent / "docs" / "performance"
SCRIPTS: Final = {
    "micro": "micro.py",
    "middleware": "middleware.py",
    "growth": "growth.py",
    "memory": "memory.py",
    "ed25519": "ed25519.py",
    "http": "http_load.py",
    "line_profile": "line_profile.py",
    "key_source": "key_source.py",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short form, for CI")
    parser.add_argument("--only", default=",".join(SCRIPTS), help="names, separated by commas")
    parser.add_argument("--plots", action="store_true", help="draw the plots of the docs as well")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := set(names) - SCRIPTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    prepare(with_node="http" in names)
    failed = [name for name in names if not run(name, quick=arguments.quick)]
    if arguments.plots:
        subprocess.run([PYTHON, HERE / "plots.py", RESULTS, PLOTS], check=True)
    print(f"\nGoals\n\n{goals_table(goals(names))}")
    if failed:
        sys.exit(f"Crashed: {', '.join(failed)}")


def prepare(*, with_node: bool) -> None:
    """Install what is missing or out of date."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    requirements = HERE / "requirements.txt"
    # pip resolves "-e ." against the folder that it runs in.
    install([PYTHON, "-m", "pip", "install", "--quiet", "-r", requirements], HERE.parent, VENV)
    if not with_node:
        return
    if shutil.which("npm"):
        install(["npm", "ci", "--silent"], HERE / "node", HERE / "node" / "node_modules")
    else:
        print("npm is not installed: Node.js is left out.")


def install(command: Sequence[str | Path], folder: Path, target: Path) -> None:
    """Run a command, unless it ran before with the same lists of packages."""
    lists = [HERE / "requirements.txt", HERE.parent / "pyproject.toml"]
    if folder == HERE / "node":
        lists = [folder / "package-lock.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest()
    stamp = target / "installed.txt"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print("Installing:", *(str(word) for word in command[1:4]), "...", flush=True)
    subprocess.run(command, check=True, cwd=folder)
    stamp.write_text(digest)


def run(name: str, *, quick: bool) -> bool:
    """Run one benchmark; whether it came to its end."""
    print(f"\n# {name}", flush=True)
    began_at = time.monotonic()
    result = RESULTS / f"{name}.json"
    result.unlink(missing_ok=True)
    command: list[str | Path] = [PYTHON, HERE / SCRIPTS[name], "--json", result]
    if quick:
        command.append("--quick")
    # Compiled once, so that starting processes costs each of them the same.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, check=False, env=environment)
    print(f"\n({name} took {time.monotonic() - began_at:.0f} s)", flush=True)
    return done.returncode == 0


def goals(names: Sequence[str]) -> list[Goal]:
    """The goals that these benchmarks wrote down."""
    found = []
    for name in names:
        path = RESULTS / f"{name}.json"
        if path.is_file():
            for written in json.loads(path.read_text())["goals"]:
                written.pop("verdict")
                found.append(Goal(**written))
    return found


if __name__ == "__main__":
    main()
