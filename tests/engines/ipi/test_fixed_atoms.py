"""Fixed atoms of i-PI: f-sum, temperature and degrees of freedom are of what can move."""

import numpy as np
import pytest
from helpers.ipi_inputs import run_toy

pytest.importorskip("ipi")

from aptnn_md.spectra import velocity_spectrum_of_streams
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

pytestmark = pytest.mark.ipi
KELVIN = 300.0


# a local thermostat: the molecules do not interact
LANGEVIN = "<thermostat mode='langevin'><tau units='femtosecond'>30</tau></thermostat>"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("fixed", "fixcom"),
    [
        pytest.param(range(9), "False", marks=pytest.mark.slow, id="half"),
        pytest.param(range(0, 18, 3), "True", id="third"),
    ],
)
def test_f_sum_temperature_and_freedom(fixed, fixcom, tmp_path, monkeypatch):
    """Whole molecules, and of every molecule one atom: then the tensors of what moves do not add up
    to zero, and it matters that i-PI holds its centre of mass.
    """
    stream, _ = run_toy(
        tmp_path,
        monkeypatch,
        ("bead",),
        stream={"velocities": True, "stride": 4},
        groups="all",
        n_molecules=6,
        steps=6000,
        timestep=0.5,
        mode="nvt",
        thermostat=LANGEVIN,
        checkpoint=100000,
        stride=100000,
        fixcom=fixcom,
        extra_motion=f"<fixatoms> [{', '.join(map(str, fixed))}] </fixatoms>",
    )
    header = stream.header
    free = [k for k in range(18) if k not in fixed]
    assert header.atom_freedom == tuple(3.0 * (k in free) for k in range(18))
    assert not stream.read("velocity")[1:, list(fixed)].any()
    squares = (stream.dipole_rate().sum(axis=1) ** 2).sum(axis=1)[100:]
    strength = stream.read("f_sum").sum(axis=1).mean()
    scale = 3.0 * BOLTZMANN_EV_PER_K * KELVIN / AMU_A2_PER_FS2_EV * strength
    blocks = np.array([block.mean() for block in np.array_split(squares, 25)]) / scale
    error = blocks.std(ddof=1) / 5.0
    print(f"f-sum ratio {blocks.mean():.3f} ± {error:.3f}")
    assert error < 0.12
    assert abs(blocks.mean() - 1.0) < 4.0 * error
    kelvin = stream.read("temperature")[100:]
    means = [block.mean() for block in np.array_split(kelvin, 25)]
    print(f"temperature {np.mean(means):.1f} ± {np.std(means, ddof=1) / 5:.1f} K")
    assert abs(np.mean(means) - KELVIN) < 4.0 * np.std(means, ddof=1) / 5.0
    found = velocity_spectrum_of_streams([stream.path], resolution=60.0).total_freedom
    assert found.expected == pytest.approx(3.0 * len(free), abs=3.0)
