"""Streams of i-PI runs against positions and momenta of its checkpoints, to all digits."""

import numpy as np
import pytest
import toy_molecules

pytest.importorskip("ipi")

from ipi_inputs import (
    BAROSTAT,
    PILE,
    SVR,
    Checkpoint,
    ring_polymer_frequencies,
    write_input,
)

from aptnn_md.ipi.runner import run_ipi
from aptnn_md.ipi.streaming import StreamSettings
from aptnn_md.rates import ESTIMATORS
from aptnn_md.stream import StreamReader

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]
WAVENUMBER = 4.5563353e-06  # cm⁻¹ as angular frequency in atomic units, by i-PI

PA_CMD = (
    "<normal_modes><frequencies style='pa-cmd' units='inversecm'> [5000] </frequencies>"
    "</normal_modes>"
)
CASES = {
    "classical NVE": {},
    "classical NVT": {"mode": "nvt", "thermostat": SVR},
    "classical NPT": {"mode": "npt", "thermostat": SVR, "barostat": BAROSTAT},
    "RPMD": {"n_beads": 4},
    "TRPMD": {"n_beads": 4, "mode": "nvt", "thermostat": PILE},
    "TRPMD, odd": {"n_beads": 3, "mode": "nvt", "thermostat": PILE},
    "PA-CMD": {"n_beads": 4, "mode": "nvt", "thermostat": PILE, "normal_modes": PA_CMD},
    "path-integral NPT": {
        "n_beads": 4,
        "mode": "npt",
        "thermostat": PILE,
        "barostat": BAROSTAT,
    },
    "MTS": {
        "n_beads": 4,
        "mode": "nvt",
        "thermostat": PILE,
        "extra_dynamics": "<nmts>[1, 2]</nmts>",
        "toy_force": "<force forcefield='toy'><mts_weights>[0.4, 0.6]</mts_weights></force>",
    },
}


def run(directory, monkeypatch, estimators=ESTIMATORS, groups="element", stream=None, **options):
    """Run the toy; returns the stream and the checkpoints of all steps."""
    monkeypatch.chdir(directory)
    source = write_input(directory, **options)
    settings = StreamSettings(
        "run.zarr", estimators=estimators, groups=groups, **{"stride": 1, **(stream or {})}
    )
    summary = run_ipi(source, settings, toy_molecules.Tensors())
    assert summary.finished
    paths = sorted(directory.glob("run.state_*"), key=lambda path: int(path.name.split("_")[1]))
    return StreamReader("run.zarr"), [Checkpoint(path) for path in paths]


def bead_tensors(checkpoint):
    return np.array([toy_molecules.polar_tensors(q) for q in checkpoint.positions])


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_positions_and_momenta(name, tmp_path, monkeypatch):
    options = CASES[name]
    stream, checkpoints = run(tmp_path, monkeypatch, stream={"beads_too": True}, **options)
    factors = None
    if name == "PA-CMD":
        frequencies = ring_polymer_frequencies(options["n_beads"], 300)
        factors = (frequencies / (5000 * WAVENUMBER)) ** 2
        factors[0] = 1.0
    assert list(stream.step) == [c.step for c in checkpoints] == list(range(21))
    numbers = toy_molecules.structure(2).numbers
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
