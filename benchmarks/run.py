"""Run the benchmarks, in an environment that is made for them, and write the tables of the docs.

This works from a fresh clone: it creates ``benchmarks/.venv`` and installs ``requirements.txt``.
The tables go to ``docs/performance/tables/``, or to ``benchmarks/results/`` with ``--quick``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
VENV: Final = HERE / ".venv"
PYTHON: Final = VENV / "bin" / "python"
RESULTS: Final = HERE / "results"
TABLES: Final = HERE.parent / "docs" / "performance" / "tables"
SCRIPTS: Final = {
    "micro": "micro.py",
    "requests": "whole_request.py",
    "growth": "growth.py",
    "process": "process.py",
    "key_source": "key_source.py",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the short form, for a first look")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, help="some parts")
    arguments = parser.parse_args()
    install()
    options: list[str | Path] = (
        ["--quick", "--tables", RESULTS] if arguments.quick else ["--tables", TABLES]
    )
    # Compiled once, so that each process starts at the same cost.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    failed = []
    for name in arguments.only:
        print(f"\n# {name}", flush=True)
        began_at = time.monotonic()
        done = subprocess.run(
            [PYTHON, HERE / SCRIPTS[name], *options], env=environment, check=False
        )
        print(f"\n({name} took {time.monotonic() - began_at:.0f} s)", flush=True)
        if done.returncode:
            failed.append(name)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


def install() -> None:
    """Create the environment, or update it if the requirements changed."""
    requirements = HERE / "requirements.txt"
    lists = [requirements, HERE.parent / "pyproject.toml"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest()
    stamp = VENV / "installed.txt"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print("Installing the requirements of the benchmarks ...", flush=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "-r", requirements]
    # pip resolves "-e ." against the folder that it runs in.
    subprocess.run(command, check=True, cwd=HERE.parent)
    stamp.write_text(digest)


if __name__ == "__main__":
    main()
