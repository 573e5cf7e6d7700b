"""The conserved energy in streams of ASE, and its drift where forces are no derivatives."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from helpers.tiers import slow

from aptnn_md.cli.info import stream_facts
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.spectra.analysis.energy_drift import drift_of_streams
from aptnn_md.stream import StreamReader

STEP = 0.5 * units.fs


class Curl(toy.Potential):
    """With forces that no energy has: a turn of each O-H bond about x, without a total force."""

    def __init__(self, strength):
        super().__init__()
        self.strength = strength

    def calculate(self, *arguments):
        super().calculate(*arguments)
        bond = toy.bonds(self.atoms.positions)[0]
        turn = self.strength * np.cross([1.0, 0.0, 0.0], bond)
        self.results["forces"][1::3] += turn
        self.results["forces"][0::3] -= turn


def molecules(potential=None, n=2, **options):
    atoms = toy.structure(n, 300.0, 5, pbc=True)
    atoms.calc = APTCalculator(toy.Tensors(), potential or toy.Potential(), **options)
    return atoms


def observed(path, dynamics, n_steps=40):
    positions, momenta = [], []
    atoms = dynamics.atoms
    with StreamObserver(dynamics, path, stride=4) as observer:
        dynamics.attach(observer, interval=4)
        dynamics.attach(lambda: positions.append(atoms.positions.copy()), interval=4)
        dynamics.attach(lambda: momenta.append(atoms.get_momenta()), interval=4)
        dynamics.run(n_steps)
    kinetic = (np.array(momenta) ** 2 / atoms.get_masses()[:, None]).sum((1, 2)) / 2
    potential = [toy.energy_forces_virial(each)[0] for each in positions]
    return StreamReader(path), kinetic + potential


def test_it_is_the_energy_less_that_of_the_thermostat(tmp_path):
    reader, energy = observed(tmp_path / "nve", VelocityVerlet(molecules(), STEP))
    np.testing.assert_allclose(reader.read("conserved_energy"), energy, rtol=1e-12)
    assert reader.header.thermostat_time is None
    rng = np.random.default_rng(1)
    bussi = Bussi(molecules(), STEP, 300.0, 10 * units.fs, rng=rng)
    reader, energy = observed(tmp_path / "bussi", bussi, 400)
    conserved = reader.read("conserved_energy")
    assert conserved[-1] == pytest.approx(energy[-1] - bussi.transferred_energy, rel=1e-12)
    assert np.ptp(conserved) < 0.1 * np.ptp(energy)
    assert reader.header.thermostat_time == pytest.approx(10.0)


def test_where_none_is_conserved_there_is_none(tmp_path):
    rng = np.random.default_rng(1)
    langevin = Langevin(
        molecules(), STEP, temperature_K=300.0, friction=0.01 / units.fs, rng=rng, fixcm=False
    )
    in_a_field = VelocityVerlet(molecules(efield=(0.0, 0.0, 0.1)), STEP)
    for name, dynamics in (("langevin", langevin), ("field", in_a_field)):
        reader, _ = observed(tmp_path / name, dynamics)
        assert "conserved_energy" not in reader.arrays


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("strength", "thermostat"),
    slow([(0.0, "none"), (0.002, "none"), (0.02, "bussi")], "none"),
)
def test_a_run_its_stream_and_its_spectrum_tell_one_drift(tmp_path, caplog, strength, thermostat):
    """Found by least squares over all frames, those before a restart included."""
    for picoseconds, restart in ((0.3, False), (2.0, True)):
        caplog.clear()
        summary = run_md(
            molecules(Curl(strength)),
            tmp_path / "s",
            MDSettings(picoseconds, stride=2, thermostat=thermostat, tau=50.0, seed=2),
            checkpoint=tmp_path / "c.npz",
            restart=restart,
        )
    reader = StreamReader(tmp_path / "s")
    slope = np.polyfit(1e-3 * reader.time, reader.read("conserved_energy"), 1)[0] * 1e3 / 6
    error = summary.drift_error
    assert summary.drift == pytest.approx(slope, abs=max(0.5 * error, 0.02 * abs(slope)))
    found = drift_of_streams([tmp_path / "s"])
    assert (found.measured.value, found.measured.standard_error) == (summary.drift, error)
    assert found.picoseconds == pytest.approx(2.0 if thermostat == "none" else 0.05)
    warned = "the conserved energy drifts by" in caplog.text
    assert warned == (strength > 0.0)
    facts = stream_facts(str(tmp_path / "s"))
    assert ("WARNING (energy drift)" in facts) == warned
    if warned:
        assert facts["WARNING (energy drift)"].split(" (")[0] in caplog.text
        assert abs(summary.drift) > 3.0 * error
