"""The examples of fields and of other programs as clients, with fewer steps."""

import importlib.util
import re
import shutil
import subprocess

import pytest

pytest.importorskip("ipi")
if importlib.util.find_spec("mace") is None:  # without importing it: that changes settings
    pytest.skip("needs mace-torch", allow_module_level=True)

from helpers.ipi_examples import run_example
from helpers.paths import ROOT

from aptnn_md.stream import StreamReader

pytestmark = [pytest.mark.ipi, pytest.mark.mace]


@pytest.mark.slow
def test_field(tmp_path):
    _, printed = run_example("ipi_field", tmp_path, 20, 120)
    energies = re.search(r"energy in the field: (\S+) eV by i-PI, (\S+) eV by the stream", printed)
    by_ipi, by_stream = map(float, energies.groups())
    assert abs(by_ipi) > 0.005
    assert by_stream == pytest.approx(by_ipi, abs=0.002)
    spread, work = map(float, re.findall(r"within (\S+) meV; the field did (\S+) eV", printed)[0])
    assert spread < 0.5 * 1000 * work + 10


@pytest.mark.thorough
@pytest.mark.cp2k
@pytest.mark.skipif(shutil.which("cp2k") is None, reason="there is no cp2k")
def test_external_code(tmp_path):
    example, printed = run_example("ipi_external_code", tmp_path, 4, 40)
    if "skipped: no directory" in printed:
        pytest.skip("there is no committee for METHOD NNP")
    stream = StreamReader(example / "water.zarr")
    assert list(stream.step) == [0, 4]
    assert stream.header.groups == ("H", "O")
    assert stream.dipole_rate().any()


def test_without_cp2k_it_says_so(tmp_path):
    example = tmp_path / "ipi_external_code"
    shutil.copytree(ROOT / "examples" / "ipi_external_code", example)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to(shutil.which("dirname"))
    done = subprocess.run(
        ["/bin/sh", "run.sh"],
        cwd=example,
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("skipped: there is no cp2k here")
