"""Files of i-PI and what belongs to them: units, beads, centroids, velocities; what rests."""

import logging
import re

import ase.io
import numpy as np
import pytest
from ase import units
from helpers import stored_runs, toy_molecules
from helpers.stored_runs import TIMESTEP, ipi_text, stream_of

from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import TrajectoryFiles
from aptnn_md.errors import InputError
from aptnn_md.targets import APT


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return stored_runs.run(tmp_path_factory.mktemp("run") / "md", n_frames=40)


def test_files_of_beads_that_were_cut_at_different_frames(tmp_path, stored, caplog):
    """A program was killed when some of its files had a frame more; then a restart went on."""
    files = {}
    for kind in ("positions", "velocities"):
        for bead in (0, 1):
            last = 20 if (kind, bead) in (("positions", 0), ("velocities", 1)) else 21
            steps = [*range(last), *range(18, 40)]
            values = getattr(stored, kind)[steps] * (1.0 if kind == "positions" else 1e5)
            unit = {"positions": "angstrom", "velocities": "m/s"}[kind]
            files[kind, bead] = tmp_path / f"{kind}_{bead}.xyz"
            files[kind, bead].write_text(ipi_text(steps, bead, values, stored.atoms, kind, unit))
    positions, velocities = (
        tuple(files[kind, bead] for bead in (0, 1)) for kind in ("positions", "velocities")
    )
    with caplog.at_level(logging.INFO):
        reader = stream_of(tmp_path / "s", positions, velocity_files=velocities, n_beads=2)
    assert "cut at different frames before a restart" in caplog.text
    np.testing.assert_array_equal(reader.step, np.arange(40))
    expected = stored.stream.dipole_rate()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-6 * scale)
    # other strides are another thing
    thinned = ipi_text(range(0, 40, 2), 1, stored.positions[::2], stored.atoms)
    files["positions", 1].write_text(thinned)
    with pytest.raises(InputError, match="steps: found others, expected those of"):
        stream_of(tmp_path / "t", positions, n_beads=2)


def test_velocities_in_all_units_of_ipi(tmp_path, stored):
    pytest.importorskip("ipi")
    from ipi.utils.units import UnitMap

    from aptnn_md.engines.ipi.attach import RateUnit

    RateUnit.of(APT).register()
    positions = tmp_path / "positions.xyz"
    positions.write_text(ipi_text(stored.steps, 0, stored.positions, stored.atoms))
    angstrom, second = float(UnitMap["length"]["angstrom"]), float(UnitMap["time"]["second"])
    atomic = stored.velocities * angstrom / second * 1e15
    expected = stored.stream.dipole_rate()
    known = {*UnitMap["velocity"], "ase"} - {""}
    assert {"m/s", "atomic_unit", "ang/fs"} <= known
    for number, unit in enumerate(sorted(known)):
        factor = 1.0 / units.fs if unit == "ase" else None
        values = stored.velocities * factor if factor else atomic / float(UnitMap["velocity"][unit])
        path = tmp_path / f"{number}.xyz"
        path.write_text(ipi_text(stored.steps, 0, values, stored.atoms, "velocities", unit))
        reader = stream_of(tmp_path / f"s{number}", [positions], velocity_files=(path,))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-5 * scale, err_msg=unit)


def ipi_file(tmp_path, stored, quantity, unit="angstrom", bead=0, scale=1.0):
    """A file that holds positions, or velocities where they are asked for."""
    kind = "velocities" if quantity.startswith("v") else "positions"
    path = tmp_path / f"{quantity}_{bead}.xyz"
    values = scale * getattr(stored, kind)
    path.write_text(ipi_text(stored.steps, bead, values, stored.atoms, quantity, unit))
    return path


def test_what_is_no_file_of_velocities_is_refused(tmp_path, stored):
    positions = ipi_file(tmp_path, stored, "positions")
    centroids = ipi_file(tmp_path, stored, "x_centroid")
    velocities = ipi_file(tmp_path, stored, "velocities", "m/s", scale=1e5)
    of_centroids = ipi_file(tmp_path, stored, "v_centroid", "m/s", scale=1e5)
    for one, other, message in (
        (positions, positions, "quantity: found positions, expected velocities, as"),
        (positions, of_centroids, "quantity: found v_centroid, expected velocities, as"),
        (centroids, velocities, "quantity: found velocities, expected v_centroid, as"),
        (positions, ipi_file(tmp_path, stored, "forces"), "quantity: found forces"),
    ):
        n_beads = 8 if one is centroids else 1
        with pytest.raises(InputError, match=message):
            stream_of(tmp_path / "s", [one], velocity_files=(other,), n_beads=n_beads)
    assert stream_of(tmp_path / "s", [positions], velocity_files=(velocities,)).n_frames == 40
    for path in (velocities, ipi_file(tmp_path, stored, "forces")):
        with pytest.raises(InputError, match=r"quantity: found \w+, expected a file of positions"):
            stream_of(tmp_path / "t", [path])


