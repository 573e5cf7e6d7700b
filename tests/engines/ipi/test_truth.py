"""Streams of i-PI runs against positions and momenta of its checkpoints, to all digits."""

import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.tiers import thorough_but

pytest.importorskip("ipi")

from helpers.ipi_ensembles import CASES, PA_CMD, WAVENUMBER
from helpers.ipi_inputs import (
    PILE,
    SVR,
    ring_polymer_frequencies,
    run_toy,
)

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.stream import StreamReader
from aptnn_md.stream.frame import ESTIMATORS
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]


def bead_tensors(checkpoint):
    return np.array([toy_molecules.polar_tensors(q) for q in checkpoint.positions])


QUICK = ("classical NVT", "PA-CMD", "path-integral NPT")


@pytest.mark.thorough
@pytest.mark.parametrize("name", thorough_but(CASES, *QUICK))
def test_rates_are_those_of_positions_and_momenta(name, tmp_path, monkeypatch):
    options = CASES[name]
    stream, checkpoints = run_toy(tmp_path, monkeypatch, stream={"beads_too": True}, **options)
    factors = None
    if name == "PA-CMD":
        frequencies = ring_polymer_frequencies(options["n_beads"], 300)
        factors = (frequencies / (5000 * WAVENUMBER)) ** 2
        factors[0] = 1.0
    assert list(stream.step) == [c.step for c in checkpoints] == list(range(21))
    numbers = toy_molecules.structure(2).numbers
    volumes = [abs(np.linalg.det(c.cell)) for c in checkpoints]
    if "NPT" in name:
        np.testing.assert_allclose(stream.read("volume"), volumes, rtol=1e-12)
        assert np.ptp(volumes) > 1e-3
    else:
        assert stream.header.volume == pytest.approx(volumes[0], rel=1e-12)
    for frame, checkpoint in enumerate(checkpoints):
        velocities, apt = checkpoint.velocities(factors), bead_tensors(checkpoint)
        at_centroid = toy_molecules.polar_tensors(checkpoint.positions.mean(0))
        of_beads = np.einsum("knab,knb->kna", apt, velocities)
        mean_velocity = velocities.mean(0)
        per_atom = {
            "bead": of_beads.mean(0),
            "centroid-apt": np.einsum("nab,nb->na", apt.mean(0), mean_velocity),
            "apt-at-centroid": np.einsum("nab,nb->na", at_centroid, mean_velocity),
        }
        scale = np.abs(per_atom["bead"]).max()
        for group, number in enumerate((1, 8, 17)):
            for estimator, value in per_atom.items():
                found = stream.dipole_rate(estimator)[frame, group]
                truth = value[numbers == number].sum(0)
                np.testing.assert_allclose(found, truth, rtol=0, atol=1e-10 * scale)
            found = stream.read("dipole_rate_beads")[frame, :, group]
            truth = of_beads[:, numbers == number].sum(1)
            np.testing.assert_allclose(found, truth, rtol=0, atol=1e-10 * np.abs(truth).max())


@pytest.mark.thorough
def test_parts_by_motion_add_up(tmp_path, monkeypatch):
    by_motion, _ = run_toy(tmp_path, monkeypatch, groups="element+motion", n_beads=4, steps=4)
    (tmp_path / "whole").mkdir()
    whole, _ = run_toy(tmp_path / "whole", monkeypatch, groups="all", n_beads=4, steps=4)
    assert "O libration" in by_motion.header.groups
    for name in ESTIMATORS:
        parts, total = by_motion.dipole_rate(name), whole.dipole_rate(name)
        np.testing.assert_allclose(parts.sum(1), total[:, 0], atol=1e-12 * np.abs(total).max())
    np.testing.assert_allclose(by_motion.read("f_sum").sum(1), whole.read("f_sum")[:, 0])


@pytest.mark.parametrize("n_beads", thorough_but([1, 4], 4))
def test_bead_rate_is_the_derivative_of_the_mean_dipole(n_beads, tmp_path, monkeypatch):
    # internal modes of beads move on circles, so differences are exact for small steps only
    stream, checkpoints = run_toy(
        tmp_path, monkeypatch, ("bead",), "all", n_beads=n_beads, timestep=0.01, steps=30
    )
    dipoles = np.array(
        [np.mean([toy_molecules.dipole(q) for q in c.positions], axis=0) for c in checkpoints]
    )
    derivative = (dipoles[2:] - dipoles[:-2]) / (2 * stream.header.timestep)
    found = stream.dipole_rate("bead")[1:-1, 0]
    np.testing.assert_allclose(found, derivative, atol=2e-6 * np.abs(found).max())


