"""The README's Python runs as it stands, only shorter; it is short, and what it names is there.

Its other blocks stand on pages of the documentation, too, which ``tests/docs`` runs.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.pages import Block, blocks_of, check, words_of
from helpers.paths import ROOT

from aptnn_md.bundled import bundled_path
from aptnn_md.cli import COMMANDS
from aptnn_md.demo import water_box
from aptnn_md.stream import StreamReader

PAGE = ROOT / "README.md"
README = PAGE.read_text(encoding="utf-8")


def block(beginning, page=PAGE):
    """The Python block that follows a heading."""
    text = page.read_text(encoding="utf-8")
    section = text[text.index(beginning) :]
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
    code = block("# Any other code", ROOT / "docs" / "how-to" / "other-code.md")
    exec(code, {"atoms": water_box(), "rate": np.ones(3)})
    assert capsys.readouterr().out == "10000 (10000, 1, 3)\n"


def test_commands_exist():
    named = set(re.findall(r"aptnn-md ([a-z]+)", README))
    assert named <= set(COMMANDS)
    assert {"demo", "train", "evaluate", "predict", "info", "md", "spectrum"} <= named
    for each in blocks_of(PAGE):
        if each.language == "sh":
            check(each)
    inline = re.findall(r"`(aptnn-md [^`]+)`", README)
    for command in (text for text in inline if "COMMAND" not in text and "--driver" not in text):
        if len(words_of(command)) > 2:
            check(Block(0, "sh", command))


def test_it_is_short_and_its_links_lead_somewhere():
    assert len(README.split()) <= 700
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link
