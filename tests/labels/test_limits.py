"""Limits of the checks: the size of the system, a wrong charge, outliers, the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from helpers import toy_molecules

from aptnn_md.arrays import FloatArray
from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.labels.checks import LIMITS, figures, parse_limits, places, scale, verdict
from aptnn_md.labels.frame_labels import Labels


def crystal(charges: dict[str, float], repeat: int = 1) -> tuple[Atoms, FloatArray]:
    """Rock salt with isotropic tensors of each element."""
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (repeat, repeat, repeat)
    numbers = np.array([charges[symbol] for symbol in atoms.symbols])
    return atoms, numbers[:, None, None] * np.eye(3)


def judged(atoms: Atoms, apt: FloatArray, charge: float = 0.0, **limits: float) -> str:
    labels = Labels({"apt": apt})
    found = figures(labels, atoms, charge)
    return verdict(found, {**LIMITS, **limits}, len(atoms), places(labels, atoms, charge))


@pytest.mark.parametrize(
    ("cation", "refused"), [(1.09, False), (1.085 + 0.039, False), (1.085 + 0.041, True)]
)
def test_supercells_have_the_verdict_of_their_cell(cation: float, refused: bool) -> None:
    verdicts = [judged(*crystal({"Na": cation, "Cl": -1.085}, repeat)) for repeat in (1, 2, 3)]
    assert [bool(text) for text in verdicts] == 3 * [refused]
    if refused:
        assert "acoustic_sum 0.328 above 0.02 for each of 16 atoms" in verdicts[1]


@pytest.mark.parametrize("repeat", [1, 2])
def test_the_same_tensors_in_files_of_phonopy(repeat: int, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("phonopy")
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (repeat, repeat, repeat)
    ase.io.write(tmp_path / "POSCAR", atoms, format="vasp", sort=True)
    ordered = ase.io.read(tmp_path / "POSCAR", format="vasp")
    assert isinstance(ordered, Atoms)
    first = 1.09 if ordered.symbols[0] == "Na" else -1.085
    rows = [" ".join(map(str, (z * np.eye(3)).ravel())) for z in (first, 1.09 - 1.085 - first)]
    (tmp_path / "BORN").write_text("\n".join(["14.4", "2.4 0 0 0 2.4 0 0 0 2.4", *rows]) + "\n")
    out = tmp_path / "out.extxyz"
    command = ["label", "--import", str(tmp_path / "BORN"), "--out", str(out)]
    assert main([*command, "--structure", str(tmp_path / "POSCAR")]) == 0
    found = ase.io.read(out)
    assert isinstance(found, Atoms)
    assert found.info["label_acoustic_sum"] == pytest.approx(0.005 * repeat**3)


def test_tensors_of_published_crystals_pass() -> None:
    """Anatase and zinc oxide as in examples of phonopy: 0.016 and 0.015 e per atom."""
    anatase = Atoms("Ti4O8", cell=[3.83, 3.83, 9.66], pbc=True)
    apt = np.array([[7.04188, 7.04188, 6.23070]] * 4 + [[-5.93192, -1.15699, -3.12063]] * 4)
    apt = np.concatenate([apt, [[-1.15699, -5.93192, -3.12063]] * 4])
    assert judged(anatase, apt[:, :, None] * np.eye(3)) == ""
    oxide = Atoms("Zn2O2", cell=[3.29, 3.29, 5.30], pbc=True)
    apt = np.array([[2.1195, 2.1195, 2.14964]] * 2 + [[-2.14963, -2.14963, -2.12582]] * 2)
    assert judged(oxide, apt[:, :, None] * np.eye(3)) == ""


def test_sums_scale_as_their_errors_do() -> None:
    assert scale("acoustic_sum", 16) == scale("pgt_acoustic_sum", 16) == 16
    assert scale("rotational_sum", 16) == scale("pgt_rotational_sum", 16) == 4
    assert scale("magnitude", 16) == scale("asymmetry", 16) == 1


@pytest.mark.parametrize("repeat", [1, 2, 5])
@pytest.mark.parametrize("other", [-1.0, 1.0, 2.0])
def test_a_wrong_charge_is_seen_at_any_size(repeat: int, other: float) -> None:
    """Also where the limit of the sum is larger than the charge: 250 atoms, 5 e."""
    atoms, apt = crystal({"Na": 1.1, "Cl": -1.1}, repeat)
    atoms.pbc = False
    apt = apt + other / len(atoms) * np.eye(3)
    assert judged(atoms, apt, other, rotational_sum=1e3) == ""
    text = judged(atoms, apt, 0.0)
    assert f"sum to the charge {other:g}, the frame has 0" in text
    assert "--charge" in text
    assert "--limit charge_mismatch=" in text
    # a residue that is no charge is not taken for one
    leaning = apt - other / len(atoms) * np.diag([1.0, 1.0, -0.5])
    assert "charge_mismatch" not in judged(atoms, leaning, 0.0)


def test_outliers_name_frame_and_atom(tmp_path: Path, capsys: Any) -> None:
    frames = []
    for k in range(4):
        atoms, apt = crystal({"Na": 1.1, "Cl": -1.1}, 2)
        if k == 1:  # one tensor of another unit or a lost decimal point
            apt[5] *= 10.0
        if k == 2:  # a sum of 64 e that no single tensor shows
            apt[apt[:, 0, 0] > 0] += 4.0 * np.diag([2.0, 0.0, 0.0])
        if k == 3:  # rule obeyed, and yet nonsense
            apt[3] += 30.0 * np.diag([1.0, 0.0, 0.0])
            apt[4] -= 30.0 * np.diag([1.0, 0.0, 0.0])
        atoms.arrays["bec"] = apt.reshape(-1, 9)
        frames.append(atoms)
    path, out = tmp_path / "set.extxyz", tmp_path / "out.extxyz"
    ase.io.write(path, frames, format="extxyz")
    assert main(["label", "--import", str(path), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1 of 4 frames labelled" in said
    lines = {line.split(")")[0]: line for line in said.splitlines() if "failed" in line}
    one, two, three = (lines[f"frame {k} (set.extxyz, frame {k}"] for k in (1, 2, 3))
    assert "atom 5 (Cl) departs most from its element's others" in one
    assert "acoustic_sum 64 above 0.02 for each of 16 atoms" in two
    assert "magnitude 28.9 above 20 on atom 3 (Cl)" in three
    assert "acoustic_sum" not in three
    assert said.count("--limit") >= 3
    found = ase.io.read(out, index=":")
    assert [atoms.info["label_status"] for atoms in found] == ["ok", "failed", "failed", "failed"]  # type: ignore[union-attr]
    assert np.isnan(found[3].arrays["apt"]).all()  # type: ignore[union-attr]


def test_what_the_message_says_is_enough(tmp_path: Path) -> None:
    """Every refusal names an option, and with this option the labels pass."""
    rng = np.random.default_rng(0)
    atoms = Atoms(toy_molecules.structure(1).numbers, toy_molecules.structure(1).positions)
    labels = Labels(
        {"apt": 30.0 * rng.normal(size=(3, 3, 3)), "pgt": 999.0 * rng.normal(size=(3, 3, 3, 3))},
        dipole=rng.normal(size=3),
        polarizability=rng.normal(size=(3, 3)),
        linearity={"apt": 0.123, "pgt": 4.56},
    )
    found = figures(labels, atoms, 0.0)
    text = verdict(found, LIMITS, 3, places(labels, atoms, 0.0))
    assert set(found) == set(LIMITS) - {"charge_mismatch"}
    options = [part.split(" accepts")[0] for part in text.split("--limit ")[1:]]
    assert len(options) == len(found)
    assert verdict(found, parse_limits(options), 3) == ""


@pytest.mark.parametrize("text", ["acoustic_sum", "acoustic_sum=x", "acoustic_sum=-1", "x=1"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="NAME=VALUE, 0 or more, with a name of acoustic_sum"):
        parse_limits([text])
