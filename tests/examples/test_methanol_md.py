"""The example of methanol's spectrum with xTB as the truth, with few frames and two runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES

from aptnn_md.spectra import read_table
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs

pytest.importorskip("tblite")


@pytest.mark.slow
def test_whole_example_and_a_second_start(tmp_path: Path) -> None:
    here = tmp_path / "example"
    shutil.copytree(EXAMPLES / "methanol_md", here)
    few = {"FRAMES": "12", "MINUTES": "0.3", "PS": "4.8"}
    printed = run_command(here, "./run.sh", **few)
    assert len(ase.io.read(here / "labelled.extxyz", ":")) == 12
    for name in ("runs", "independent"):
        assert len(complete_runs(here / name)) == 2
    # the network, of few labels, against xTB at each of the frames
    stream = StreamReader(complete_runs(here / "runs")[0])
    network, truth = stream.dipole_rate("bead"), stream.dipole_rate("potential-dipole")
    deviation = np.sqrt(np.mean((network - truth) ** 2) / np.mean(truth**2))
    assert deviation < 0.3
    columns, _ = read_table(here / "modes.csv")
    assert columns["wavenumber (cm^-1)"][-1] == pytest.approx(3560, abs=10)
    assert "paired: same trajectory" in printed
    assert len(re.findall(r"^(?:torsion|CO|bend|CH|OH)  ", printed, re.MULTILINE)) == 5
    assert (here / "methanol.png").read_bytes().startswith(b"\x89PNG")
    again = run_command(here, "./run.sh", **few)  # nothing is done twice
    assert printed.splitlines()[-6:] == again.splitlines()[-6:]
