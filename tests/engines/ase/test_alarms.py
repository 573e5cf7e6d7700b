"""A molecule in a global thermostat from a minimum sets off alarms; an ensemble does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.spectra import report, spectrum_of_streams
from aptnn_md.spectra.analysis.temperatures import alarms_of_runs
from aptnn_md.spectra.sources.opening import opened_runs
from aptnn_md.stream import StreamReader

pytestmark = pytest.mark.slow

T, STEP = 300.0, 0.5 * units.fs
SPECTRUM = {"resolution": 60.0, "volume": 1e8, "temperature": T}


def observed(dynamics: object, path: Path, n_steps: int) -> Path:
    observer = StreamObserver(dynamics, path, toy_molecules.Tensors(), stride=4, temperature=T)
    dynamics.attach(observer, interval=4)
    dynamics.run(n_steps)
    observer.close()
    return path


def molecule(seed: int) -> object:
    atoms = toy_molecules.structure(1, T, seed)
    atoms.calc = toy_molecules.Potential()
    return atoms


@pytest.fixture(scope="module")
def pumped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Positions without potential energy: the thermostat gives its share to the rotation."""
    dynamics = Bussi(molecule(1), STEP, T, 10.0 * units.fs, rng=np.random.default_rng(2))
    return observed(dynamics, tmp_path_factory.mktemp("pumped") / "s", 8000)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Short runs at constant energy from starts that a local thermostat made."""
    folder = tmp_path_factory.mktemp("ensemble")
    paths = []
    for k in range(8):
        atoms = molecule(100 + k)
        friction, rng = 0.02 / units.fs, np.random.default_rng(k)
        Langevin(atoms, STEP, temperature_K=T, friction=friction, rng=rng, fixcm=False).run(800)
        paths.append(observed(VelocityVerlet(atoms, STEP), folder / str(k), 1600))
    return paths


def test_global_thermostat_from_a_minimum(pumped: Path) -> None:
    reader = StreamReader(pumped)
    assert reader.header.motion_freedom == (0.0, 3.0, 3.0)
    found = reader.read("motion_temperature")
    assert found is not None
    kinetic = reader.read("temperature")
    np.testing.assert_allclose(found @ [0.0, 0.5, 0.5], kinetic, rtol=1e-6)
    spectrum = spectrum_of_streams([pumped], **SPECTRUM)
    names = {alarm.name for alarm in spectrum.alarms}
    assert {"equipartition", "f-sum"} & names, found.mean(axis=0)
    assert "equipartition" in names
    lines = report(spectrum)
    assert lines[1].startswith("WARNING (")


def test_ensemble_at_constant_energy(ensemble: list[Path]) -> None:
    spectrum = spectrum_of_streams(ensemble, **SPECTRUM)
    assert spectrum.alarms == ()
    assert not [line for line in report(spectrum) if "WARNING" in line]


def test_temperature_of_the_spectrum_is_not_that_of_the_runs(ensemble: list[Path]) -> None:
    runs = opened_runs(ensemble, 0.0)
    for run in runs:
        for _ in run.pieces(run.reader.rate_name()):
            pass
    assert alarms_of_runs(runs, T) == ()
    # a spectrum of another temperature than that of the runs
    assert [alarm.name for alarm in alarms_of_runs(runs, 3 * T)] == ["temperature"]
