"""Electric fields in i-PI: as a force component, and in its driven dynamics."""

import ase.io
import numpy as np
import pytest
from helpers import toy_molecules
from helpers.paths import DRIVERS, HELPERS

pytest.importorskip("ipi")


from helpers.ipi_client_tools import run_ipi_input
from helpers.ipi_inputs import BOHR, FS, Checkpoint, write_input

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.electric_field import field_forces

pytestmark = pytest.mark.ipi
PES = HELPERS / "ipi_toy_field.py"
FIELD = np.array([0.1, -0.2, 0.15])
HARTREE = 1 / 0.036749326


def direct(name, parameters, batch_size=1, pes=PES):
    return (
        f"<ffdirect name='{name}'><pes>custom</pes><pes_path>{pes}</pes_path>"
        f"<batch_size>{batch_size}</batch_size><parameters>{{{parameters}}}</parameters></ffdirect>"
    )


def drive(path, timestep, field, frequency=0.0):
    """Make the dynamics of an input driven, with E(t) = field cos(frequency t), 1/fs."""
    text = path.read_text()
    start, end = text.index("<dynamics "), text.index("</dynamics>") + len("</dynamics>")
    driven = f"""<driven_dynamics mode='eda-nve'>
        <timestep units='femtosecond'> {timestep} </timestep>
        <efield><amp units='v/ang'> [{", ".join(map(str, field))}] </amp>
          <freq> {frequency * FS} </freq></efield>
        <bec mode='driver'/>
      </driven_dynamics>"""
    text = text[:start] + driven + text[end:]
    path.write_text(text.replace("<motion mode='dynamics'>", "<motion mode='driven_dynamics'>"))


def outputs(directory):
    return np.loadtxt(directory / "run.out")


def checkpoints(directory, n):
    return [Checkpoint(directory / f"run.state_{k}") for k in range(n)]


def verlet(start, masses, field, n_steps, dt):
    """Positions of velocity Verlet steps in the field E(t), Å, from q and v in Å and Å/fs."""
    q, v = start.positions[0], start.velocities()[0]
    # eV/Å over electron masses are atomic units of acceleration, and these Å/fs²
    scale = BOHR / HARTREE / masses[:, None] * BOHR / FS**2

    def force(q, time):
        return toy_molecules.energy_forces_virial(q)[1] + field_forces(
            toy_molecules.polar_tensors(q), field(time)
        )

    found = [q]
    for n in range(n_steps):
        v = v + 0.5 * dt * scale * force(q, n * dt)
        q = q + dt * v
        v = v + 0.5 * dt * scale * force(q, (n + 1) * dt)
        found.append(q)
    return np.array(found)


def test_driven_dynamics_moves_as_the_field_says(tmp_path):
    steps, dt, frequency = 30, 0.25, 2 * np.pi * 0.05
    path = write_input(
        tmp_path,
        steps=steps,
        timestep=dt,
        fixcom="False",
        properties="step, dipole{eang}, Efield{v/ang}",
        forcefields=direct("bec", "template: start.xyz, extras: bec, forces: True"),
        toy_force="<force forcefield='bec'/>",
    )
    drive(path, dt, FIELD, frequency)
    run_ipi_input(tmp_path)
    states = checkpoints(tmp_path, steps + 1)
    expected = verlet(states[0], states[0].m, lambda t: FIELD * np.cos(frequency * t), steps, dt)
    found = np.array([state.positions[0] for state in states])
    without = verlet(states[0], states[0].m, lambda t: 0 * FIELD, steps, dt)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found - without).max() > 1e-3
    printed = outputs(tmp_path)[:, 1:4]
    dipoles = np.array([toy_molecules.dipole(q) for q in found])
    np.testing.assert_allclose(printed, dipoles - dipoles[0], atol=1e-4)
    np.testing.assert_allclose(
        outputs(tmp_path)[:, 4:7],
        FIELD * np.cos(frequency * dt * np.arange(steps + 1))[:, None],
        atol=1e-6,
    )


def test_single_precision_passes_the_check_of_driven_dynamics(tmp_path):
    steps = 3
    atoms = ase.io.read(bundled_path("water64.extxyz"))[:12]
    pes = DRIVERS / "aptnn_md_bec.py"
    path = write_input(
        tmp_path,
        steps=steps,
        n_beads=2,
        properties="step, dipole",
        forcefields=direct("bec", "model: water-apt, template: start.xyz, beads: 2", 2, pes),
        toy_force="<force forcefield='bec'/>",
    )
    del atoms.arrays["momenta"]
    ase.io.write(tmp_path / "start.xyz", atoms, format="extxyz")
    drive(path, 0.5, (0, 0, 0.1))
    run_ipi_input(tmp_path)
    found = outputs(tmp_path)
    assert found[-1, 0] == steps
    assert np.isfinite(found).all()
    # atoms began to move towards the field
    assert np.abs(found[-1, 1:]).max() > 0.0


@pytest.mark.thorough
def test_a_field_on_the_beads_of_a_ring_polymer(tmp_path):
    steps, n_beads = 60, 3
    parameters = f"template: start.xyz, efield: {' '.join(map(str, FIELD))}, beads: {n_beads}"
    write_input(
        tmp_path,
        steps=steps,
        n_beads=n_beads,
        properties="step, conserved{electronvolt}, potential{electronvolt}",
        forcefields=direct("field", parameters, n_beads),
        forces="<force forcefield='field'/>",
    )
    run_ipi_input(tmp_path)
    conserved, potential = outputs(tmp_path)[:, 1], outputs(tmp_path)[:, 2]
    states = checkpoints(tmp_path, steps + 1)
    energies, works = [], []
    for state in states:
        energies.append(
            np.mean([toy_molecules.energy_forces_virial(q)[0] for q in state.positions])
        )
        works.append(np.mean([toy_molecules.dipole(q) for q in state.positions], axis=0) @ FIELD)
    works = np.array(works) - works[0]
    np.testing.assert_allclose(potential, energies - works, atol=2e-5)
    assert np.ptp(works) > 0.02
    # what the field does is in the conserved quantity
    assert np.ptp(conserved) < 0.1 * np.ptp(works)
