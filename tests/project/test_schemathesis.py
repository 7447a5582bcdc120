"""The demo's API against its own description: no answer that is not described, and no 500."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .demo import environment

if TYPE_CHECKING:
    from .demo import Demo

SCHEMATHESIS = Path(sysconfig.get_path("scripts"), "schemathesis")
OPTIONS = [
    "--checks=all",
    # Which kids there are is nothing that a description can say: most that it allows are wrong.
    "--exclude-checks=positive_data_acceptance",
    "--max-examples=30",
    "--seed=1",
    "--generation-database=none",
    "--suppress-health-check=all",
    "--no-color",
]


@pytest.mark.slow
@pytest.mark.parametrize("token", ["none", "good"])
def test_every_answer_is_described(demo: Demo, tmp_path: Path, token: str) -> None:
    options = list(OPTIONS)
    if token == "good":
        options.append(f"--header=Authorization: Bearer {demo.token()}")

    done = subprocess.run(
        [SCHEMATHESIS, "run", f"{demo.url}schema/", *options],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 selected / 2 total" in done.stdout
    denied = "Authentication failed: 1 operation returned only 401/403 responses"
    assert (denied in done.stdout) == (token == "none")
