"""Training of potentials against analytic surfaces, and its state against unbroken runs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.systems import triclinic
from helpers.tiers import slow
from helpers.toy_molecules import energy_forces_virial, structure

from aptnn_md.errors import InputError
from aptnn_md.potentials.loading import load_potential
from aptnn_md.training.potential import (
    PotentialJob,
    PotentialSettings,
    energy_frames,
    potential_errors,
    run_potential_training,
    train_potential,
)
from aptnn_md.training.potential import job as module
from aptnn_md.training.potential.dataset import EnergySet
from aptnn_md.training.potential.network import first_network, new_configuration
from aptnn_md.training.potential.reference import atomic_energies_of, shifted
from aptnn_md.training.potential.trainer import PotentialTrainer

pytestmark = [
    pytest.mark.mace,
    pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch"),
]

SMALL = {"channels": 8, "max_ell": 2, "correlation": 2, "n_radial": 6, "radial_width": 16}
SMALL |= {"cutoff": 4.0, "batch_atoms": 15}
E0 = {1: -13.0, 8: -430.0, 17: -700.0}
"""Energies that a level of theory might give the atoms of the toy molecules."""


def labelled(atoms: Atoms, offset: float = 0.0) -> Atoms:
    """With the toy potential's energy and forces, on the scale of an electronic structure."""
    energy, forces, _ = energy_forces_virial(atoms.positions)
    energy += sum(E0[z] for z in atoms.numbers) + offset
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def frames(n: int, n_molecules: int = 1) -> list[Atoms]:
    found = []
    for seed in range(n):
        atoms = structure(n_molecules, seed=seed)
        atoms.set_momenta(np.zeros((3 * n_molecules, 3)))
        atoms.positions += np.random.default_rng(seed).normal(
            scale=0.025, size=atoms.positions.shape
        )
        found.append(labelled(atoms))
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("potential") / "p.json"
    settings = PotentialSettings(**SMALL, steps=150)
    return train_potential(frames(20), settings, out, seed=1)


@pytest.mark.thorough
def test_it_learns(trained):
    test = [labelled(atoms) for atoms in frames(40)[27:]]
    errors = potential_errors(load_potential(trained), test)
    assert errors.n_frames == 13
    assert errors.forces.spread > 0.5
    assert errors.forces.rmse < 0.4 * errors.forces.spread
    assert set(errors.by_element) == {"H", "O", "Cl"}
    assert [part.n_atoms for part in errors.by_element.values()] == [13, 13, 13]
    squares = sum(part.n_atoms * part.rmse**2 for part in errors.by_element.values())
    assert errors.forces.rmse == pytest.approx((squares / 39) ** 0.5)
    assert errors.energy < 0.05
    on_training = potential_errors(load_potential(trained), frames(20))
    assert on_training.energy_offset == pytest.approx(0.0, abs=1e-4)
    card = load_potential(trained).card
    assert (card["seed"], card["training_frames"]) == (1, 20)
    assert card["charges"] == {"HClO": 0.0}
    assert card["training_rmse"]["forces"] == pytest.approx(on_training.forces.rmse, rel=1e-4)
    assert card["training_rmse"]["energy"] == pytest.approx(on_training.energy, rel=1e-2)