def test_velocities_in_columns_of_a_file_of_their_own(tmp_path, stored):
    """i-PI's format ase writes what it is asked for as a column beside positions of zero."""
    positions = ipi_file(tmp_path, stored, "positions")
    frames = []
    for step, velocities in zip(stored.steps, stored.velocities, strict=True):
        frame = stored.atoms.copy()
        frame.positions[:] = 0.0
        frame.set_array("velocities", velocities / units.fs)
        frame.info["Step"] = step
        frames.append(frame)
    path = tmp_path / "vel.extxyz"
    ase.io.write(path, frames, columns=["symbols", "positions", "velocities"])
    reader = stream_of(tmp_path / "s", [positions], velocity_files=(path,))
    expected = stored.stream.dipole_rate()
    np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (np.zeros_like, "velocities: found zero, though atoms move"),
        (lambda v: np.random.default_rng(3).permutation(v, axis=1), "what atoms do not move by"),
        (lambda v: -v, "what atoms do not move by"),
    ],
)
def test_velocities_that_are_not_those_of_the_positions(tmp_path, stored, change, message):
    frames = [a.copy() for a in stored.frames()]
    for frame, velocities in zip(frames, change(stored.velocities), strict=True):
        frame.set_velocities(velocities / units.fs)
    ase.io.write(tmp_path / "t.traj", frames)
    with pytest.raises(InputError, match=message):
        stream_of(tmp_path / "s", [tmp_path / "t.traj"])
    # of frames that are far from each other nobody can tell
    few = frames[::13]
    ase.io.write(tmp_path / "few.traj", few)
    assert stream_of(tmp_path / "few", [tmp_path / "few.traj"], stride=13).n_frames == len(few)


def test_centroids_are_no_classical_atoms(tmp_path, stored):
    positions = ipi_file(tmp_path, stored, "x_centroid")
    velocities = ipi_file(tmp_path, stored, "v_centroid", "m/s", scale=1e5)
    given = {"velocity_files": (velocities,)}
    with pytest.raises(InputError, match="centroids of a path integral, and no number, expected"):
        stream_of(tmp_path / "s", [positions], **given)
    with pytest.raises(InputError, match="--estimator: found bead, centroid-apt, expected apt-at"):
        stream_of(
            tmp_path / "s", [positions], **given, n_beads=8, estimators=("bead", "centroid-apt")
        )
    reader = stream_of(tmp_path / "s", [positions], **given, n_beads=8)
    assert (reader.header.n_beads, reader.header.estimators) == (8, ("apt-at-centroid",))
    expected = stored.stream.dipole_rate()
    np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(reader.f_sum, stored.stream.f_sum, rtol=1e-6)


def test_pdb_files_of_ipi(tmp_path, stored):
    """Their titles have steps and units, which the format has no place for."""

    def written(unit, quantity="positions"):
        path = tmp_path / f"{unit}.pdb"
        ase.io.write(path, stored.frames(velocities=False), format="proteindatabank")
        text, steps = path.read_text(), iter(range(0, 400, 10))
        units_named = f"{quantity}{{{unit}}}  cell{{angstrom}}"

        def titled(start):
            return f"TITLE   Step: {next(steps):11d}  Bead:       2 {units_named}\n{start[0]}"

        path.write_text(re.sub("(?m)^CRYST1", titled, text))
        return path

    with open_trajectory(TrajectoryFiles((written("angstrom"),))) as opened:
        assert list(opened.steps) == list(range(0, 400, 10))
        assert opened.beads[0][0].bead == 2
    with pytest.raises(InputError, match="beads: found centroids of a path integral"):
        open_trajectory(TrajectoryFiles((written("angstrom", "x_centroid"),)))
    with pytest.raises(InputError, match="unit of i-PI: found atomic_unit, expected angstrom"):
        open_trajectory(TrajectoryFiles((written("atomic_unit"),)))


@pytest.mark.parametrize("increments", [False, True])
@pytest.mark.parametrize("rests", [False, True])
def test_f_sum_of_an_ion_whose_centre_of_mass_rests(tmp_path, stored, rests, increments):
    """Σ|Pᵢ|²/3mᵢ less what the whole would add, Q²/M for a sum of tensors of Q."""

    class Ion(toy_molecules.Tensors):
        def __call__(self, atoms):
            return super().__call__(atoms) + 2.0 / len(atoms) * np.eye(3)

    frames = stored.frames()
    masses = stored.atoms.get_masses()
    drift = np.array([0.0, 0.0, 0.0 if rests else 0.004])  # Å/fs
    for n, frame in enumerate(frames):
        velocities = frame.get_velocities() * units.fs
        velocities += drift - masses @ velocities / masses.sum()
        frame.positions += n * TIMESTEP * (drift - masses @ stored.velocities[0] / masses.sum())
        frame.set_velocities(velocities / units.fs)
    ase.io.write(tmp_path / "t.traj", frames)
    reader = stream_of(
        tmp_path / "s", [tmp_path / "t.traj"], Ion(), groups="all", increments=increments
    )
    apt = np.array([Ion()(frame) for frame in frames])[int(increments) :]
    free = (apt**2).sum(axis=(2, 3)) / (3.0 * masses)
    expected = free.sum(axis=1).mean() - (4.0 / masses.sum() if rests else 0.0)
    assert reader.f_sum.sum() == pytest.approx(expected, rel=1e-9)
