"""The examples of i-PI, with fewer steps."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

from aptnn_md.stream import StreamReader

pytest.importorskip("ipi")
if importlib.util.find_spec("mace") is None:  # without importing it: that changes settings
    pytest.skip("needs mace-torch", allow_module_level=True)
pytestmark = [pytest.mark.ipi, pytest.mark.mace]


def run_example(name, directory, steps, from_steps):
    """Copy it with what it refers to, shorten it, run its script; what it prints."""
    shutil.copytree(ROOT / "drivers", directory / "drivers")
    example = directory / "examples" / name
    shutil.copytree(ROOT / "examples" / name, example)
    text = (example / "input.xml").read_text()
    assert f"<total_steps>{from_steps}</total_steps>" in text
    short = text.replace(f"<total_steps>{from_steps}<", f"<total_steps>{steps}<")
    (example / "input.xml").write_text(short)
    # the short run has too few frames for a spectrum
    script = (example / "run.sh").read_text().splitlines()
    kept = [line for line in script if not line.startswith("aptnn-md spectrum")]
    (example / "run.sh").write_text("\n".join(kept) + "\n")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["./run.sh"], cwd=example, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return example, done.stdout


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