def test_errors_of_a_potential_that_is_off_by_known_amounts():
    class Off:
        def evaluate(self, structures):
            results = []
            for number, atoms in enumerate(structures):
                energy, forces, _ = energy_forces_virial(atoms.positions)
                forces = forces + np.array([0.3, -0.4, 0.0]) * (atoms.numbers == 1)[:, None]
                energy += sum(E0[z] for z in atoms.numbers) + 0.6 + 0.03 * (-1) ** number
                members = forces + np.array([0.1, -0.1])[:, None, None]
                results.append({"energy": energy, "forces": forces, "member_forces": members})
            return results

    errors = potential_errors(Off(), frames(4))
    assert errors.by_element["H"].rmse == pytest.approx(np.sqrt(0.25 / 3))
    assert errors.by_element["H"].mae == pytest.approx(0.7 / 3)
    assert errors.by_element["O"].rmse == pytest.approx(0.0, abs=1e-12)
    assert errors.forces.rmse == pytest.approx(np.sqrt(0.25 / 9))
    assert errors.forces.member_spread == pytest.approx(0.1 * np.sqrt(2.0))  # of two
    assert errors.energy_offset == pytest.approx(0.2)
    assert errors.energy_relative == pytest.approx(0.01)
    assert errors.energy == pytest.approx(np.hypot(0.2, 0.01))
    json.dumps(errors.as_dict())


# ---------------------------------------------------------------------- the network while it learns


@pytest.mark.thorough
@pytest.mark.parametrize("layers", [1, 2])
def test_forces_of_training_are_slopes_and_those_of_the_stored_potential(tmp_path, layers):
    """In a lopsided periodic cell and in open space, joined in one batch."""
    periodic = triclinic(0)
    molecule = triclinic(3, n_atoms=6)
    molecule.pbc, molecule.cell = False, None
    for atoms in (periodic, molecule):
        atoms.calc = SinglePointCalculator(
            atoms, energy=-10.0 * len(atoms), forces=np.ones((len(atoms), 3))
        )
    data = energy_frames([periodic, molecule])
    settings = PotentialSettings(**SMALL, layers=layers, dtype="float64")
    configuration, network = first_network(settings, data, [1, 8, 11], seed=0)
    frames = EnergySet(data, network, "cpu")
    energies, forces = frames.energies_and_forces(frames.batch([0, 1]))
    from aptnn_md.potentials.stored import write_potential

    write_potential(tmp_path / "p.json", configuration, network.state_dict(), {})
    potential = load_potential(tmp_path / "p.json", dtype="float64")
    results = potential.evaluate([periodic, molecule])
    both = np.concatenate([result["forces"] for result in results])
    assert forces.detach().numpy() == pytest.approx(both, abs=1e-10)
    of_atoms = dict(zip([1, 8, 11], configuration["atomic_energies"][0], strict=True))
    for atoms, energy, result in zip((periodic, molecule), energies, results, strict=True):
        total = energy.item() + sum(of_atoms[z] for z in atoms.numbers)
        assert total == pytest.approx(result["energy"], abs=1e-9)
    step = 1e-4
    for atom, axis in ((0, 0), (4, 1)):
        moved = []
        for sign in (1, -1):
            atoms = periodic.copy()
            atoms.positions[atom, axis] += sign * step
            moved.append(potential.evaluate([atoms])[0]["energy"])
        slope = (moved[0] - moved[1]) / (2 * step)
        assert forces[atom, axis].item() == pytest.approx(-slope, abs=1e-5)
        assert abs(slope) > 1e-4


