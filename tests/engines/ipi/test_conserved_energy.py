"""The conserved quantity of i-PI in its streams, as i-PI itself prints it."""

import numpy as np
import pytest
from helpers.tiers import thorough_but

pytest.importorskip("ipi")

from helpers.ipi_inputs import BAROSTAT, PILE, SVR, go_on_toy, run_toy

from aptnn_md.stream import StreamReader

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]
PRINTED = {"properties": "step, conserved{electronvolt}"}
GLE = "<thermostat mode='gle'><A shape='(1,1)'>[0.01]</A></thermostat>"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("dynamics", "time"),
    [
        *thorough_but([({"mode": "nve"}, None), ({"mode": "nvt", "thermostat": SVR}, 40.0)]),
        ({"mode": "nvt", "thermostat": PILE, "n_beads": 4}, 40.0),
        *thorough_but([({"mode": "nve", "n_beads": 3}, None)]),
    ],
)
def test_it_is_what_i_pi_prints(tmp_path, monkeypatch, dynamics, time):
    stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), **dynamics, **PRINTED)
    step, conserved = np.loadtxt(tmp_path / "run.out").T
    found = stream.read("conserved_energy")
    np.testing.assert_array_equal(stream.step, step)
    np.testing.assert_allclose(found, conserved, rtol=1e-12)
    assert np.ptp(found) > 0.0
    assert stream.header.thermostat_time == (None if time is None else pytest.approx(time))
    go_on_toy(tmp_path, monkeypatch, "run.state_9", ("bead",))
    again = StreamReader("run.zarr").read("conserved_energy")
    np.testing.assert_allclose(again, found, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "dynamics",
    [
        {"mode": "npt", "thermostat": SVR, "barostat": BAROSTAT},
        {"mode": "nvt", "thermostat": GLE},
    ],
)
def test_where_its_drift_could_not_be_judged_it_is_absent(tmp_path, monkeypatch, dynamics):
    stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), steps=3, **dynamics)
    assert "conserved_energy" not in stream.arrays
