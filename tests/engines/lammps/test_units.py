"""Every unit style of LAMMPS, by an atom in free flight in a cell of known size."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.lammps_runs import needs_lammps, stream_of

from aptnn_md.engines.lammps.units import UNIT_STYLES, unit_style
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader
from aptnn_md.testing.engines import LinearDipole

BOHR = 0.52917721
# 1 of the unit in Å, fs, amu; from the table of LAMMPS's manual, numbers of CODATA by hand
TABLE = {
    "real": (1.0, 1.0, 1.0),
    "metal": (1.0, 1000.0, 1.0),
    "si": (1e10, 1e15, 1 / 1.66053907e-27),
    "cgs": (1e8, 1e15, 1 / 1.66053907e-24),
    "electron": (BOHR, 1.0, 1.0),
    "micro": (1e4, 1e9, 1e-15 / 1.66053907e-27),
    "nano": (10.0, 1e6, 1e-21 / 1.66053907e-27),
}


@needs_lammps
@pytest.mark.parametrize("style", TABLE)
def test_lengths_times_masses_and_velocities(style, tmp_path):
    length, time, mass = TABLE[style]
    script = f"""\
units {style}
region b block 0 {20.0 / length} 0 {21.0 / length} 0 {22.0 / length}
create_box 2 b
create_atoms 1 single {1.0 / length} {2.0 / length} {3.0 / length}
create_atoms 2 single {5.0 / length} {6.0 / length} {7.0 / length}
mass 1 {15.999 / mass:.12g}
mass 2 {35.45 / mass:.12g}
velocity all set {0.01 * time / length} {0.03 * time / length} {-0.02 * time / length}
pair_style zero {3.0 / length}
pair_coeff * *
comm_modify cutoff {3.0 / length}
neighbor {1.0 / length} bin
timestep {0.5 / time:.12g}
fix 1 all nve
run 10
"""
    (tmp_path / "in.lmp").write_text(script)
    model = LinearDipole()
    stream_of(tmp_path, model, velocities=True)
    reader = StreamReader(tmp_path / "s.zarr")
    assert reader.header.formula == "ClO"
    assert reader.header.volume == pytest.approx(20.0 * 21.0 * 22.0, rel=1e-7)
    np.testing.assert_allclose(reader.time, 0.5 * np.arange(11), rtol=1e-9)
    velocity = [0.01, 0.03, -0.02]
    np.testing.assert_allclose(reader.read("velocity"), np.full((11, 2, 3), velocity), rtol=1e-6)
    moved = model.snapshots[-1].positions - [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]
    np.testing.assert_allclose(moved, np.full((2, 3), velocity) * 5.0, rtol=1e-6)
    for symbol, expected in (("O", 15.999), ("Cl", 35.45)):
        assert reader.header.masses[symbol][0] == pytest.approx(expected, rel=1e-7)


def test_the_table_is_complete():
    assert set(TABLE) == set(UNIT_STYLES)
    with pytest.raises(InputError, match="without lengths in Å"):
        unit_style("lj")
