"""The notebook runs from its first cell to its last."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.paths import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "molecule.py"
SHORTER = {
    "range(50)": "range(6)",
    "--max-minutes 1": "--epochs 2",
    "bath.run(1000)": "bath.run(20)",
    "bath.run(300)": "bath.run(10)",
    "dynamics.run(1800)": "dynamics.run(600)",
    "resolution=60.0": "resolution=200.0",
    "--resolution 60": "--resolution 200",
    "range(8)": "range(2)",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "shorter",
    [
        pytest.param(SHORTER, marks=pytest.mark.thorough),
        pytest.param({}, marks=pytest.mark.slow),
    ],
    ids=["short", "whole"],
)
def test_the_notebook_runs(
    shorter: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient")
    jupytext = pytest.importorskip("jupytext")
    pytest.importorskip("ipykernel")
    pytest.importorskip("tblite")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    text = NOTEBOOK.read_text(encoding="utf-8")
    for old, new in shorter.items():
        assert old in text
        text = text.replace(old, new)
    notebook = jupytext.reads(text, fmt="py:percent")
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    residue = re.search(r"sum: (\S+)", printed)
    assert residue is not None
    assert float(residue[1]) < 1e-5
    values = re.findall(r"cm⁻¹: (\d+) ± (\d+) km/mol", printed)
    assert len(values) == 2
    ratio = re.search(r"f-sum ratio: (\S+)", printed)
    assert ratio is not None
    assert 0.2 < float(ratio[1]) < 3.0
    assert (tmp_path / "spectrum.png").stat().st_size > 10_000
    assert "<h1>Infrared spectrum</h1>" in (tmp_path / "report.html").read_text()
