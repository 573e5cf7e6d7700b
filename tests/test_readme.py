"""The README's Python runs as it stands, only shorter."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from aptnn_md.bundled import bundled_path
from aptnn_md.demo import water_box
from aptnn_md.stream import StreamReader

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(beginning):
    """The Python block that follows a heading."""
    section = README[README.index(beginning) :]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)


@pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch")
@pytest.mark.mace
def test_in_ase(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("start.extxyz").write_bytes(bundled_path("water64.extxyz").read_bytes())
    code = block("## In ASE")
    assert "40_000" in code
    names = {}
    exec(code.replace("40_000", "8"), names)
    assert StreamReader("water.zarr").step.tolist() == [0, 4, 8]
    tensors = names["atoms"].calc.get_property("born_effective_charges", names["atoms"])
    assert tensors.shape == (192, 3, 3)


def test_from_any_other_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(block("## From any other code"), {"atoms": water_box(), "rate": np.ones(3)})
    assert capsys.readouterr().out == "10000 (10000, 1, 3)\n"


def test_predictor():
    names = {"atoms": water_box()}
    exec(block("## Your own model"), names)
    assert names["deviation"].shape == (192, 3, 3)


def test_commands_exist():
    from aptnn_md.cli import COMMANDS

    named = set(re.findall(r"aptnn-md ([a-z]+)", README))
    assert named <= set(COMMANDS)
    assert {"demo", "train", "evaluate", "predict", "info", "md", "spectrum"} <= named
