"""The example of a classical force field, with fewer steps."""

import importlib.util
import shutil

import numpy as np
import pytest
from helpers.example_commands import run_command
from helpers.lammps_runs import needs_lammps
from helpers.paths import EXAMPLES

from aptnn_md.stream import StreamReader


@pytest.fixture
def example(tmp_path):
    here = tmp_path / "example"
    shutil.copytree(EXAMPLES / "force_field_water", here)
    return here


@needs_lammps
def test_lammps_and_its_restart(example):
    run_command(example, "./run.sh", STEPS="100", ENGINES="lammps", RESOLUTION="1500")
    reader = StreamReader(example / "lammps.zarr")
    assert reader.step.tolist() == list(range(0, 101, 4))
    assert reader.header.formula == "H128O64"
    assert (reader.header.ensemble, reader.header.temperature) == ("nvt", 300.0)
    assert (example / "lammps.png").exists()
    command = "aptnn-md lammps in.lmp --model water-apt --stream lammps.zarr --groups element"
    command += " --restart --options -var steps 120 -var from water.100.restart"
    run_command(example, *command.split())
    again = StreamReader(example / "lammps.zarr")
    assert again.step.tolist() == list(range(0, 121, 4))


@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("openmm") is None, reason="needs OpenMM")
def test_openmm(example):
    run_command(example, "./run.sh", STEPS="100", ENGINES="openmm", RESOLUTION="1500")
    reader = StreamReader(example / "openmm.zarr")
    assert reader.step.tolist() == list(range(0, 101, 4))
    assert reader.header.formula == "H128O64"
    assert reader.header.temperature == 300.0


@needs_lammps
def test_both_have_the_same_forces(example):
    """Of the first steps without a thermostat the potential energies and rates are alike."""
    pytest.importorskip("openmm")
    script = (example / "in.lmp").read_text()
    single = script.replace("nvt temp 300.0 300.0 200.0", "nve").replace("velocity all create", "#")
    assert single.count("nve") == 1
    run_command(example, "python", "water_data.py", "water.data")
    (example / "in.lmp").write_text(single)
    dump = "dump 1 all custom 1 f.dump id fx fy fz\ndump_modify 1 sort id\nrun ${steps}"
    (example / "in.lmp").write_text(single.replace("run ${steps}", dump))
    command = "aptnn-md lammps in.lmp --model water-apt --stream a.zarr --options -var steps 4"
    run_command(example, *command.split())
    rows = (example / "f.dump").read_text().split("ITEM: ATOMS id fx fy fz\n")[1].splitlines()
    of_lammps = np.array([row.split() for row in rows[:192]], dtype=float)[:, 1:] * 4.184
    program = (example / "openmm_water.py").read_text().partition("with StreamReporter")[0]
    program += """
forces = simulation.context.getState(getForces=True).getForces(asNumpy=True)._value / 10.0
np.save("forces.npy", np.array(forces))
"""
    (example / "forces.py").write_text(program)
    run_command(example, "python", "forces.py", "x", "0")
    of_openmm = np.load(example / "forces.npy")
    # kJ/mol/Å; the sums in reciprocal space differ
    error = np.sqrt(np.mean((of_lammps - of_openmm) ** 2) / np.mean(of_lammps**2))
    assert error < 2e-3
