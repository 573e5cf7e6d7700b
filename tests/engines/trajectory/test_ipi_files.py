"""Files of beads that i-PI itself wrote, against the stream of the same run."""

import numpy as np
import pytest

pytest.importorskip("ipi")

from helpers.ipi_inputs import PILE, run_toy
from helpers.stored_runs import stream_of

from aptnn_md.stream.frame import ESTIMATORS

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]

OUTPUTS = """
    <trajectory filename='pos' stride='2'> positions{angstrom} </trajectory>
    <trajectory filename='vel' stride='2'> velocities </trajectory>"""


@pytest.mark.parametrize("n_beads", [1, 3])
def test_beads_that_ipi_wrote_give_the_stream_of_the_run(tmp_path, monkeypatch, n_beads, caplog):
    dynamics = {"mode": "nvt", "thermostat": PILE} if n_beads > 1 else {}
    stream, _ = run_toy(
        tmp_path, monkeypatch, stream={"stride": 2}, n_beads=n_beads, outputs=OUTPUTS, steps=40,
        checkpoint=100, timestep=0.5, **dynamics,
    )  # fmt: skip
    positions, velocities = (sorted(tmp_path.glob(f"run.{kind}_*.xyz")) for kind in ("pos", "vel"))
    assert len(positions) == len(velocities) == n_beads
    with caplog.at_level("INFO"):
        reader = stream_of(
            tmp_path / "s",
            positions,
            velocity_files=tuple(velocities),
            n_beads=n_beads,
            groups="element",
            estimators=ESTIMATORS,
        )
    np.testing.assert_array_equal(reader.step, stream.step)
    assert (reader.header.stride, reader.header.system) == (2, stream.header.system)
    for name in ESTIMATORS:
        expected = stream.dipole_rate(name)
        # i-PI writes six digits
        atol = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(reader.dipole_rate(name), expected, atol=atol, err_msg=name)
    np.testing.assert_allclose(reader.read("temperature"), stream.read("temperature"), rtol=1e-4)
    np.testing.assert_allclose(reader.f_sum, stream.f_sum, rtol=1e-4)
    assert ("momenta over physical masses" in caplog.text) == (n_beads > 1)
