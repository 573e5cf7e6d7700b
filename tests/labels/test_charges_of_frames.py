"""The charge of a frame counts; structures that an engine cannot calculate are refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers import toy_molecules

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.labels import LabelJob
from aptnn_md.labels.engines.interface import load_engine

HYDROXIDE = """2
Properties=species:S:1:pos:R:3 {charge} pbc="F F F"
O        0.00000000       0.00000000       0.00000000
H        0.00000000       0.00000000       0.97000000
"""
POTENTIAL = "helpers.toy_field:FieldPotential"


def label(data: Path, *options: str, engine: str = "tblite") -> tuple[int, list[Atoms]]:
    out = data.with_name("out.extxyz")
    out.unlink(missing_ok=True)
    code = main(["label", "--engine", engine, "--data", str(data), "--out", str(out), *options])
    frames = ase.io.read(out, index=":") if out.exists() else []
    assert isinstance(frames, list)
    return code, frames


@pytest.mark.parametrize(
    "charge",
    ["total_charge=-1", "charge=-1", "charge=-1 total_charge=-1.0", "Charge=-1", "net_charge=-1"],
)
def test_hydroxide_is_an_ion(charge: str, tmp_path: Path) -> None:
    pytest.importorskip("tblite")
    data = tmp_path / "oh.extxyz"
    data.write_text(HYDROXIDE.format(charge=charge))
    code, (atoms,) = label(data)
    assert code == 0
    assert atoms.info["charge"] == -1
    assert atoms.info["total_charge"] == -1
    total = atoms.arrays["apt"].reshape(-1, 3, 3).sum(axis=0)
    np.testing.assert_allclose(total, -np.eye(3), atol=1e-6)


def test_charges_that_disagree(tmp_path: Path, capsys: Any) -> None:
    data = tmp_path / "oh.extxyz"
    data.write_text(HYDROXIDE.format(charge="charge=0 total_charge=-1"))
    assert label(data, engine=POTENTIAL) == (2, [])
    said = capsys.readouterr().err
    assert "oh.extxyz, frame 0: charge: found 0 e by" in said
    assert "-1 e by 'total_charge' of the frame, expected one charge" in said
    data.write_text(HYDROXIDE.format(charge="charge=minus"))
    assert label(data, engine=POTENTIAL) == (2, [])
    assert "'minus', expected a finite number, e" in capsys.readouterr().err


def test_electrons_that_cannot_be_paired(tmp_path: Path, capsys: Any) -> None:
    """A charge that is not said makes a radical of an ion: not with both spins equal."""
    pytest.importorskip("tblite")
    data = tmp_path / "oh.extxyz"
    data.write_text(HYDROXIDE.format(charge=""))
    code, (atoms,) = label(data)
    assert code == 1
    assert "9 electrons at charge 0 cannot have 0 unpaired" in capsys.readouterr().err
    assert atoms.info["label_status"] == "failed"
    assert label(data, "--charge", "-1")[0] == 0
    code, (atoms,) = label(data, engine='tblite {"unpaired": 1}')
    assert code == 0
    np.testing.assert_allclose(
        atoms.arrays["apt"].reshape(-1, 3, 3).sum(axis=0), np.zeros((3, 3)), atol=1e-6
    )


def test_ions_and_molecules_in_one_file(tmp_path: Path) -> None:
    """H3O+, H2O and OH-: --charge is for those that do not say."""
    pytest.importorskip("tblite")
    hydronium = Atoms(
        "OH3", [[0, 0, 0.1], [0.93, 0, -0.2], [-0.47, 0.81, -0.2], [-0.47, -0.81, -0.2]]
    )
    hydronium.info["charge"] = 1
    water = Atoms("OH2", [[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0.03, 0.59]])
    hydroxide = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]])
    hydroxide.info["total_charge"] = -1
    data = tmp_path / "in.extxyz"
    ase.io.write(data, [hydronium, water, hydroxide], format="extxyz")
    code, frames = label(data)
    assert code == 0
    sums = [atoms.arrays["apt"].reshape(-1, 3, 3).sum(axis=0) for atoms in frames]
    for total, charge in zip(sums, (1.0, 0.0, -1.0), strict=True):
        np.testing.assert_allclose(total, charge * np.eye(3), atol=1e-6)
    assert [atoms.info.get("charge", 0) for atoms in frames] == [1, 0, -1]
    code, frames = label(data, "--charge", "2")
    assert [atoms.info["charge"] for atoms in frames] == [1, 2, -1]


@pytest.mark.parametrize(("engine", "name"), [("tblite", "tblite"), ("pyscf", "PySCF")])
@pytest.mark.parametrize("pbc", [True, [False, False, True]])
def test_periodic_cells_are_refused_before_any_point(
    engine: str, name: str, pbc: Any, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip(engine)
    water = Atoms("OH2", [[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0.03, 0.59]])
    box = water.copy()
    box.set_cell([6, 6, 6])
    box.pbc = pbc
    data = tmp_path / "in.extxyz"
    ase.io.write(data, [water, box], format="extxyz")
    assert label(data, engine=engine) == (2, [])
    said = capsys.readouterr().err
    assert f"in.extxyz, frame 1: pbc: found a periodic cell, which {name} cannot" in said
    for way_out in ("--cluster RADIUS", "--engine cp2k", 'pbc="F F F"'):
        assert way_out in said
    assert not list(tmp_path.glob("out.extxyz.work/*"))


def test_molecules_are_refused_by_cp2k() -> None:
    from aptnn_md.labels.engines.cp2k import CP2K

    engine = object.__new__(CP2K)
    with pytest.raises(InputError, match="--engine tblite or pyscf"):
        engine.check(Atoms("He"), 0.0)
    engine.check(Atoms("He", cell=[4, 4, 4], pbc=True), 0.0)


def test_a_calculator_that_knows_its_charge() -> None:
    engine = load_engine(POTENTIAL)
    atoms = toy_molecules.structure(1)
    engine.check(atoms, -1.0)  # it does not say
    engine.calculator.parameters = {"charge": 0}  # type: ignore[attr-defined]
    engine.check(atoms, 0.0)
    with pytest.raises(InputError, match="charge: found -1, and 0 in the calculator"):
        engine.check(atoms, -1.0)


def test_clusters_have_the_charges_of_their_molecules(tmp_path: Path, capsys: Any) -> None:
    """A frame that says it is charged, and molecules that are said to be neutral."""
    atoms = toy_molecules.structure(2, seed=1)
    formula = atoms[:3].get_chemical_formula()
    data = tmp_path / "in.extxyz"
    for charge, options, code in (
        (None, [], 0),
        (0, [], 0),
        (-2, [], 2),
        (-2, ["--molecule-charges", f"{formula}=-1"], 1),  # the toy itself is neutral
    ):
        frame = atoms.copy()
        if charge is not None:
            frame.info["charge"] = charge
        ase.io.write(data, frame, format="extxyz")
        found, _ = label(data, "--cluster", "2.0", *options, engine=POTENTIAL)
        assert found == code, (charge, options)
    said = capsys.readouterr().err
    assert "frame 0: charge: found -2 in the frame, 0 in its molecules" in said
    assert f"--molecule-charges ({formula})" in said


def test_settings_are_checked_where_they_are() -> None:
    """Python users and the command meet the same checks."""
    with pytest.raises(InputError, match="--property"):
        LabelJob([], POTENTIAL, Path("o"), properties=("colour",))
    with pytest.raises(InputError, match="--property"):
        LabelJob([], POTENTIAL, Path("o"), properties=("apt", "apt"))
    with pytest.raises(InputError, match="jobs: found 0, expected a whole number from 1"):
        LabelJob([], POTENTIAL, Path("o"), jobs=0)
