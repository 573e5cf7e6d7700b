"""Members of a committee in a run: their rates, and frames on which they disagree."""

from __future__ import annotations

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from helpers.observed_runs import start, stream_run

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.uncertain_frames import DEVIATION, UncertainFrames
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader


def test_frames_above_the_limit_are_kept_as_they_were(tmp_path):
    atoms = start()
    atoms.info["charge"] = 0
    everything = UncertainFrames(tmp_path / "all", 1e-6)
    reader, positions = stream_run(
        tmp_path / "run.zarr", atoms, 0.5, 40, toy.Committee(), stride=2, saved=everything
    )
    deviations, steps = reader.read(DEVIATION), reader.read("step")
    limit = float(np.median(deviations))
    atoms = start()
    stream_run(
        tmp_path / "again.zarr",
        atoms,
        0.5,
        40,
        toy.Committee(),
        stride=2,
        saved=UncertainFrames(tmp_path / "some", limit),
    )
    kept = sorted(path.name for path in (tmp_path / "some").glob("*"))
    expected = [
        f"again-{s:09d}.extxyz" for s, d in zip(steps, deviations, strict=True) if d > limit
    ]
    assert kept == expected
    assert 0 < len(kept) < len(steps)
    assert len(list((tmp_path / "all").glob("*"))) == len(steps)
    number = int(np.argmax(deviations))
    found = ase.io.read(tmp_path / "all" / f"run-{steps[number]:09d}.extxyz")
    assert found.positions == pytest.approx(positions[number], abs=1e-7)
    assert found.cell.array == pytest.approx(atoms.cell.array)
    assert found.info[DEVIATION] == pytest.approx(deviations[number])
    assert found.info["charge"] == 0


def test_rates_of_members_are_streamed(tmp_path):
    reader, _ = stream_run(tmp_path / "run.zarr", start(), 0.5, 6, toy.Committee(), members=True)
    assert reader.header.estimators == ("bead", "member-1", "member-2", "member-3")
    rates = reader.dipole_rate()
    for number, factor in enumerate(toy.Committee.factors, start=1):
        mean = toy.Committee.factors.mean()
        found = reader.dipole_rate(f"member-{number}")
        assert found == pytest.approx(factor / mean * rates, rel=1e-9)


def test_rates_of_members_are_streamed_by_default(tmp_path):
    """Of a committee; not of a single model, nor where it is turned off."""
    members = ("bead", "member-1", "member-2", "member-3")
    reader, _ = stream_run(tmp_path / "a", start(), 0.5, 2, toy.Committee())
    assert reader.header.estimators == members
    reader, _ = stream_run(tmp_path / "b", start(), 0.5, 2, toy.Tensors())
    assert reader.header.estimators == ("bead",)
    reader, _ = stream_run(tmp_path / "c", start(), 0.5, 2, toy.Committee(), members=False)
    assert reader.header.estimators == ("bead",)
    # a run goes on as it was begun
    reader, _ = stream_run(tmp_path / "c", start(), 0.5, 4, toy.Committee(), first_step=0)
    assert reader.header.estimators == ("bead",)
    assert reader.n_frames == 5
    reader, _ = stream_run(tmp_path / "a", start(), 0.5, 4, toy.Committee(), first_step=0)
    assert reader.header.estimators == members


def test_a_committee_of_apts_beside_a_single_model_of_pgts(tmp_path):
    """As two bundled ones."""
    atoms = molecule("H2O")
    atoms.calc = EMT()
    dynamics = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dynamics, tmp_path / "s", "water-apt-committee,water-pgt") as observer:
        assert observer.frame_rates.n_members == 4
        dynamics.attach(observer, interval=1)
        dynamics.run(2)
    reader = StreamReader(tmp_path / "s")
    members = [reader.read(f"polarizability_rate/member-{k}") for k in (1, 2, 3, 4)]
    for found in members:
        np.testing.assert_array_equal(found, reader.read("polarizability_rate/bead"))
    assert "polarizability_rate_std" not in reader.arrays
    assert "dipole_rate_std" in reader.arrays


@pytest.mark.parametrize("what", ["members", "saved"])
def test_one_network_cannot_disagree(tmp_path, what):
    options = {"members": True} if what == "members" else {}
    if what == "saved":
        options = {"saved": UncertainFrames(tmp_path / "kept", 0.1)}
    with pytest.raises(InputError, match="one network, expected a committee"):
        stream_run(tmp_path / "run.zarr", start(), 0.5, 2, toy.Tensors(), **options)


def test_a_limit_is_positive(tmp_path):
    with pytest.raises(InputError, match="above"):
        UncertainFrames(tmp_path, 0.0)
