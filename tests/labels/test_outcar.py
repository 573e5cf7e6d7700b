"""Born effective charges from OUTCAR: a real output of VASP with the blocks of its versions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.cli import main

N_ATOMS = 18
HEADS = {
    "5, LEPSILON": " BORN EFFECTIVE CHARGES (in e, cummulative output)",
    "5, local fields": " BORN EFFECTIVE CHARGES (including local field effects) "
    "(in e, cummulative output)",
    "6": " BORN EFFECTIVE CHARGES (including local field effects) (in |e|, cummulative output)",
    "LCALCEPS": " BORN EFFECTIVE CHARGES (including local field effects)",
}


@pytest.fixture(scope="module")
def outcar() -> str:
    """One ionic step of 18 atoms, kept among ASE's own tests; VASP 5.3.3."""
    spec = importlib.util.find_spec("ase")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "test/testdata/vasp/OUTCAR_example_1"
    if not path.is_file():
        pytest.skip("this ASE comes without its test data")
    return path.read_text()


def charges(seed: int = 0) -> FloatArray:
    """Tensors that are not symmetric and sum to zero, with the digits of VASP."""
    rng = np.random.default_rng(seed)
    found = np.round(rng.normal(size=(N_ATOMS, 3, 3)), 5)
    found[-1] -= found.sum(axis=0)
    return np.round(found, 5)


def block(head: str, tensors: FloatArray, width: int = 12) -> str:
    lines = [head, " " + "-" * 60]
    for k, tensor in enumerate(tensors):
        lines.append(f" ion {k + 1:4d}")
        lines += [f"{a + 1:5d}" + "".join(f"{x:{width}.5f}" for x in tensor[a]) for a in range(3)]
    return "\n".join([*lines, "", ""])


def imported(path: Path, *options: str) -> list[Atoms]:
    out = path.with_name("out.extxyz")
    assert main(["label", "--import", str(path), "--out", str(out), *options]) == 0
    frames = ase.io.read(out, index=":")
    assert isinstance(frames, list)
    return frames


def apt_of(atoms: Atoms) -> FloatArray:
    return np.asarray(atoms.arrays["apt"]).reshape(-1, 3, 3)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("name", ["OUTCAR", "job.born", "OUTCAR.3"])
def test_every_header(head: str, name: str, outcar: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(outcar + block(head, charges()))
    (atoms,) = imported(path)
    np.testing.assert_allclose(apt_of(atoms), charges(), atol=1e-7)
    reference = tmp_path / "OUTCAR.reference"
    reference.write_text(outcar)
    structure = ase.io.read(reference, format="vasp-out")
    assert isinstance(structure, Atoms)
    assert atoms.get_chemical_symbols() == structure.get_chemical_symbols()
    np.testing.assert_allclose(atoms.positions, structure.positions, atol=1e-6)
    np.testing.assert_allclose(atoms.cell, structure.cell, atol=1e-6)
    assert atoms.pbc.all()
    np.testing.assert_allclose(atoms.get_forces(), structure.get_forces(), atol=1e-7)
    (atoms,) = imported(path, "--transpose")
    np.testing.assert_allclose(apt_of(atoms), charges().transpose(0, 2, 1), atol=1e-7)


def test_blocks_without_local_fields_are_not_taken(
    outcar: str, tmp_path: Path, capsys: Any
) -> None:
    excluding = block(" BORN EFFECTIVE CHARGES (excluding local field effects)", charges(1))
    path = tmp_path / "OUTCAR"
    for text in (
        outcar + block(HEADS["6"], charges()) + excluding,
        outcar + excluding + block(HEADS["LCALCEPS"], charges()),
    ):
        path.write_text(text)
        np.testing.assert_allclose(apt_of(imported(path)[0]), charges(), atol=1e-7)
    path.write_text(outcar + excluding)
    command = ["label", "--import", str(path), "--out", str(tmp_path / "o.extxyz")]
    assert main(command) == 2
    assert "found only those excluding local field effects, expected" in capsys.readouterr().err
    path.write_text(outcar)
    assert main(command) == 2
    assert "found none, expected those of a run with LEPSILON" in capsys.readouterr().err


def moved(outcar: str) -> str:
    """A second ionic step: the same text from its first iteration on, with one atom elsewhere."""
    lines = outcar.splitlines()
    start = next(k for k, line in enumerate(lines) if "Iteration" in line)
    step = lines[start:]
    table = next(k for k, line in enumerate(step) if "TOTAL-FORCE" in line) + 2
    words = step[table].split()
    words[0] = f"{float(words[0]) + 0.5:.5f}"
    step[table] = "  ".join(words)
    return "\n".join(step) + "\n"


@pytest.mark.parametrize("blocks", ["last", "first", "both"])
def test_several_ionic_steps(blocks: str, outcar: str, tmp_path: Path) -> None:
    """The last block counts, and the structure is that of its ionic step."""
    second = moved(outcar)
    text = outcar + (block(HEADS["6"], charges(1)) if blocks != "last" else "")
    text += second + (block(HEADS["6"], charges(2)) if blocks != "first" else "")
    path = tmp_path / "OUTCAR"
    path.write_text(text)
    steps = ase.io.read(path, index=":", format="vasp-out")
    assert isinstance(steps, list)
    assert len(steps) == 2
    assert np.abs(steps[0].positions - steps[1].positions).max() == pytest.approx(0.5)
    (atoms,) = imported(path)
    number = 0 if blocks == "first" else 1
    np.testing.assert_allclose(atoms.positions, steps[number].positions, atol=1e-6)
    np.testing.assert_allclose(apt_of(atoms), charges(number + 1), atol=1e-7)


def test_numbers_that_touch(outcar: str, tmp_path: Path) -> None:
    tensors = charges()
    tensors[0, 0], tensors[1, 0] = [-10.12345, -11.5, -12.25], [10.12345, 11.5, 12.25]
    tensors[-1] -= tensors.sum(axis=0)
    text = block(HEADS["6"], tensors, width=9)
    assert "-10.12345-11.50000-12.25000" in text
    (tmp_path / "OUTCAR").write_text(outcar + text)
    (atoms,) = imported(tmp_path / "OUTCAR")
    np.testing.assert_allclose(apt_of(atoms), tensors, atol=1e-7)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (" ion    7", " ion    9", "18 rows"),
        (" ion   18", " end", "51 rows"),
        ("    2 ", "    x ", "1 rows"),
        ("    1 ", "    1 ***********", "0 rows"),
    ],
)
def test_blocks_that_are_not_whole(
    old: str, new: str, found: str, outcar: str, tmp_path: Path, capsys: Any
) -> None:
    text = block(HEADS["6"], charges())
    assert old in text
    if "*" in new:
        text = text.replace(text.splitlines()[3], "    1 ************     0.00000     0.00000", 1)
    else:
        text = text.replace(old, new, 1)
    (tmp_path / "OUTCAR").write_text(outcar + text)
    command = ["label", "--import", str(tmp_path / "OUTCAR"), "--out", str(tmp_path / "o.extxyz")]
    assert main(command) == 2
    assert f"found {found} that can be read, after line" in capsys.readouterr().err