def test_gradient_of_the_loss_is_its_slope():
    """With respect to a weight, through the forces: by differences, in double precision."""
    data = energy_frames(frames(3))
    settings = PotentialSettings(**SMALL, dtype="float64")
    _, network = first_network(settings, data, [1, 8, 17], seed=0)
    trainer = PotentialTrainer(network, data, [], settings, seed=0)
    batch = trainer.training.batch([0, 2])

    def loss() -> torch.Tensor:
        of_energies, of_forces = trainer._errors(batch, training=True)
        return of_forces.pow(2).mean() + 0.01 * of_energies.pow(2).mean()

    weight = network.interactions[0].conv_tp_weights.layer0.weight
    (gradient,) = torch.autograd.grad(loss(), [weight])
    step = 1e-5
    for place in ((0, 0), (3, 5)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * step
            values.append(loss().item())
            with torch.no_grad():
                weight[place] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert gradient[place].item() == pytest.approx(slope, rel=1e-4)
        assert abs(slope) > 1e-6


def test_a_batch_counts_what_is_known():
    """Frames without energy, and atoms without force, count for nothing."""
    some = frames(3)
    some[1].calc.results.pop("energy")
    some[2].calc.results["forces"][1:] = np.nan
    data = energy_frames(some)
    settings = PotentialSettings(**SMALL)
    _, network = first_network(settings, data, [1, 8, 17], seed=0)
    trainer = PotentialTrainer(network, data, [], settings, seed=0)
    of_energies, of_forces = trainer._errors(trainer.training.batch([0, 1, 2]), training=False)
    assert (len(of_energies), len(of_forces)) == (2, 9 + 9 + 3)


def test_layers_by_size():
    small, large = energy_frames(frames(1)), energy_frames(frames(1, n_molecules=4))
    assert new_configuration(PotentialSettings(), small, [1, 8, 17])["num_interactions"] == 1
    assert new_configuration(PotentialSettings(), large, [1, 8, 17])["num_interactions"] == 2
    boxed = frames(1)[0]
    boxed.cell, boxed.pbc = np.eye(3) * 8.0, True
    (frame,) = energy_frames([labelled(boxed)])
    assert new_configuration(PotentialSettings(), [frame], [1, 8, 17])["num_interactions"] == 2
    chosen = PotentialSettings(layers=1, max_ell=1)
    assert new_configuration(chosen, large, [1, 8, 17])["max_ell"] == 1


# ---------------------------------------------------------------------- energies of the atoms


def composition(symbols: str, energies: dict[str, float], offset: float = 0.0) -> Atoms:
    atoms = Atoms(symbols)
    atoms.positions[:] = np.arange(3 * len(atoms)).reshape(-1, 3)
    energy = sum(energies[symbol] for symbol in atoms.symbols) + offset
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((len(atoms), 3)))
    return atoms


FREE = {"H": -13.6, "C": -1030.0, "O": -2040.0}


def test_atomic_energies_of_enough_compositions():
    made = [composition(name, FREE) for name in ("CH4", "C2H6O", "H2O", "CO2")]
    found = atomic_energies_of(energy_frames(made), [1, 6, 8], {})
    assert found == pytest.approx(list(FREE.values()), abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.04])
def test_atomic_energies_of_one_composition(scale):
    """Fit it exactly, and are not far from those of atoms: all electrons, or valence only."""
    energies = dict(zip("HCO", (-13.6, -1030, -2040), strict=True))
    if scale < 1.0:
        energies = dict(zip("HCO", (-10.7, -48.8, -102.6), strict=True))
    made = energy_frames([composition("CH3OH", energies, offset=-20.0)])
    found = atomic_energies_of(made, [1, 6, 8], {})
    assert found @ [4, 1, 1] == pytest.approx(made[0].energy, abs=1e-8)
    assert (found / list(energies.values()) > 0.3).all()
    assert (found / list(energies.values()) < 2.2).all()


def test_atomic_energies_that_are_given_or_of_single_atoms():
    made = energy_frames(
        [composition("CH4", FREE, -17.0), composition("H", FREE), composition("CH3OH", FREE, -20.0)]
    )
    found = atomic_energies_of(made, [1, 6, 8], {"O": -2040.0})
    assert found[[0, 2]].tolist() == [-13.6, -2040.0]
    # carbon has both binding energies, 17 and 20 eV, in the mean
    assert found[1] == pytest.approx(-1030.0 - 18.5)


def test_shift_to_another_level():
    start = np.array([-13.0, -1000.0])
    counts = np.array([[4.0, 1.0], [6.0, 2.0]])
    kept, size = shifted(start, counts, np.array([0.2, -0.3]))
    assert kept is start
    assert size == pytest.approx(0.04)
    after, size = shifted(start, counts, counts @ [0.5, -30.0])
    assert after == pytest.approx([-12.5, -1030.0])
    assert size == pytest.approx(57.0 / 8)


