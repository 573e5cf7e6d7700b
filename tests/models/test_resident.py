"""Lists and tables of structures that stay on a device, step by step."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.systems import ELEMENTS, triclinic

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.errors import InputError
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.densities import ACEConfig
from aptnn_md.models.pair_tables import PairTables, Room
from aptnn_md.models.resident import ResidentStructures, sum_of_structures

CONFIG = ACEConfig(ELEMENTS, "1x0e", cutoff=4.0, n_radial=3, message_cutoff=3.1, message_radial=2)


class Walk:
    """Resident structures with tables, beside the same densities of a graph made anew."""

    def __init__(self, structures, device):
        numbers = np.concatenate([a.numbers for a in structures])
        species = np.searchsorted(ELEMENTS, numbers)
        order = np.argsort(species, kind="stable")
        bounds = np.searchsorted(species[order], np.arange(len(ELEMENTS) + 1))
        self.atoms, place = structures, torch.device(device)
        self.resident = ResidentStructures(structures, order, CONFIG.cutoff, place)
        self.tables = PairTables(self.resident, CONFIG, tuple(bounds.tolist()))
        self.network = ACENetwork(CONFIG).double().to(place)

    def step(self):
        """Send the positions and compare the densities; whether pairs were searched."""
        anew = self.resident.update(self.atoms)
        if anew:
            self.tables.fill()
        found = self.network.geometry_of_tables(self.tables)
        expected = self.network.geometry(build_graph(self.atoms, CONFIG.cutoff))
        assert found.element_bounds == expected.element_bounds
        assert torch.equal(self.resident.order, expected.order)
        torch.testing.assert_close(found.density, expected.density, rtol=0, atol=1e-11)
        for mine, theirs in ((found, expected), (expected, found)):
            assert float(self.messages(mine).sub(self.messages(theirs)).abs().max()) < 1e-11
        return anew

    def messages(self, geometry):
        """A sum over near neighbours that depends on which they are."""
        weights = torch.cos(geometry.message_neighbours.double())
        terms = geometry.message_radial[:, None] * geometry.message_harmonics[None]
        return (terms * weights).sum(dim=3)


@pytest.mark.parametrize("pbc", [(1, 1, 1), (0, 0, 0), (1, 0, 1)])
def test_a_walk_sees_the_neighbours_of_every_step(device, pbc):
    random = np.random.default_rng(3)
    structures = [triclinic(seed=k, n_atoms=9 + k, size=5.0 + k) for k in range(2)]
    for atoms in structures:
        atoms.pbc = pbc
    walk = Walk(structures, device)
    searched = 0
    for _ in range(30):
        searched += walk.step()
        for atoms in structures:
            atoms.positions += 0.02 * random.normal(size=(len(atoms), 3))
    assert 2 <= searched < 12
    assert walk.resident.searches == searched


def test_a_cell_that_breathes_needs_few_searches(device):
    """A barostat changes the cell at every step."""
    atoms = triclinic()
    walk, searched = Walk([atoms], device), 0
    for step in range(30):
        searched += walk.step()
        shear = [[np.sin(step), 0.3, 0], [0, np.cos(step), 0], [0.2, 0, -0.5]]
        strain = np.eye(3) + 0.02 * np.array(shear)
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    assert 2 <= searched < 12


def test_a_cell_that_shrinks_brings_neighbours_near(device):
    """Positions stay, and images come nearer."""
    atoms = Atoms("OH", positions=[[0, 0, 0], [1, 0, 0]], cell=[8.0, 9.0, 9.0], pbc=True)
    walk = Walk([atoms], device)
    for length in np.linspace(8.0, 3.0, 40):
        atoms.cell[0, 0] = length
        walk.step()
    assert walk.resident.searches > 4


def test_the_cell_of_an_open_direction_is_none(device):
    atoms = triclinic()
    atoms.pbc = (True, True, False)
    walk = Walk([atoms], device)
    assert walk.step()
    atoms.cell[2] *= 1.5
    assert not walk.step()
    atoms.cell[1] *= 1.001
    assert walk.step()


def test_tables_grow_when_neighbours_do_not_fit(device):
    random = np.random.default_rng(0)
    positions = 30.0 * random.random((40, 3))
    atoms = Atoms(np.resize([8, 1, 11], 40), positions=positions)
    walk = Walk([atoms], device)
    walk.step()
    rooms = [walk.tables.room]
    for _ in range(6):
        atoms.positions *= 0.75
        walk.step()
        rooms.append(walk.tables.room)
    assert all(later.holds(earlier) for earlier, later in pairwise(rooms))
    assert rooms[-1].width > rooms[0].width
    assert rooms[-1].near > rooms[0].near
    # back again, they keep what they have, and pointers into them stay valid
    pointer = walk.tables.neighbours.data_ptr()
    atoms.positions *= 4.0
    assert walk.step()
    assert walk.tables.room == rooms[-1]
    assert walk.tables.neighbours.data_ptr() == pointer


def test_room_has_a_reserve():
    room = Room(100, (10, 31, 1), 9).enlarged()
    assert room == Room(112, (16, 40, 8), 16)
    assert room.holds(Room(112, (16, 40, 8), 16))
    for more in (Room(113, (1, 1, 1), 1), Room(1, (1, 41, 1), 1), Room(1, (1, 1, 1), 17)):
        assert not room.holds(more)


def test_impossible_structures_are_refused(device):
    atoms = triclinic()
    walk = Walk([atoms], device)
    walk.step()
    kept = atoms.positions.copy()
    atoms.positions[3, 1] = np.nan
    with pytest.raises(InputError, match=r"positions: found .* at atom 3"):
        walk.step()
    atoms.positions[:] = kept
    walk.step()
    atoms.cell[1] = 2.0 * atoms.cell[0]
    with pytest.raises(InputError, match="not in one plane"):
        walk.step()


def test_crowds_are_refused(device, monkeypatch):
    from aptnn_md.atoms import neighbours
    from aptnn_md.models import resident

    for module in (neighbours, resident):
        monkeypatch.setattr(module, "LARGEST_HEAP", 50)
    monkeypatch.setattr(neighbours, "SMALLEST_VOLUME", 3.0)
    atoms = Atoms("H200", positions=np.random.default_rng(0).random((200, 3)))
    with pytest.raises(InputError, match=r"in a cube of 4\.0 Å around atom"):
        Walk([atoms], device).step()


def test_sums_of_structures(device):
    values = torch.randn(12, 3, 2, dtype=torch.float64, device=device)
    for sizes in ((4, 4, 4), (12,), (5, 0, 7)):
        owners = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(device)
        expected = torch.stack([part.sum(dim=0) for part in values.split(sizes)])
        torch.testing.assert_close(sum_of_structures(values, sizes, owners), expected)
