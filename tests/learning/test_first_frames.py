"""Frames of the engine's own dynamics: those that are labelled, and those that have forces only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from helpers.campaigns import make_settings
from helpers.toy_molecules import energy_forces_virial, structure

from aptnn_md.learning.cycle import Work
from aptnn_md.learning.directory import CampaignDirectory, read_frames
from aptnn_md.learning.engine_potential import EngineCalculator, RememberingEngine
from aptnn_md.learning.first_dynamics import bonds_of_systems, sample_first
from aptnn_md.learning.replicas import Replica
from aptnn_md.learning.report import write_report
from aptnn_md.learning.sampling import draw_last
from aptnn_md.learning.seals import FrameSeals
from aptnn_md.learning.settings import LEARNED


@pytest.fixture
def settings(tmp_path):
    found = make_settings(tmp_path, potential=LEARNED)
    # 80 steps for each label, of which every 20th is kept
    return replace(found, sampling=replace(found.sampling, first_picoseconds=0.04))


def test_frames_between_the_labelled_ones_have_the_forces_of_the_engine(settings):
    stage = CampaignDirectory(settings.out).first
    sample_first(stage, settings, [structure()])
    labelled, others = read_frames(stage.frames), read_frames(stage.forces)
    # four replicas with two labels each, of which six are wanted
    assert (len(labelled), len(others)) == (6, 4 * 2 * 4 - 6)
    for atoms in others:
        energy, forces, _ = energy_forces_virial(atoms.positions)
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)
        assert atoms.get_forces() == pytest.approx(forces, abs=1e-5)
    places = {atoms.positions.tobytes() for atoms in labelled}
    assert not places & {atoms.positions.tobytes() for atoms in others}


def test_what_dynamics_calculated_is_not_calculated_again():
    calls = []

    class Counting(EngineCalculator):
        def evaluate(self, structures):
            calls.append(len(structures))
            return super().evaluate(structures)

    engine = RememberingEngine(Counting("helpers.toy_molecules:Potential"))
    known, other = structure(seed=1), structure(seed=2)
    other.positions[0] += 0.1
    (result,) = engine.evaluate([known])
    assert engine.with_results(known).get_forces() == pytest.approx(result["forces"])
    assert calls == [1]
    energy, _, _ = energy_forces_virial(other.positions)
    assert engine.with_results(other).get_potential_energy() == pytest.approx(energy)
    assert calls == [1, 1]


@pytest.mark.parametrize(
    "changes", [{"sampler": "helpers.toy_molecules:Potential"}, {"potential": "x"}]
)
def test_forces_of_another_engine_or_for_no_training_are_not_kept(settings, changes):
    settings = replace(settings, **changes)
    stage = CampaignDirectory(settings.out).first
    sample_first(stage, settings, [structure()])
    assert len(read_frames(stage.frames)) == 6
    assert not stage.forces.exists()


def ammonium_formate() -> Atoms:
    """HCOO⁻ with NH₄⁺, of which a hydrogen is 1.6 Å from an oxygen."""
    formate = [[0.0, 0.0, 0.0], [-0.55, -0.95, 0.0], [-0.57, 1.12, 0.0], [1.25, 0.0, 0.0]]
    nitrogen = np.array([3.9, 0.15, 0.1])
    legs = np.array(
        [[-1.04, -0.03, 0.0], [0.35, 0.97, 0.1], [0.35, -0.42, 0.88], [0.35, -0.5, -0.83]]
    )
    return Atoms("CHOONHHHH", [*formate, nitrogen, *(nitrogen + legs)], info={"charge": 0})


def test_protons_that_the_engine_moves_may_move_in_all_dynamics(tmp_path, caplog):
    """Of the two ions GFN2-xTB makes ammonia and formic acid; ethanol stays as it is."""
    pytest.importorskip("tblite")
    caplog.set_level("INFO")
    settings = make_settings(tmp_path, engine="tblite")
    sampling = replace(settings.sampling, first_frames=8, first_picoseconds=0.02, hot=1.0)
    structures = (Path("salt.xyz"), Path("ethanol.xyz"))
    settings = replace(settings, sampling=sampling, structures=structures)
    systems = [ammonium_formate(), molecule("CH3CH2OH")]
    stage = CampaignDirectory(settings.out).first
    sample_first(stage, settings, systems)
    frames = read_frames(stage.frames)
    assert [atoms.info["system"] for atoms in frames] == [0] * 4 + [1] * 4
    salt, ethanol = bonds_of_systems(stage, settings, systems)
    assert salt.moving_protons
    assert not ethanol.moving_protons
    assert all(salt.intact(atoms.positions) for atoms in frames[:4])
    assert "salt: protons move in the first dynamics" in caplog.text
    assert "ethanol: protons" not in caplog.text
    directory = CampaignDirectory(settings.out)
    work = Work(settings, directory, systems, lambda step: None, {}, FrameSeals(directory))
    write_report(work, {}, "first labels")
    report = directory.report.read_text()
    assert "Protons move in the first dynamics of salt, and may in all others." in report


def test_the_last_test_draws_where_replicas_ended(tmp_path):
    stage = CampaignDirectory(tmp_path).final
    stage.path.mkdir(parents=True)
    frames = [structure(seed=seed) for seed in range(6)]
    for number, atoms in enumerate(frames):
        atoms.positions += number
    spread = np.zeros((2, 3))
    replicas = [
        Replica([frames[0], atoms], spread, 300.0, "bonds" if number % 2 else "")
        for number, atoms in enumerate(frames[1:])
    ]
    assert draw_last(stage, [replicas], 2, seed=3)
    drawn = [atoms.positions for atoms in read_frames(stage.frames)]
    ended = [frames[k].positions for k in (1, 3, 5)]
    assert len(drawn) == 2
    assert all(any(np.allclose(p, q, atol=1e-7) for q in ended) for p in drawn)
    stopped = [replace(replica, stopped="bonds") for replica in replicas]
    stage.frames.unlink()
    assert not draw_last(stage, [stopped], 2, seed=3)
