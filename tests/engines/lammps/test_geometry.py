"""Positions and cells: unfolded across boundaries, with and without periodicity."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.lammps_runs import needs_lammps, stream_of, write_script

from aptnn_md.stream import StreamReader
from aptnn_md.testing.engines import LinearDipole

pytestmark = needs_lammps

FLIGHT = """\
units real
atom_style atomic
boundary {boundary}
{start}
mass * 39.948
velocity all set 0.3 -0.5 0.7
pair_style zero 3.0
pair_coeff * *
comm_modify cutoff 3.0
timestep 1.0
fix 1 all nve
restart 40 a.*
run {steps} upto
"""
BOX = """\
region b prism -2 8 1 10 0 9 2 -1 1.5
create_box 1 b
create_atoms 1 single 1 3 2
create_atoms 1 single 5 6 4"""


@pytest.mark.parametrize("stride", [1, 5])
def test_atoms_that_leave_the_cell_go_on(stride, tmp_path):
    """In free flight through a triclinic cell, also across a restart."""
    kept = {"boundary": "p p p"}
    first = FLIGHT.format(start=BOX, steps=60, **kept)
    (tmp_path / "in.lmp").write_text(first)
    model = LinearDipole()
    stream_of(tmp_path, model, stride=stride)
    again = FLIGHT.format(start="read_restart a.40", steps=90, **kept)
    lines = [line for line in again.splitlines() if not line.startswith("velocity")]
    (tmp_path / "in.again").write_text("\n".join(lines) + "\n")
    resumed = LinearDipole()
    stream_of(tmp_path, resumed, restart=True, script="in.again", stride=stride)
    steps = [*range(0, 61, stride), *range(40, 91, stride)]
    snapshots = [*model.snapshots, *resumed.snapshots]
    start, velocity = np.array([[1, 3, 2], [5, 6, 4]]), np.array([0.3, -0.5, 0.7])
    cell = [[10, 0, 0], [2, 9, 0], [-1, 1.5, 9]]
    for step, snapshot in zip(steps, snapshots, strict=True):
        np.testing.assert_allclose(snapshot.positions, start + velocity * step, atol=1e-9)
        np.testing.assert_allclose(snapshot.cell, cell, atol=1e-12)
        assert snapshot.pbc == (True, True, True)
    rates = StreamReader(tmp_path / "s.zarr").dipole_rate()
    expected = model.tensors(2).sum(axis=0) @ velocity
    np.testing.assert_allclose(rates[:, 0], np.tile(expected, (len(rates), 1)), rtol=1e-9)


@pytest.mark.parametrize(
    ("boundary", "pbc"), [("f f f", (False,) * 3), ("s s s", (False,) * 3), ("p p f", (1, 1, 0))]
)
def test_boundaries(boundary, pbc, tmp_path):
    box = BOX.replace("prism -2 8 1 10 0 9 2 -1 1.5", "block -90 90 -90 90 -90 90")
    script = FLIGHT.format(boundary=boundary, start=box, steps=10)
    (tmp_path / "in.lmp").write_text(script)
    model = LinearDipole()
    stream_of(tmp_path, model)
    reader = StreamReader(tmp_path / "s.zarr")
    assert model.snapshots[-1].pbc == tuple(map(bool, pbc))
    assert reader.header.volume is None
    assert "volume" not in reader.arrays


def test_cells_that_change_are_written(tmp_path):
    fixes = "fix 2 all nve\nfix 1 all deform 1 xy erate 1.0 x scale 1.1 remap x"
    write_script(tmp_path, "run 20", fixes)
    model = LinearDipole()
    stream_of(tmp_path, model)
    cells = np.array([snapshot.cell for snapshot in model.snapshots])
    np.testing.assert_allclose(np.ptp(cells[:, 0, 0]), 0.1 * cells[0, 0, 0], rtol=1e-6)
    assert np.ptp(cells[:, 1, 0]) > 0.01
    volumes = StreamReader(tmp_path / "s.zarr").read("volume")
    np.testing.assert_allclose(volumes, np.linalg.det(cells), rtol=1e-10)
    np.testing.assert_allclose(np.diff(volumes), np.diff(volumes).mean(), rtol=1e-6)