# ---------------------------------------------------------------------- resuming


class Killed(Exception):
    """Ends a training in the middle."""


@pytest.mark.thorough
@pytest.mark.parametrize("rounds", slow([1, 3], 1))
def test_killed_and_resumed_is_as_unbroken(tmp_path, monkeypatch, trained, rounds):
    monkeypatch.setattr(module, "SAVED_EVERY", 0.0)
    settings = PotentialSettings(**SMALL, steps=150)
    run_round = PotentialTrainer.run_round
    left = [rounds]

    def mortal(self):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return run_round(self)

    monkeypatch.setattr(PotentialTrainer, "run_round", mortal)
    out = tmp_path / "p.json"
    with pytest.raises(Killed):
        train_potential(frames(20), settings, out, seed=1)
    assert out.with_suffix(".json.state").exists()
    assert not out.exists()
    monkeypatch.setattr(PotentialTrainer, "run_round", run_round)
    train_potential(frames(20), settings, out, seed=1)
    whole, resumed = (torch.load(p.with_suffix(".pt"), weights_only=True) for p in (trained, out))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert not out.with_suffix(".json.state").exists()
    assert out.read_bytes() == trained.read_bytes()


def test_nothing_happens_where_it_is_done(trained, monkeypatch):
    monkeypatch.setattr(module, "_Training", None)
    assert train_potential([], PotentialSettings(), trained, seed=5) == trained


def test_state_of_another_training(tmp_path, monkeypatch):
    def killed(self):
        raise Killed

    monkeypatch.setattr(PotentialTrainer, "run_round", killed)
    settings = PotentialSettings(**SMALL, steps=5)
    with pytest.raises(Killed):
        train_potential(frames(3), settings, tmp_path / "p.json", seed=0)
    for data, other, seed, name in (
        (frames(4), settings, 0, "data"),
        (frames(3), settings, 1, "seed"),
        (frames(3), PotentialSettings(**SMALL, steps=6), 0, "settings"),
    ):
        with pytest.raises(InputError, match=rf"{name}: .* as when the job began"):
            train_potential(data, other, tmp_path / "p.json", seed)
    (tmp_path / "p.json.state").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="remove it to start again"):
        train_potential(frames(3), settings, tmp_path / "p.json", seed=0)


# ---------------------------------------------------------------------- committees, warm starts


@pytest.mark.slow
def test_committee_in_time_and_with_more_of_it(tmp_path):
    data = tmp_path / "data.extxyz"
    ase.io.write(data, frames(12))
    settings = PotentialSettings(**SMALL, steps=100_000)
    job = PotentialJob(
        data, tmp_path / "p.json", committee=2, max_minutes=0.03, settings=settings, seed=3
    )
    result = run_potential_training(job)
    assert [path.name for path in result.members] == ["p-1.json", "p-2.json"]
    assert all("time limit" in ending for ending in result.endings)
    committee = load_potential(job.out)
    assert committee.n_members == 2
    assert [member.card["seed"] for member in committee.members] == [3, 4]
    assert result.validation.n_frames == 1
    assert result.validation.forces.member_spread > 0.0
    log_of_first = (tmp_path / "p.csv").read_text().splitlines()
    with pytest.raises(InputError, match="no such file"):
        run_potential_training(PotentialJob(data, tmp_path / "q.json"), restart=True)
    more = PotentialJob(
        data, tmp_path / "p.json", committee=2, max_minutes=0.06, settings=settings, seed=3
    )
    longer = run_potential_training(more, restart=True)
    log_of_both = (tmp_path / "p.csv").read_text().splitlines()
    assert len(log_of_both) > len(log_of_first)
    assert set(log_of_first) < set(log_of_both)
    assert longer.path == tmp_path / "p.json"
    assert (tmp_path / "p.json.state").exists()
    # one that a time limit ended may be replaced by a new one
    fresh = PotentialSettings(**SMALL, steps=5)
    again = PotentialJob(data, tmp_path / "p.json", settings=fresh)
    assert run_potential_training(again).endings == ("all 2 epochs",)
    assert not (tmp_path / "p.json.state").exists()


