"""LAMMPS passes the check of engines; velocities are those of the positions."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.lammps_runs import needs_lammps, stream_of, write_script

from aptnn_md.stream import StreamReader
from aptnn_md.testing.engines import LinearDipole, check_engine

pytestmark = needs_lammps

DYNAMICS = {
    "nve": "fix 1 all nve",
    "nvt": "fix 1 all nvt temp 300 300 0.1",
    "langevin": "fix 1 all nve\nfix 2 all langevin 300 300 10.0 77",
    "shake": "fix 2 all shake 1e-10 100 0 b 1\nfix 1 all nve",
    "rigid": "fix 1 all rigid/small molecule",
}


@pytest.mark.parametrize("name", ["nve", "nvt", "rigid"])
def test_positions_and_velocities_belong_together_and_no_step_is_lost(name, tmp_path):
    fixes = DYNAMICS[name]
    write_script(tmp_path, "run 40", fixes, before="restart 20 run.*.restart")
    again = "read_restart run.20.restart"
    write_script(tmp_path, "run 65 upto", fixes, start=again, name="in.again")
    check_engine(
        lambda model, path: stream_of(tmp_path, model, path.name),
        tmp_path / "s.zarr",
        lambda model, path: stream_of(tmp_path, model, path.name, True, "in.again"),
    )
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(66))


@pytest.mark.parametrize("name", DYNAMICS)
def test_rates_are_central_differences_of_a_fine_run(name, tmp_path):
    # SHAKE brings atoms onto their bonds at the start, which is no motion
    first = 5 if name == "shake" else 0
    write_script(tmp_path, "run 40", DYNAMICS[name], timestep=1e-3)
    model = LinearDipole()
    stream_of(tmp_path, model)
    rates = StreamReader(tmp_path / "s.zarr").dipole_rate().sum(axis=1)[first:]
    changes = model.changes(1, 41)[first:]
    central = (changes[1:] + changes[:-1]) / 2e-3
    error = np.abs(rates[1:-1] - central).max() / np.abs(central).max()
    assert error < 1e-6


def test_with_a_barostat_velocities_are_the_peculiar_ones(tmp_path):
    """What is left is the strain rate of the cell times the positions."""
    fixes = "fix 1 all npt temp 300 300 0.1 tri 0 0 0.5"
    write_script(tmp_path, "run 60", fixes, timestep=0.02)
    model = LinearDipole()
    stream_of(tmp_path, model)
    reader = StreamReader(tmp_path / "s.zarr")
    rates, tensors = reader.dipole_rate().sum(axis=1), model.tensors(12)
    positions = np.array([s.positions for s in model.snapshots])
    cells = np.array([s.cell for s in model.snapshots])
    strain = np.einsum("fab,fbc->fac", np.linalg.inv(cells[1:-1]), (cells[2:] - cells[:-2]) / 0.04)
    central = (positions[2:] - positions[:-2]) / 0.04
    # every point of the cell is moved by the strain rate, the origin of LAMMPS's box with it
    peculiar = central - np.einsum("fia,fac->fic", positions[1:-1], strain)
    drift = (peculiar - model_velocities(tmp_path, len(positions))[1:-1]).mean(axis=1)
    assert np.abs(strain).max() > 1e-6
    found = np.einsum("iab,fib->fa", tensors, peculiar - drift[:, None])
    np.testing.assert_allclose(found, rates[1:-1], atol=3e-3 * np.abs(rates).max())
    volumes = np.abs(np.linalg.det(cells))
    np.testing.assert_allclose(reader.read("volume"), volumes, rtol=1e-10)


def model_velocities(directory, n_frames):
    """Velocities that LAMMPS itself has at each step."""
    write_script(
        directory,
        "dump 1 all custom 1 v.dump id vx vy vz\n"
        "dump_modify 1 sort id format float %20.15g\nrun 60",
        "fix 1 all npt temp 300 300 0.1 tri 0 0 0.5",
        timestep=0.02,
    )
    from aptnn_md.engines.lammps.library import open_lammps

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        lmp = open_lammps(["-log", "none"])
        lmp.file("in.lmp")
        lmp.close()
    lines = (directory / "v.dump").read_text().splitlines()
    rows = [line.split() for line in lines if len(line.split()) == 4 and line[0].isdigit()]
    return np.array(rows, dtype=float)[:, 1:].reshape(n_frames, -1, 3) * 1e-3


def test_atoms_that_lammps_sorts_again_keep_their_velocities(tmp_path):
    """A hot liquid whose neighbours, and the order of atoms in memory, change all the time."""
    (tmp_path / "in.lmp").write_text("""\
units real
atom_style atomic
atom_modify sort 5 2.0 map array
lattice fcc 5.8
region b block 0 3 0 3 0 3
create_box 1 b
create_atoms 1 box
mass 1 39.948
pair_style lj/cut 6.0
pair_coeff 1 1 0.238 3.405
neighbor 0.5 bin
neigh_modify every 1 delay 0 check yes
velocity all create 3000.0 4928459
timestep 2.0
fix 1 all nve
run 300
""")
    model = LinearDipole()
    stream_of(tmp_path, model)
    log = (tmp_path / "log.lammps").read_text()
    assert int(log.partition("Neighbor list builds = ")[2].split()[0]) > 30
    rates = StreamReader(tmp_path / "s.zarr").dipole_rate().sum(axis=1)
    changes = model.changes(1, 301)
    central = (changes[1:] + changes[:-1]) / 4.0
    # the velocities of velocity Verlet are central differences of its positions
    np.testing.assert_allclose(rates[1:-1], central, atol=1e-8 * np.abs(rates).max())
    assert np.ptp(model.snapshots[-1].positions - model.snapshots[0].positions) > 5.0
