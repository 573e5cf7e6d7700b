"""The example of a cluster, on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import ase.io
import pytest
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES

pytest.importorskip("parsl")
pytest.importorskip("tblite")


@pytest.mark.thorough
def test_whole_example(tmp_path: Path) -> None:
    here = tmp_path / "example"
    shutil.copytree(EXAMPLES / "cluster", here)
    printed = run_command(here, "./run.sh", FRAMES="3", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "3 of 3 frames labelled" in printed
    assert len(ase.io.read(here / "labelled.extxyz", ":")) == 3
