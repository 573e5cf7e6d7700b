"""The example of a general model: its molecules, frames and labels, with few of them."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES

from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile, read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor

pytest.importorskip("rdkit")
pytest.importorskip("tblite")
EXAMPLE = EXAMPLES / "organic_apt"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts of the example can be imported."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in (
        "molecules",
        "groups",
        "frames",
        "small_frames",
        "curve",
        "thermal",
        "xtb_motion",
        "compact",
        "good_frames",
        "errors",
        "bands",
    ):
        monkeypatch.delitem(sys.modules, name, raising=False)


def python(here: Path, script: str, *arguments: str) -> str:
    return run_command(here, sys.executable, str(EXAMPLE / script), *arguments)


@pytest.mark.thorough
def test_training_and_test_share_no_molecule_and_no_other_element(scripts: None) -> None:
    from groups import more_species
    from molecules import WATER, species
    from rdkit import Chem

    lists = {**species(), **more_species()}
    assert len(lists) == len(species()) + len(more_species())
    molecules: dict[bool, set[str]] = {False: set(), True: set()}
    elements, kinds = set(), Counter()
    for kind, found in lists.items():
        assert len({frozenset(Counter(s.smiles).items()) for s in found}) == len(found)
        for one in found:
            kinds[kind, one.held_out] += 1
            for smiles in one.smiles:
                atoms = Chem.AddHs(Chem.MolFromSmiles(smiles)).GetAtoms()
                elements |= {atom.GetSymbol() for atom in atoms}
                assert not any(atom.GetNumRadicalElectrons() for atom in atoms)
                if not one.held_out and smiles != WATER:
                    molecules[False].add(Chem.CanonSmiles(smiles, useChiral=0))
            if one.held_out and len(one.smiles) == 1:
                molecules[True].add(Chem.CanonSmiles(one.smiles[0], useChiral=0))
    assert elements == {"H", "C", "N", "O", "F", "S"}
    assert not molecules[False] & molecules[True]
    assert {"CC(N)=O", "CNC(C)=O", "CCO"} <= molecules[True]
    assert len(molecules[False]) > 5000
    # each class but water has molecules of both
    assert all(kinds[kind, held_out] for kind in lists if kind != "water" for held_out in (0, 1))


def test_a_group_of_the_test_is_seen_on_other_cores(scripts: None) -> None:
    from groups import CORES, NITROGEN, SULFUR, more_species

    seen = {one.smiles[0] for one in more_species()["functional"] if not one.held_out}
    for group in (*SULFUR.split(), *NITROGEN.split()):
        assert sum(core + group in seen for core in CORES.split()) > 6


def test_frames_of_the_second_list_leave_those_of_the_first_as_they_are(scripts: None) -> None:
    from frames import MORE_FROM, make_frame

    # as the labels of the example have it
    first = make_frame(2)
    assert (first.info["smiles"], first.info["number"]) == ("NC(=O)c1cccnc1", 2)
    more = make_frame(MORE_FROM + 4)
    assert more.info["smiles"] == "N#CCC(=S)SC"
    again = make_frame(MORE_FROM + 4)
    np.testing.assert_array_equal(more.positions, again.positions)


def test_small_species_come_first_and_known_ones_are_left_out(scripts: None) -> None:
    from small_frames import STEP, chosen, name_of, size

    everything = chosen(70, 0.2, set())
    sizes = [size(one) // STEP for one in everything if not one.held_out]
    assert sizes == sorted(sizes)
    assert max(map(size, everything)) <= 70
    names = [name_of(one.smiles) for one in everything]
    assert len(set(names)) == len(names)
    assert {one.held_out for one in everything[:10]} == {True, False}
    fewer = chosen(70, 0.2, {names[0], names[3]})
    assert set(names) - {name_of(one.smiles) for one in fewer} >= {names[0], names[3]}


def test_the_learning_curve_finds_a_power_law(scripts: None) -> None:
    from curve import labels_needed, power_law

    counts = [25, 50, 100, 200]
    errors = [0.7 * n**-0.4 for n in counts]
    assert power_law(counts, errors) == pytest.approx((0.7, -0.4))
    assert labels_needed(counts, errors, 0.03) == pytest.approx((0.7 / 0.03) ** 2.5)
    assert labels_needed(counts, [0.1, 0.11, 0.11, 0.12], 0.03) == np.inf


@pytest.mark.thorough
def test_a_frame_is_the_same_in_whatever_portion_it_is_made(scripts: None, tmp_path: Path) -> None:
    python(tmp_path, "frames.py", "all.extxyz", "--count", "8", "--largest", "16")
    python(tmp_path, "frames.py", "some.extxyz", "--first", "5", "--count", "2", "--largest", "16")
    every, some = (ase.io.read(tmp_path / f"{name}.extxyz", ":") for name in ("all", "some"))
    assert [atoms.info["number"] for atoms in some] == [5, 6]
    for one, other in zip(some, every[5:7], strict=True):
        assert one.info["smiles"] == other.info["smiles"]
        np.testing.assert_array_equal(one.positions, other.positions)
    assert all((atoms.numbers.sum() - atoms.info["charge"]) % 2 == 0 for atoms in every)


@pytest.mark.thorough
def test_cheap_labels_continue_where_they_stopped_and_obey_the_sum_rule(
    scripts: None, tmp_path: Path
) -> None:
    python(tmp_path, "frames.py", "frames.extxyz", "--count", "5", "--largest", "14")
    python(tmp_path, "cheap_labels.py", "frames.extxyz", "out.extxyz", "--seconds", "0")
    assert not (tmp_path / "out.extxyz").exists()
    python(tmp_path, "cheap_labels.py", "frames.extxyz", "out.extxyz", "--every", "2")
    python(tmp_path, "cheap_labels.py", "frames.extxyz", "out.extxyz")
    done = ("--done", "out.extxyz")
    python(tmp_path, "cheap_labels.py", "frames.extxyz", "other.extxyz", *done)
    assert not (tmp_path / "other.extxyz").exists()
    labelled = ase.io.read(tmp_path / "out.extxyz", ":")
    assert Counter(atoms.info["number"] for atoms in labelled) == dict.fromkeys(range(5), 2)
    for atoms in labelled:
        total = atoms.arrays["apt"].reshape(-1, 3, 3).sum(axis=0)
        # five digits of each atom
        np.testing.assert_allclose(total, atoms.info["charge"] * np.eye(3), atol=2e-4)
    moved = [atoms for atoms in labelled if atoms.info.get("motion") == "GFN2-xTB"]
    assert len(moved) == 5
    assert all(np.abs(a.positions).max() < 20.0 for a in moved)


def test_good_frames_are_small_ones_of_all_classes_first(scripts: None) -> None:
    from ase.build import molecule
    from good_frames import chosen, size

    frames = []
    for kind in ("monomer", "ion"):
        for name in ("CH3CONH2", "CH4", "C6H6", "H2O", "CH3CH2OH"):
            atoms = molecule(name)
            atoms.info.update(kind=kind, smiles=name + kind)
            frames += [atoms, atoms.copy()]
    found = chosen(frames, 1.0)
    of_kind = {
        kind: [size(a) for a in found if a.info["kind"] == kind] for kind in ("monomer", "ion")
    }
    assert of_kind["monomer"] == sorted(map(size, frames[:10:2]))  # no molecule twice
    assert of_kind["ion"] == sorted(of_kind["ion"])
    assert len(of_kind["ion"]) == 10  # ions may come twice
    first = [atoms.info["kind"] for atoms in found[:5]]
    assert set(first) == {"monomer", "ion"}


def test_calibration_is_the_ratio_of_error_and_spread(scripts: None) -> None:
    from errors import by_class, calibration

    random = np.random.default_rng(5)
    sizes, factor = random.integers(3, 9, size=400), 2.5
    members, errors = [], []
    for n in sizes:
        scale = np.exp(random.normal(size=(n, 1, 1)))
        of_members = scale * random.normal(size=(4, n, 3, 3))
        members.append(of_members)
        errors.append(factor * scale * random.normal(size=(n, 3, 3)))
    found = calibration(errors, members)
    assert found["factor"] == pytest.approx(factor, rel=0.1)
    assert found["factor_of_fifth_1"] == pytest.approx(factor, rel=0.2)
    assert found["correlation"] > 0.8
    frames = [ase.Atoms("H" * n, info={"kind": "ion", "charge": int(n % 2)}) for n in sizes]
    table = by_class(frames, errors)
    assert table["ions"]["frames"] == int((sizes % 2).sum())
    together = np.concatenate([e.ravel() for e in errors])
    assert table["all"]["rmse"] == pytest.approx(np.sqrt(np.mean(together**2)))


@pytest.mark.thorough
def test_bands_are_those_of_the_same_modes_by_both_tensors(
    scripts: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import bands
    from helpers.systems import SMALL_ACE

    def printed(*arguments: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["bands.py", *arguments])
        capsys.readouterr()
        bands.main()
        return capsys.readouterr().out.splitlines()

    monkeypatch.chdir(tmp_path)
    printed("minima", "minima.extxyz", "--count", "1", "--largest", "120")
    (ethanol,) = ase.io.read(tmp_path / "minima.extxyz", ":")
    assert ethanol.info["smiles"] == "CCO"
    networks = [fresh_model("ace", "apt", (1, 6, 8), SMALL_ACE, seed) for seed in range(2)]
    members = tuple(network.state_dict() for network in networks)
    content = ModelFile("ace", networks[0].settings, "apt", members)
    write_model_file(tmp_path / "model.pt", content)
    model = Predictor(read_model_file(tmp_path / "model.pt"))
    apt = model.evaluate([ethanol])[0]["apt"].mean(axis=0)
    wavenumber, intensity = bands.intensities(ethanol, apt)
    assert len(wavenumber) == 3 * 9 - 6
    assert 3300.0 < wavenumber[-1] < 3800.0  # the OH stretch
    n_strong = (intensity > 0.1 * intensity.max()).sum()
    # labels of tensors larger by a tenth: every band by 21 %
    ethanol.arrays["apt"] = (1.1 * apt).reshape(-1, 9)
    ase.io.write(tmp_path / "labelled.extxyz", ethanol)
    *_, of_bands, of_apts = printed("compare", "model.pt", "labelled.extxyz")
    assert of_bands == (
        f"{n_strong} bands of 1 molecules: rms 17.4 %, median 17.4 %, 100 % within 20 %"
    )
    off = np.sqrt(np.mean((0.1 * apt) ** 2))
    found = re.fullmatch(r"their APTs: RMSE (.*) e, median of the minima (.*) e", of_apts)
    assert found
    assert [float(number) for number in found.groups()] == pytest.approx([off, off])
    # what the networks' spread promises: a large factor covers all, a small one nothing
    for factor, share in (("1e3", 100), ("1e-6", 0)):
        *_, last = printed("compare", "model.pt", "labelled.extxyz", "--factor", factor)
        assert last.startswith(f"{n_strong} that are strong by the model: {share} % within one")
