"""``python -m aptnn_md``, and what it tells the libraries that it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.processes import environment

import aptnn_md


def test_the_package_can_be_run() -> None:
    command = [sys.executable, "-m", "aptnn_md", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    assert aptnn_md.__version__ in said.stdout


@pytest.mark.parametrize(
    ("asked", "used"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")]
)
def test_waiting_threads_sleep_unless_one_wants_them_awake(
    asked: dict[str, str], used: str
) -> None:
    # OpenMP itself says what it has read, when torch loads it
    said = subprocess.run(
        [sys.executable, "-m", "aptnn_md", "info", "water-apt"],
        capture_output=True,
        text=True,
        env=environment(OMP_DISPLAY_ENV="true", **asked),
        check=True,
    )
    assert f"OMP_WAIT_POLICY = '{used}'" in said.stderr
