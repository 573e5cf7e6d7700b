"""A ``vasprun.xml`` with Born effective charges that are not symmetric."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

# rows as in the file: [field, force]
CHARGES = [
    [[1.1, 0.2, -0.3], [0.4, 1.5, 0.6], [-0.7, 0.8, 1.9]],
    [[-1.1, -0.2, 0.3], [-0.4, -1.5, -0.6], [0.7, -0.8, -1.9]],
]


def vasprun() -> str:
    """A real output of VASP, kept among ASE's own tests, with charges that are not symmetric."""
    spec = importlib.util.find_spec("ase")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).parent / "test/testdata/vasp/vasprun_dfpt.xml"
    if not text.is_file():
        pytest.skip("this ASE comes without its test data")
    lines = text.read_text().splitlines()
    start = next(k for k, line in enumerate(lines) if "born_charges" in line)
    rows = iter(np.array(CHARGES).reshape(-1, 3))
    for k in range(start, start + 12):
        if "<v>" in lines[k]:
            lines[k] = "<v> {:.8f} {:.8f} {:.8f} </v>".format(*next(rows))
    return "\n".join(lines)
