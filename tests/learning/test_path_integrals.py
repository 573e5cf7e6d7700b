"""Ring polymers of a campaign: what samples, what is streamed, and what comes of bad potentials."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from helpers import toy_molecules as toy
from helpers.campaigns import make_settings
from helpers.systems import SMALL_ACE, fresh_model

from aptnn_md.cli.learn import of_beads
from aptnn_md.engines.ipi import runner
from aptnn_md.errors import InputError
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import Stage
from aptnn_md.learning.path_integrals import (
    kept_beads,
    ring_polymers,
    sampled_beads,
    stream_ring_polymers,
    unstopped,
)
from aptnn_md.learning.programs import check_programs
from aptnn_md.learning.ring_polymers import BEFORE, STREAMED
from aptnn_md.learning.runs import BrokenRunsError
from aptnn_md.learning.settings import DynamicsSettings
from aptnn_md.potentials.interface import as_batched
from aptnn_md.prediction.model_file import ModelFile, write_model_file
from aptnn_md.spectra.sources.members import member_estimators
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs

BEADS, N_STEPS, STRIDE = 6, 48, 8
STRONG = "helpers.toy_molecules:StrongBonds"


def committee():
    """Two networks of random weights for the toy's elements."""
    generator, members = torch.Generator().manual_seed(3), []
    for _ in range(2):
        model = fresh_model("ace", "apt", (1, 8, 17), SMALL_ACE, 0)
        weights = {
            name: value + 0.01 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
            if value.is_floating_point()
            else value
            for name, value in model.state_dict().items()
        }
        members.append(weights)
    return ModelFile("ace", model.settings, "apt", tuple(members), {"training_data": "none"})


@pytest.fixture
def stage(tmp_path):
    found = Stage(tmp_path / "cycle-00")
    found.path.mkdir()
    write_model_file(found.tensors, committee())
    return found


@pytest.fixture
def settings(tmp_path):
    dynamics = DynamicsSettings(beads=BEADS, timestep=0.25, stride=STRIDE)
    return make_settings(tmp_path, potential=STRONG, dynamics=dynamics)


def sample(stage, settings, starts, times=(10.0, 2.5)):
    """Move ring polymers with a thermostat; these, the bonds, and what was sampled."""
    polymers = ring_polymers(stage, settings, 0, starts, seed=3)
    bonds = BondGraph.of(toy.structure())
    potential = as_batched(toy.StrongBonds())
    return polymers, bonds, sampled_beads(polymers, settings, bonds, potential, times)


@pytest.mark.thorough
def test_ring_polymers_are_sampled_and_streamed(stage, settings):
    start = toy.structure(seed=1)
    start.set_masses([15.999, 2.014, 35.45])
    polymers, bonds, replicas = sample(stage, settings, [start, toy.structure(seed=2)])
    assert list(kept_beads(BEADS)) == [0, 2, 4]
    assert len(replicas) == 2 * 3
    assert {replica.stopped for replica in replicas} == {""}
    assert {replica.temperature for replica in replicas} == {300.0}
    beads = polymers.frames(1, BEFORE)
    assert beads.shape == (5, BEADS, 3, 3)
    assert np.ptp(beads[0], axis=0).max() == 0.0  # all begin in one place
    assert np.ptp(beads[-1], axis=0).max() > 0.05
    for k, bead in enumerate(range(0, BEADS, 2)):
        for frame, atoms in enumerate(replicas[k].frames):
            assert atoms.positions == pytest.approx(beads[frame, bead])
            assert atoms.get_masses()[1] == 2.014

    n_lost = stream_ring_polymers(stage, settings, [bonds], [replicas], (2, N_STEPS))
    assert n_lost == 0
    runs = complete_runs(stage.runs(0))
    assert len(runs) == 2
    for number, path in enumerate(runs, start=1):
        reader = StreamReader(path)
        assert reader.n_frames == N_STEPS // STRIDE + 1
        assert reader.header.n_beads == BEADS
        assert reader.header.temperature == pytest.approx(300.0)
        assert reader.header.rotation == "kept"
        assert reader.header.volume is None
        assert member_estimators(reader.header) == ("member-1", "member-2")
        # it begins where the thermostat left it
        first = polymers.frames(number, STREAMED)[0]
        assert first == pytest.approx(polymers.frames(number, BEFORE)[-1], abs=1e-10)
    assert StreamReader(runs[0]).header.masses["H"] == (2.014,)
    # no thermostat moves the centroid: its momentum is conserved by this potential
    centroid = polymers.frames(1, STREAMED).mean(axis=1)
    centre = (centroid * start.get_masses()[:, None]).sum(axis=1) / start.get_masses().sum()
    assert np.ptp(centre, axis=0).max() < 1e-6
    # all is done: nothing is moved again
    before = (polymers.directory(1) / "RESTART").stat().st_mtime_ns
    sample(stage, settings, [start, toy.structure(seed=2)])
    assert stream_ring_polymers(stage, settings, [bonds], [replicas], (2, N_STEPS)) == 0
    assert (polymers.directory(1) / "RESTART").stat().st_mtime_ns == before


