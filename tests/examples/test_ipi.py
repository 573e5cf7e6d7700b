"""The examples of i-PI, with fewer steps."""

import importlib.util

import pytest
from helpers.ipi_examples import run_example

from aptnn_md.stream import StreamReader

pytest.importorskip("ipi")
if importlib.util.find_spec("mace") is None:  # without importing it: that changes settings
    pytest.skip("needs mace-torch", allow_module_level=True)
pytestmark = [pytest.mark.ipi, pytest.mark.mace]


def test_classical(tmp_path):
    example, _ = run_example("ipi_classical", tmp_path, 16, 400)
    stream = StreamReader(example / "water.zarr")
    assert list(stream.step) == list(range(0, 17, 4))
    assert stream.header.ensemble == "classical, NVT, SVR 100 fs"
    assert "dipole_rate" in (example / "water.out").read_text()


def test_trpmd(tmp_path):
    example, printed = run_example("ipi_trpmd", tmp_path, 4, 60)
    stream = StreamReader(example / "water.zarr")
    assert stream.header.estimators == ("bead", "centroid-apt", "apt-at-centroid")
    assert list(stream.step) == [0, 4]
    assert printed.count("rms difference") == 3