def test_same_trajectory_by_ipi_ase_and_positions(tmp_path, monkeypatch):
    """Velocity Verlet of both engines from one start; ASE's constants have more digits."""
    stream, checkpoints = run_toy(tmp_path, monkeypatch, ("bead",), "element", steps=40)
    start = checkpoints[0]
    atoms = toy_molecules.structure(2, pbc=True)
    atoms.set_cell(start.cell)
    atoms.positions = start.positions[0]
    atoms.set_velocities(start.velocities()[0] / units.fs)
    atoms.calc = toy_molecules.Potential()
    dynamics = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    with StreamObserver(
        dynamics, "ase.zarr", toy_molecules.Tensors(), groups="element"
    ) as observer:
        dynamics.attach(observer, interval=1)
        dynamics.run(40)
    by_ase = StreamReader("ase.zarr")
    assert by_ase.header.groups == stream.header.groups
    np.testing.assert_array_equal(by_ase.step, stream.step)
    scale = np.abs(stream.dipole_rate()).max()
    np.testing.assert_allclose(by_ase.dipole_rate(), stream.dipole_rate(), atol=1e-6 * scale)
    np.testing.assert_allclose(by_ase.read("f_sum"), stream.read("f_sum"), rtol=1e-6)
    assert stream.header.temperature is None
    # k_B of i-PI is that of 1998
    np.testing.assert_allclose(by_ase.read("temperature"), stream.read("temperature"), rtol=3e-6)


@pytest.mark.thorough
def test_temperature_is_the_one_of_ipi(tmp_path, monkeypatch):
    """i-PI's own adds what a fixed centre of mass would have, 3 of 3 N P degrees of freedom."""
    stream, _ = run_toy(
        tmp_path,
        monkeypatch,
        n_beads=4,
        mode="nvt",
        thermostat=PILE,
        normal_modes=PA_CMD,
        properties="temperature{kelvin}",
    )
    freedom = 3 * 6 * 4
    by_ipi = (np.loadtxt("run.out") * freedom - 3 * 300.0) / (freedom - 3)
    np.testing.assert_allclose(stream.read("temperature"), by_ipi, rtol=1e-7)
    assert stream.header.temperature == 300.0


@pytest.mark.thorough
def test_bead_estimator_obeys_the_sum_rule(tmp_path, monkeypatch):
    """⟨|Ṁ|²⟩ = 3 k_B T ⟨f_sum⟩ of each molecule, for a dipole that is not linear and quantum atoms.

    The molecules are independent, so the error of the mean follows from their differences.
    """
    stream, _ = run_toy(
        tmp_path,
        monkeypatch,
        ("bead",),
        "molecule",
        stream={"stride": 4},
        n_beads=4,
        n_molecules=24,
        steps=900,
        temperature=120,  # beads at 480 K stay in the well
        timestep=0.5,
        mode="nvt",
        thermostat=PILE.replace("pile_g", "pile_l").replace("40", "3"),
        checkpoint=100000,
        stride=100000,
        fixcom="False",
    )
    squares = (stream.dipole_rate()[25:] ** 2).sum(-1)
    thermal = 3 * BOLTZMANN_EV_PER_K * 120.0 / AMU_A2_PER_FS2_EV * stream.read("f_sum")[25:]
    of_molecules = squares.mean(axis=0) / thermal.mean(axis=0)
    error = of_molecules.std(ddof=1) / len(of_molecules) ** 0.5
    assert error < 0.025
    assert abs(of_molecules.mean() - 1.0) < 4 * error


@pytest.mark.parametrize("n_beads", [1, 3])
def test_fixed_atoms_of_i_pi_are_not_in_the_f_sum(n_beads, tmp_path, monkeypatch):
    options = {"mode": "nvt", "thermostat": PILE if n_beads > 1 else SVR, "fixcom": "False"}
    options["extra_motion"] = "<fixatoms> [0, 1, 2] </fixatoms>"
    stream, checkpoints = run_toy(
        tmp_path, monkeypatch, ("bead",), n_beads=n_beads, steps=6, **options, groups="all"
    )
    masses = toy_molecules.structure(2).get_masses()
    for frame, checkpoint in zip(stream.read("f_sum"), checkpoints, strict=True):
        apt = bead_tensors(checkpoint)
        moving = (apt**2 / masses[:, None, None])[:, 3:].sum() / (3.0 * n_beads)
        assert frame[0] == pytest.approx(moving, rel=1e-5)
