"""The example of ions and neutral molecules in one file, with fewer frames."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import ase.io
import pytest
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES

from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import run_path

pytest.importorskip("tblite")
CHARGES = {"H12O10S": -2, "H3O": 1, "H2O": 0, "HO": -1}


@pytest.mark.slow
def test_whole_example(tmp_path: Path) -> None:
    here = tmp_path / "example"
    shutil.copytree(EXAMPLES / "ions", here)
    printed = run_command(here, "./run.sh", FRAMES="6", MINUTES="0.1", PS="0.01")
    for frame in ase.io.read(here / "labelled.extxyz", ":"):
        formula = frame.get_chemical_formula()
        assert frame.info["charge"] == CHARGES[formula]
        total = frame.arrays["apt"].reshape(-1, 3, 3).sum(axis=0)
        assert total.trace() / 3.0 == pytest.approx(CHARGES[formula], abs=1e-6)
    for charge in ("-2", "-1", "0", "+1"):
        assert f"charge {charge} e: " in printed
    for formula, charge in CHARGES.items():
        (line,) = re.findall(rf"^{formula} .*$", printed, re.MULTILINE)
        of_model = float(line.split()[3])
        assert of_model == pytest.approx(charge, abs=1e-8)
    reader = StreamReader(run_path(here / "sulfate", 1))
    assert reader.header.groups == ("sulfate", "water")
    assert "after 0.1 ps of equilibration" in reader.header.ensemble
    assert reader.step.tolist() == [0, 4, 8, 12, 16, 20]
