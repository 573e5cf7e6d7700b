"""``python -m aptnn_md``."""

from __future__ import annotations

import subprocess
import sys

from helpers.processes import environment

import aptnn_md


def test_the_package_can_be_run() -> None:
    command = [sys.executable, "-m", "aptnn_md", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    assert aptnn_md.__version__ in said.stdout
