"""Notes on beads and time steps of path-integral runs."""

import numpy as np
import pytest

from aptnn_md.stream import StreamHeader
from aptnn_md.stream.ring_polymers import kinetic_energy_share, ring_polymer_notes

WATER = {"H": (1.008,), "O": (15.999,)}
TRPMD = "TRPMD, 8 beads, NVT, PILE_G 100 fs lambda 0.5"


def notes(timestep=0.5, n_beads=8, masses=None, temperature=300.0, ensemble=TRPMD):
    header = StreamHeader(
        timestep=timestep,
        n_beads=n_beads,
        masses=masses or WATER,
        temperature=temperature,
        ensemble=ensemble,
    )
    return ring_polymer_notes(header)


def sampled_share(n_beads, wavenumber, temperature):
    """By the covariance of the beads: K = <mω²q²>/2, from the ring polymer's force constants."""
    x = 1.438777 * wavenumber / temperature
    ring = 2 * np.eye(n_beads) - np.roll(np.eye(n_beads), 1, 0) - np.roll(np.eye(n_beads), -1, 0)
    # in units of kT: energy of the beads at the temperature P T is x²q²/(2 P) + P ring q²/2
    covariance = np.linalg.inv(x**2 / n_beads * np.eye(n_beads) + n_beads * ring)
    virial = 0.5 * x**2 * np.trace(covariance) / n_beads
    partition = -np.log(2 * np.sinh(0.5 * x * (1 + np.array([1e-5, -1e-5]))))
    energy = -(partition[0] - partition[1]) / 2e-5  # -∂ln Z/∂ln x: half of it is kinetic
    return virial / (0.5 * energy)


@pytest.mark.parametrize(("n_beads", "temperature"), [(1, 300), (3, 77), (8, 300), (32, 300)])
def test_share_of_the_kinetic_energy(n_beads, temperature):
    share = kinetic_energy_share(n_beads, 1650, temperature)
    assert share == pytest.approx(sampled_share(n_beads, 1650, temperature), rel=1e-4)


def test_many_beads_have_all_of_it():
    assert kinetic_energy_share(2000, 3500, 300) == pytest.approx(1, abs=1e-4)
    assert kinetic_energy_share(8, 3452, 300) == pytest.approx(74 / 107, abs=0.005)


def test_a_long_step_and_few_beads_are_said():
    step, beads = notes()
    assert step.startswith("WARNING: a time step of 0.5 fs")
    assert "if the thermostat" not in step
    assert "8 beads at 300 K have 69 %" in beads
    assert "32 would have 97 %" in beads


def test_the_step_of_a_client_is_said_with_a_condition():
    assert "if the thermostat is PILE" in notes(ensemble="")[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"timestep": 0.25, "n_beads": 32},
        {"n_beads": 1},
        {"masses": {"Ar": (39.95,)}},
        {"timestep": 0.4, "masses": {"D": (2.014,), "O": (15.999,)}, "n_beads": 32},
        {"ensemble": "RPMD, 32 beads, NVE", "n_beads": 32},
    ],
)
def test_nothing_is_said_where_nothing_is_wrong(changes):
    assert notes(**changes) == ()


def test_without_a_temperature_beads_are_not_judged():
    (only,) = notes(temperature=None)
    assert "a time step" in only
