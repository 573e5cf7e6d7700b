"""Droplets and boxes of the example of liquid methanol."""

from __future__ import annotations

import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.geometry import get_distances
from helpers.paths import EXAMPLES

pytest.importorskip("tblite")


@pytest.fixture
def methanol(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # a script
    monkeypatch.syspath_prepend(EXAMPLES / "liquid_methanol")
    sys.modules.pop("methanol", None)
    import methanol

    return methanol


def test_a_box_has_the_density_of_the_liquid_and_whole_molecules(methanol) -> None:  # type: ignore[no-untyped-def]
    atoms = methanol.box(8, 3)
    grams = atoms.get_masses().sum() / 6.02214076e23
    assert grams / (atoms.get_volume() * 1e-24) == pytest.approx(0.7866, rel=1e-5)
    assert atoms.get_chemical_formula() == "C8H32O8"
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    molecule = np.arange(len(atoms)) // 6
    others = distances[molecule[:, None] != molecule[None, :]]
    assert others.min() > methanol.NEAREST
    # none is mirrored: an O-H bond has the length that it has, and C, O, H, H, H turn one way
    assert np.ptp([distances[k, k + 1] for k in range(0, 48, 6)]) < 1e-9
    assert not np.allclose(methanol.box(8, 4).positions, atoms.positions)


@pytest.mark.thorough
def test_frames_of_a_droplet_have_energies_and_forces(
    methanol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(methanol, "RELAXATION", 6)
    monkeypatch.setattr(methanol, "STEPS", 20)
    out = tmp_path / "frames.extxyz"
    command = ["methanol.py", "droplets", str(out), "--droplets", "1", "--molecules", "2"]
    monkeypatch.setattr("sys.argv", command)
    methanol.main()
    frames = ase.io.read(out, ":")
    assert len(frames) >= 1 + 2  # of the relaxation, and of the dynamics
    for atoms in frames:
        assert not atoms.pbc.any()
        assert np.abs(atoms.get_forces().sum(axis=0)).max() < 1e-6
        assert atoms.get_potential_energy() < -400.0
    written = out.stat().st_mtime_ns
    methanol.main()  # a file that is there is not made again
    assert out.stat().st_mtime_ns == written


def test_the_last_clusters_are_held_out(methanol, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    clusters = tmp_path / "clusters.extxyz"
    ase.io.write(clusters, [Atoms("H", [[float(k), 0.0, 0.0]]) for k in range(15)])
    for words in (["divide", str(clusters)], ["last", "start.extxyz", "--start", str(clusters)]):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["methanol.py", *words])
        methanol.main()
    x = {
        name: [float(a.positions[0, 0]) for a in ase.io.read(tmp_path / f"{name}.extxyz", ":")]
        for name in ("clusters-train", "clusters-test", "start")
    }
    assert x["clusters-train"] == list(range(13))
    assert x["clusters-test"] == [13.0, 14.0]
    assert x["start"] == [14.0]
