"""``pip install`` of the lowest versions that pyproject.toml allows, whatever else is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
bounds = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]

with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
    for bound in bounds:
        # A constraint knows no extras.
        name, version = re.sub(r"\[.*\]", "", bound).split(">=")
        print(f"{name}=={version}", file=constraints)
    constraints.flush()
    pip = [sys.executable, "-m", "pip", "install", "--constraint", constraints.name]
    sys.exit(subprocess.run([*pip, *sys.argv[1:]], check=False).returncode)
