"""Groups of atoms: by element, by molecule in any cell, by the user's labels."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.molecules import molecules
from aptnn_md.atoms.partition import KINDS, parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError


def solution(rng) -> Atoms:
    """Waters, methanols, a sodium and a chloride far from each other, atoms shuffled."""
    atoms = Atoms()
    for n, name in enumerate(["H2O", "CH3OH", "H2O", "CH3OH", "H2O", "H2O"]):
        part = molecule(name)
        part.rotate(rng.uniform(0, 360), rng.normal(size=3))
        part.translate([4.5 * n, 0.3 * n, 2.0] - part.get_center_of_mass())
        atoms += part
    # the ions sit where solvent touches them: Na-O 2.35 Å, Cl-H about 2.2 Å
    oxygen = atoms.positions[atoms.numbers == 8][0]
    atoms += Atoms("NaCl", positions=[oxygen + np.array([0.0, 2.35, 0.0]), [13.5, 8.0, 2.0]])
    return atoms[rng.permutation(len(atoms))]


def partition(index) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(index == m).tolist()) for m in np.unique(index)}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_by_element_is_ordered_and_named(rng):
    atoms = solution(rng)
    groups = Groups.by_element(atoms)
    assert groups.labels == ("H", "C", "O", "Na", "Cl")
    assert [groups.labels[g] for g in groups.index] == atoms.get_chemical_symbols()


def test_molecules_kinds_and_ions_without_a_cell(rng):
    atoms = solution(rng)
    groups = Groups.by_molecule(atoms)
    assert sorted(groups.labels) == sorted(
        ["H2O-1", "H2O-2", "H2O-3", "H2O-4", "CH4O-1", "CH4O-2", "Na-1", "Cl-1"]
    )
    for number, label in enumerate(groups.labels):
        formula = atoms[groups.index == number].get_chemical_formula("hill")
        assert label.split("-")[0] == formula
    assert np.all(np.diff([np.flatnonzero(groups.index == m)[0] for m in range(8)]) > 0)
    kinds = Groups.by_molecule_kind(atoms)
    assert sorted(kinds.labels) == ["CH4O", "Cl", "H2O", "Na"]
    np.testing.assert_array_equal(
        np.array(kinds.labels)[kinds.index],
        [groups.labels[m].split("-")[0] for m in groups.index],
    )


def test_molecules_split_over_the_faces_of_a_triclinic_cell(rng):
    atoms = solution(rng)
    expected = partition(molecules(atoms))
    cell = np.array([[32.0, 0.0, 0.0], [9.0, 14.0, 0.0], [-7.0, 5.0, 12.0]])
    n_split = 0
    for _ in range(20):
        moved = atoms.copy()
        moved.set_cell(cell)
        moved.pbc = True
        moved.positions += rng.uniform(-40, 40, 3)
        moved.wrap()
        n_split += partition(molecules(Atoms(moved.numbers, moved.positions))) != expected
        assert partition(molecules(moved)) == expected
    assert n_split > 10, "the cell must cut molecules, or the test tests nothing"


def test_slab_is_periodic_in_its_plane_only(rng):
    atoms = molecule("H2O")
    atoms.set_cell([6.0, 7.0, 0.0])
    atoms.pbc = (True, True, False)
    atoms.positions += [5.9, 6.8, 100.0] - atoms.positions[0]
    atoms.wrap(pbc=(True, True, False))
    assert molecules(atoms).tolist() == [0, 0, 0]
    across = molecule("H2O")
    across.set_cell([6.0, 7.0, 8.0])
    across.positions += [3.0, 3.0, 0.05] - across.positions[0]
    across.wrap(pbc=True)
    across.pbc = (True, True, True)
    assert len(set(molecules(across))) == 1
    across.pbc = (True, True, False)
    assert len(set(molecules(across))) > 1


def test_cell_smaller_than_the_cutoff():
    chain = Atoms("CC", positions=[[0, 0, 0], [1.3, 0.5, 0]], cell=[2.6, 9, 9], pbc=True)
    assert molecules(chain).tolist() == [0, 0]
    assert molecules(Atoms("Ar", cell=[3.0, 3.0, 3.0], pbc=True)).tolist() == [0]


def test_single_ions_and_no_atoms():
    assert molecules(Atoms("NaNa", positions=[[0, 0, 0], [2.0, 0, 0]])).tolist() == [0, 1]
    assert molecules(Atoms()).tolist() == []


def test_labels_from_a_list_and_a_file(tmp_path, rng):
    atoms = molecule("CH3OH")
    labels = ["methyl", "hydroxyl", "methyl", "hydroxyl", "methyl", "methyl"]
    groups = Groups.by_labels(labels)
    assert groups.labels == ("methyl", "hydroxyl")
    assert groups.index.tolist() == [0, 1, 0, 1, 0, 0]
    (tmp_path / "labels.txt").write_text("\n".join(labels) + "\n")
    again = parse_groups(str(tmp_path / "labels.txt"), atoms)
    assert again.labels == groups.labels
    assert again.index.tolist() == groups.index.tolist()
    assert Groups.by_labels([2, 1, 2]).labels == ("2", "1")


def test_every_kind_by_name():
    atoms = molecule("CH3OH")
    assert [parse_groups(kind, atoms).labels for kind in KINDS] == [
        ("all",),
        ("H", "C", "O"),
        ("CH4O-1",),
        ("CH4O",),
    ]


def test_selections_have_a_rest(rng):
    atoms = solution(rng)
    n = len(atoms)
    by_index = parse_groups("index:0-2,7", atoms)
    assert by_index.labels == ("selected", "rest")
    assert np.flatnonzero(by_index.index == 0).tolist() == [0, 1, 2, 7]
    salts = parse_groups("element:Na,Cl", atoms)
    assert sorted(atoms.numbers[salts.index == 0].tolist()) == [11, 17]
    # the sodium touches the oxygen of one water, whose hydrogens come with it
    shell = parse_groups("within:2.4:element:Na", atoms)
    assert sorted(atoms.numbers[shell.index == 0].tolist()) == [1, 1, 8, 11]
    atoms.set_cell([[32.0, 0.0, 0.0], [9.0, 14.0, 0.0], [-7.0, 5.0, 12.0]])
    atoms.pbc = True
    for _ in range(5):
        atoms.positions += rng.uniform(-20, 20, 3)
        atoms.wrap()
        sodium = int(np.flatnonzero(atoms.numbers == 11)[0])
        again = parse_groups(f"within:2.4:index:{sodium}", atoms)
        np.testing.assert_array_equal(again.index, shell.index)
    assert parse_groups("index:0+motion", atoms).labels[0] == "selected translation"
    for text, message in [
        ("index:a", r"found 'index:a', expected numbers and ranges"),
        (f"index:3-{n}", f"found 3-{n}, expected within 0 to {n - 1}"),
        ("element:Xx", "found 'Xx', expected one of C, Cl, H, Na, O"),
        ("within:x:index:0", "radius in Å"),
        ("within:3", "radius in Å"),
        ("within:-1:index:0", "radius in Å"),
        (f"index:0-{n - 1}", "found all of them, expected some, and a rest"),
    ]:
        with pytest.raises(InputError, match=message):
            parse_groups(text, atoms)


def test_selections_with_names(rng):
    atoms = solution(rng)
    sodium = int(np.flatnonzero(atoms.numbers == 11)[0])
    one = parse_groups("shell=within:2.4:element:Na", atoms)
    assert one.labels == ("shell", "rest")
    np.testing.assert_array_equal(one.index, parse_groups("within:2.4:element:Na", atoms).index)
    several = parse_groups(f"ion=index:{sodium} shell=within:2.4:element:Na c=element:C;Cl", atoms)
    assert several.labels == ("ion", "shell", "c", "rest")
    assert np.flatnonzero(several.index == 0).tolist() == [sodium]
    assert sorted(atoms.numbers[several.index == 1].tolist()) == [1, 1, 8]
    assert set(atoms.numbers[several.index == 2].tolist()) == {6, 17}
    moving = parse_groups("ion=element:Na shell=within:2.4:element:Na+each-step", atoms)
    assert moving.labels == ("ion", "shell", "rest")
    atoms.positions[sodium] += 50.0
    alone = moving.index_in(Snapshot.of(atoms))
    assert np.bincount(alone, minlength=3).tolist() == [1, 0, len(atoms) - 1]
    motions = parse_groups("ion=element:Na rest2=element:Cl+motion", atoms).labels
    assert motions[0] == "ion translation"
    # all atoms are in some selection: no rest
    symbols = ",".join(sorted(set(atoms.get_chemical_symbols()) - {"Na"}))
    assert parse_groups(f"a=element:Na b=element:{symbols}", atoms).labels == ("a", "b")
    for text, message in [
        ("a=index:0 index:1", "found 'index:1', expected NAME=index:1 with a name of its own"),
        ("a=index:0 a=index:1", "found 'a=index:1', expected NAME=index:1"),
        ("rest=index:0", "a name of its own other than 'rest'"),
        ("a=index:0 b=index:0", "found no atom for 'b' that no selection before it has"),
        ("a=index:0 b", "found 'b', expected index:0-2,7"),
        (f"a=element:Na b=element:{symbols}+each-step", "some, and a rest"),
    ]:
        with pytest.raises(InputError, match=message):
            parse_groups(text, atoms)


def test_bad_labels_are_refused(tmp_path):
    atoms = molecule("H2O")
    (tmp_path / "short.txt").write_text("a b")
    with pytest.raises(InputError, match=r"short.txt: labels: found 2, expected 3"):
        parse_groups(str(tmp_path / "short.txt"), atoms)
    with pytest.raises(
        InputError, match="found 'elements', expected one of all, element, molecule"
    ):
        parse_groups("elements", atoms)
    with pytest.raises(InputError, match="labels"):
        Groups(("a", "a"), np.array([0, 1]))
    with pytest.raises(InputError, match="index: found \\[0, 2\\]"):
        Groups(("a", "b", "c"), np.array([0, 2]))
