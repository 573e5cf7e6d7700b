"""Velocity spectra: known lines, degrees of freedom, groups, memory, streams of real runs."""

from __future__ import annotations

import math

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import Atoms
from helpers.oscillators import langevin_velocities

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.errors import InputError
from aptnn_md.spectra.options import VelocityOptions
from aptnn_md.spectra.velocities.of_streams import velocity_spectrum_of_streams
from aptnn_md.spectra.velocities.spectrum import velocity_spectrum
from aptnn_md.spectra.velocities.table import write_velocities
from aptnn_md.stream import StreamHeader, StreamWriter
from aptnn_md.stream.frame import atom_fields

SPACING = 2.0
LINES = {"H": (2400.0, 80.0), "O": (900.0, 60.0), "Cl": (300.0, 90.0)}


def write(path, atoms, velocities, groups="all", **header):
    """A stream of these velocities (frames, n_atoms, 3)."""
    fields = atom_fields(atoms, parse_groups(groups, atoms))
    labels = parse_groups(groups, atoms).labels
    constants = {"timestep": SPACING, "groups": labels, "temperature": 300.0, **fields, **header}
    rate = np.zeros((len(labels), 3))
    with StreamWriter(path, StreamHeader.for_atoms(atoms, **constants)) as writer:
        for step, velocity in enumerate(velocities):
            writer.append(step, SPACING * step, {"bead": rate}, velocity=velocity)
    return path


def oscillating(n_frames=12_000, seed=0):
    """Three waters' worth of damped oscillators: each element has a line of its own."""
    atoms = Atoms("ClOHHOHHCl", positions=4.0 * np.arange(24).reshape(8, 3))
    velocities = np.empty((n_frames, 8, 3))
    for n, (symbol, mass) in enumerate(
        zip(atoms.get_chemical_symbols(), atoms.get_masses(), strict=True)
    ):
        position, width = LINES[symbol]
        velocities[:, n] = langevin_velocities(
            (n_frames, 3), SPACING, position, width, mass=mass, seed=17 * seed + n
        )
    return atoms, velocities


def line(nu, position, width):
    """Spectrum of one degree of freedom, whose integral is 1."""
    denominator = (position**2 - nu**2) ** 2 + (width * nu) ** 2
    return 2.0 / math.pi * width * nu**2 / denominator


def test_lines_and_degrees_of_freedom(tmp_path):
    atoms, velocities = oscillating()
    path = write(tmp_path / "s", atoms, velocities)
    found = velocity_spectrum_of_streams([path], 15.0, by="element")
    assert list(found.groups) == ["H", "O", "Cl"]
    numbers = {"H": 4, "O": 2, "Cl": 2}
    for label, curve in found.groups.items():
        freedom = found.freedom[label]
        assert (freedom.n_atoms, freedom.expected) == (numbers[label], 3 * numbers[label])
        assert abs(freedom.found - freedom.expected) < 3.5 * freedom.standard_error
        assert freedom.standard_error < 0.06 * freedom.expected
        position, width = LINES[label]
        near = abs(found.wavenumber - position) < 2 * width
        known = 3 * numbers[label] * line(found.wavenumber, position, width)
        score = (curve.mean - known)[near] / curve.standard_error[near]
        assert np.sqrt(np.mean(score**2)) < 2.0
        assert curve.mean[near].max() == pytest.approx(known[near].max(), rel=0.25)
    total = sum(curve.mean for curve in found.groups.values())
    np.testing.assert_allclose(found.total.mean, total, rtol=1e-9, atol=1e-12)
    whole = found.total_freedom
    assert whole.found == pytest.approx(found.total.integral(0, 1e9)[0])
    assert whole.expected == 24