@pytest.mark.thorough
def test_warm_start_keeps_energies_scale_and_neighbours(tmp_path, trained):
    before = json.loads(trained.read_text())["configuration"]
    settings = PotentialSettings(**SMALL, steps=3, learning_rate=1e-12)
    out = train_potential(frames(35)[25:], settings, tmp_path / "p.json", 5, start_from=trained)
    after = json.loads(out.read_text())["configuration"]
    energies = [np.array(c.pop("atomic_energies")) for c in (before, after)]
    assert after == before
    # the mean error of the new frames is taken out
    assert energies[0] == pytest.approx(energies[1], abs=0.05)
    test = frames(3)
    for atoms in test:
        one, two = (load_potential(path).get_forces(atoms) for path in (trained, out))
        assert one == pytest.approx(two, abs=1e-4)


@pytest.mark.thorough
def test_warm_start_at_another_level(tmp_path, trained, caplog):
    """Energies are lower by 3 eV an H-O-Cl: E₀ move, and forces stay."""
    other = [labelled(atoms, offset=-3.0) for atoms in frames(6)]
    settings = PotentialSettings(**SMALL, steps=3, learning_rate=1e-12)
    out = train_potential(other, settings, tmp_path / "p.json", 5, start_from=trained)
    assert "another level of theory" in caplog.text
    one, two = load_potential(trained), load_potential(out)
    for atoms in other:
        difference = two.get_potential_energy(atoms) - one.get_potential_energy(atoms)
        assert difference == pytest.approx(-3.0, abs=0.1)
        assert one.get_forces(atoms) == pytest.approx(two.get_forces(atoms), abs=1e-4)


def test_refusals(tmp_path, trained):
    one, two = frames(2)
    two.info["charge"] = 1
    with pytest.raises(InputError, match="0 e and 1 e of HClO, expected one charge"):
        energy_frames([one, two])
    two.info["charge"] = 0
    two.calc.results["forces"] = np.zeros((2, 3))
    with pytest.raises(InputError, match="frame 1: forces: found shape"):
        energy_frames([one, two])
    with pytest.raises(InputError, match="none in 1 frames"):
        energy_frames([Atoms("H")])
    with pytest.raises(InputError, match="symbols of elements"):
        PotentialSettings(atomic_energies={"Xx": -1.0})
    with pytest.raises(InputError, match=r"NAME\.json"):
        PotentialJob(tmp_path / "a.xyz", tmp_path / "p.pt")
    water = composition("H2O", FREE)
    water.info["charge"] = 0
    other = composition("CH4", FREE)
    with pytest.raises(InputError, match="knows C"):
        train_potential(
            [other], PotentialSettings(**SMALL), tmp_path / "p.json", 0, start_from=trained
        )


def test_labels_under_other_names():
    (atoms,) = frames(1)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = None
    atoms.info["REF_energy"], atoms.arrays["REF_forces"] = energy, forces
    (frame,) = energy_frames([atoms])
    assert frame.energy == energy
    assert np.array_equal(frame.forces, forces)
    atoms.info["energy"] = energy + 3.0  # of another level, whose forces are not there
    words = "energy: found energy and REF_energy, which differ, expected one of them: --key energy"
    with pytest.raises(InputError, match=words):
        energy_frames([atoms])
    (frame,) = energy_frames([atoms], {"energy": "REF_energy"})
    assert frame.energy == energy
    atoms.info["energy"] = energy
    (frame,) = energy_frames([atoms])
    assert frame.energy == energy
    atoms.info["mine"] = energy + 1.0
    (frame,) = energy_frames([atoms], {"energy": "mine"})
    assert frame.energy == energy + 1.0