@pytest.mark.thorough
def test_a_ring_polymer_that_was_interrupted_goes_on_as_if_nothing_had_happened(
    stage, settings, tmp_path, monkeypatch
):
    import aptnn_md.learning.ring_polymers as module

    monkeypatch.setattr(module, "CHECKPOINT_STEPS", 8)
    start = toy.structure(seed=1)
    whole, bonds, replicas = sample(stage, settings, [start])
    stream_ring_polymers(stage, settings, [bonds], [replicas], (1, N_STEPS))

    other = Stage(tmp_path / "other")
    other.path.mkdir()
    write_model_file(other.tensors, committee())
    broken = ring_polymers(other, settings, 0, [start], seed=3)
    original = runner.run_ipi

    def interrupted(source, *arguments, **options):
        summary = original(source, *arguments, **(options | {"total_steps": 20}))
        return replace(summary, total_steps=options["total_steps"])

    def stream():
        stream_ring_polymers(other, settings, [bonds], [replicas], (1, N_STEPS))

    for move in (lambda: sample(other, settings, [start]), stream):
        with monkeypatch.context() as patch:
            patch.setattr(runner, "run_ipi", interrupted)
            with pytest.raises(KeyboardInterrupt):
                move()
        move()
    for part in (BEFORE, STREAMED):
        np.testing.assert_array_equal(broken.frames(1, part), whole.frames(1, part))
    streams = [StreamReader(complete_runs(each.runs(0))[0]) for each in (stage, other)]
    np.testing.assert_allclose(*(reader.dipole_rate() for reader in streams), rtol=1e-9)


@pytest.mark.thorough
def test_ring_polymers_without_forces_are_set_aside(stage, settings, caplog):
    """Beyond 1.24 Å nothing holds the O-H bond of the plain toy."""
    settings = replace(settings, potential="helpers.toy_molecules:Potential")
    apart = toy.structure(seed=1)
    apart.set_distance(0, 1, 1.5, fix=0)
    starts = [toy.structure(seed=1), apart, toy.structure(seed=2)]
    polymers, bonds, replicas = sample(stage, settings, starts, (60.0, 15.0))
    n_kept = len(replicas) // 3
    stopped = [replica.stopped for replica in replicas[::n_kept]]
    assert stopped[0] == stopped[2] == ""
    assert stopped[1] in ("bonds", "no forces")
    assert polymers.has_failed(2)
    assert "ring polymer 2: " in caplog.text
    assert stream_ring_polymers(stage, settings, [bonds], [replicas], (3, N_STEPS)) == 1
    assert len(complete_runs(stage.runs(0))) == 2


def test_nothing_is_streamed_where_all_ring_polymers_were_stopped(stage, settings):
    class Stopped:
        stopped = "bonds"

    bonds = BondGraph.of(toy.structure())
    with pytest.raises(BrokenRunsError, match="all 3 ring polymers were stopped"):
        stream_ring_polymers(stage, settings, [bonds], [[Stopped()] * 6], (3, N_STEPS))


def test_replicas_of_beads_come_after_all_others():
    """Eight hot ones of classical atoms, then four of each of three ring polymers of 16 beads."""

    @dataclass
    class Ended:
        stopped: str = ""

    replicas = [Ended("bonds") for _ in range(8)]
    replicas += [Ended(reason) for reason in ("", "upper bound", "") for _ in range(4)]
    assert unstopped(replicas, 3, 16) == [1, 3]
    assert unstopped(replicas[8:], 3, 16) == [1, 3]
    assert [len(kept_beads(n)) for n in (2, 3, 4, 5, 8, 16, 32)] == [2, 3, 4, 3, 4, 4, 4]


def test_a_slab_is_refused_at_once(settings):
    """i-PI would let it be periodic in the third direction, too."""
    slab = toy.structure(pbc=True)
    slab.pbc = (True, True, False)
    with pytest.raises(
        InputError, match=r"beads: found 6, of a structure with pbc \[True, True, F"
    ):
        check_programs(settings, [slab])
    check_programs(settings, [toy.structure(), toy.structure(pbc=True)])


def test_steps_that_heat_ring_polymers_are_refused():
    with pytest.raises(InputError, match=r"timestep: found 0\.5, expected at most 0\.3"):
        DynamicsSettings(beads=16)
    assert DynamicsSettings(**of_beads(16)).timestep == 0.25
    assert DynamicsSettings(**of_beads(1)) == DynamicsSettings()