def test_memory_does_not_change_the_result(tmp_path):
    """In one pass, and reading the streams again for each few atoms; two runs."""
    paths = []
    for seed in (1, 2):
        atoms, velocities = oscillating(3000 + 500 * seed, seed)
        paths.append(write(tmp_path / f"{seed}", atoms, velocities, "element"))
    options = {"skip": 0.2, "method": "blackman-tukey", "window": "gaussian"}
    whole = velocity_spectrum_of_streams(paths, 30.0, **options)
    pieces = velocity_spectrum_of_streams(paths, 30.0, pass_values=8000, **options)
    assert whole.run_lengths == pieces.run_lengths == (6800.0, 7800.0)
    for label, curve in whole.groups.items():
        np.testing.assert_allclose(pieces.groups[label].mean, curve.mean, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(
            pieces.groups[label].standard_error, curve.standard_error, rtol=1e-6
        )
    np.testing.assert_allclose(pieces.total.mean, whole.total.mean, rtol=1e-9, atol=1e-14)
    assert pieces.total_freedom.found == pytest.approx(whole.total_freedom.found, rel=1e-9)
    # float32 on disk is exact enough: against the same velocities in double precision
    frames = velocities[100:]
    squares = (atoms.get_masses()[:, None] * frames**2).sum((1, 2)).mean()
    last = velocity_spectrum_of_streams(paths[1:], 30.0, skip=0.2)
    k_over_amu = 1.380649e-23 / 1.66053906660e-27 * 1e-10
    assert last.total_freedom.found == pytest.approx(squares / (k_over_amu * 300.0), rel=0.01)


def test_centre_of_mass_at_rest(tmp_path):
    """Its three degrees of freedom are missing, by mass; groups of molecules, merged."""
    atoms, velocities = oscillating(4000)
    masses = atoms.get_masses()
    drift = np.tensordot(velocities, masses, axes=(1, 0)) / masses.sum()
    resting = velocities - drift[:, None]
    path = write(tmp_path / "s", atoms, resting, "molecule")
    found = velocity_spectrum_of_streams([path], 30.0)
    assert len(found.groups) == 8
    freedom = found.total_freedom
    assert freedom.expected == pytest.approx(21.0)
    assert "centre of mass is at rest" in found.notes[-1]
    merged = velocity_spectrum_of_streams([path], 30.0, merge=["kind"])
    assert list(merged.groups) == ["Cl", "O", "H"]
    chlorine = merged.freedom["Cl"]
    assert chlorine.expected == pytest.approx(3 * (2 - 70.9 / masses.sum()), rel=1e-3)
    assert abs(chlorine.found - chlorine.expected) < 4 * chlorine.standard_error


@pytest.mark.thorough
def test_run_of_molecules(tmp_path, capsys, monkeypatch):
    """A stream of real dynamics: the toy's stretching is hydrogen's, table and picture."""
    monkeypatch.chdir(tmp_path)
    atoms = toy.structure(6, temperature=300.0, seed=2)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    settings = MDSettings(picoseconds=0.7, timestep=0.5, stride=4, thermostat="bussi", seed=4)
    run_md(atoms, "s", settings, groups="element+motion", velocities=True)
    assert (
        main(["spectrum", "vdos", "s", "--resolution", "120", "--out", "v.csv", "--plot", "v.png"])
        == 0
    )
    out = capsys.readouterr().out
    assert "degrees of freedom" in out
    assert "centre of mass is at rest" in out
    found = velocity_spectrum_of_streams(["s"], 120.0)
    assert found.groups.keys() == {"H", "O", "Cl"}
    table = np.loadtxt("v.csv", delimiter=",")
    assert table.shape == (len(found.wavenumber), 9)
    np.testing.assert_allclose(table[:, 1], found.total.mean, rtol=1e-8, atol=1e-15)
    high = abs(found.wavenumber - 1250) < 150
    share = found.groups["H"].mean[high].sum() / found.total.mean[high].sum()
    assert 0.8 < share < 0.97
    freedom = found.total_freedom
    assert freedom.expected == pytest.approx(3 * 18 - 3)
    assert freedom.found == pytest.approx(freedom.expected, rel=0.25)
    assert (tmp_path / "v.png").stat().st_size > 10_000


def test_arrays_give_what_streams_give(tmp_path):
    """Whole runs or pieces of them; groups by the labels of atoms."""
    atoms, velocities = oscillating(3000)
    path = write(tmp_path / "s", atoms, velocities)
    known = velocity_spectrum_of_streams([path], 40.0, by="element", window="gaussian")
    single = velocities.astype(np.float32).astype(float)  # as streams hold them
    symbols, masses = atoms.get_chemical_symbols(), atoms.get_masses()
    options = VelocityOptions(resolution=40.0, window="gaussian")
    pieces = [single[:700], single[700:]]
    for run in (single, pieces):
        found = velocity_spectrum([run], SPACING, masses, 300.0, options=options, labels=symbols)
        np.testing.assert_allclose(found.total.mean, known.total.mean, rtol=1e-12)
        assert found.total_freedom.n_atoms == 8
        for label, curve in known.groups.items():
            np.testing.assert_allclose(found.groups[label].mean, curve.mean, rtol=1e-12)
            assert found.freedom[label].found == pytest.approx(
                known.freedom[label].found, rel=1e-12
            )
            assert found.freedom[label].expected == known.freedom[label].expected
    whole = velocity_spectrum([single], SPACING, masses, 300.0, 40.0, window="gaussian")
    assert list(whole.groups) == ["all"]
    np.testing.assert_allclose(whole.groups["all"].mean, whole.total.mean, rtol=1e-12)


def test_arrays_that_are_refused():
    run = np.zeros((400, 2, 3))
    for change, message in [
        ({"masses": [1.0]}, r"velocity: found shape \(400, 2, 3\), expected \(frames, 1, 3\)"),
        ({"masses": [1.0, -1.0]}, "masses: found"),
        ({"labels": ["a"]}, "labels: found 1, expected 2, one for each atom"),
        ({"temperature": 0.0}, "temperature: found 0.0"),
        ({"skip": 1.0}, "skip: found 1.0, expected 0.0: arrays are used as they are"),
        ({"by": "element"}, "by: found 'element'"),
    ]:
        arguments = {"masses": [1.0, 2.0], "temperature": 300.0, "resolution": 100.0, **change}
        with pytest.raises(InputError, match=message):
            velocity_spectrum([run], SPACING, **arguments)


def test_what_is_refused(tmp_path):
    atoms, velocities = oscillating(600)
    path = write(tmp_path / "s", atoms, velocities)
    plain = tmp_path / "plain"
    with StreamWriter(plain, StreamHeader.for_atoms(atoms, timestep=SPACING)) as writer:
        writer.append(0, 0.0, {"bead": np.zeros((1, 3))})
    for call, message in [
        (lambda: velocity_spectrum_of_streams([]), "streams"),
        (
            lambda: velocity_spectrum_of_streams([plain]),
            "found none in the stream, expected velocities",
        ),
        (lambda: velocity_spectrum_of_streams([path], 1.0), "length: found 600 frames"),
        (lambda: velocity_spectrum_of_streams([path], 40.0, by="colour"), "by: found colour"),
        (lambda: velocity_spectrum_of_streams([path], 40.0, temperature=-1.0), "temperature"),
        (
            lambda: write_velocities(
                tmp_path / "t", velocity_spectrum_of_streams([path], 60.0), (5.0, 1.0)
            ),
            "range: found 5 to 1",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            call()
