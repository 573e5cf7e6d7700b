"""The examples of i-PI, with fewer steps."""

import importlib.util

import numpy as np
import pytest
from helpers.ipi_examples import run_example
from helpers.ipi_inputs import KELVIN, Checkpoint

from aptnn_md.stream import StreamReader

pytest.importorskip("ipi")
if importlib.util.find_spec("mace") is None:  # without importing it: that changes settings
    pytest.skip("needs mace-torch", allow_module_level=True)
pytestmark = [pytest.mark.ipi, pytest.mark.mace]


@pytest.mark.slow
def test_classical(tmp_path):
    example, _ = run_example("ipi_classical", tmp_path, 16, 400)
    stream = StreamReader(example / "water.zarr")
    assert list(stream.step) == list(range(0, 17, 4))
    assert stream.header.ensemble == "classical, NVT, SVR 100 fs"
    assert "dipole_rate" in (example / "water.out").read_text()


@pytest.mark.slow
def test_molecule(tmp_path):
    shorter = (
        ("sample.xml", "<total_steps>8001<", "<total_steps>21<"),
        ("sample.xml", "stride='1000'", "stride='10'"),
        ("run.sh", "1 2 3 4 5 6 7 8", "1 2"),
    )
    example, _ = run_example("ipi_molecule", tmp_path, 16, 4800, shorter)
    streams = [StreamReader(example / f"run-{n}" / "water.zarr") for n in (1, 2)]
    for stream in streams:
        assert list(stream.step) == list(range(0, 17, 4))
        assert stream.header.ensemble == "classical, NVE"
        assert (stream.header.volume, stream.header.rotation) == (None, "kept")
    assert not np.allclose(streams[0].dipole_rate(), streams[1].dipole_rate())
    for n, stream in enumerate(streams, 1):
        # it begins with the momenta of the checkpoint
        start = Checkpoint(example / f"sample.start_{n}")
        kinetic = 0.5 * (start.p[0] ** 2 / start.m[:, None]).sum()
        assert stream.read("temperature")[0] == pytest.approx(2.0 * kinetic / (6.0 * KELVIN))


@pytest.mark.thorough
def test_trpmd(tmp_path):
    example, printed = run_example("ipi_trpmd", tmp_path, 4, 60)
    stream = StreamReader(example / "water.zarr")
    assert stream.header.estimators == ("bead", "centroid-apt", "apt-at-centroid")
    assert list(stream.step) == [0, 4]
    assert printed.count("rms difference") == 3
