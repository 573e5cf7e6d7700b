"""What a frame holds, against definitions written out: estimators, committees, groups, header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from helpers import toy_field, toy_molecules

from aptnn_md.atoms import motion
from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.domain import Domain
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader, StreamWriter, header
from aptnn_md.stream.frame import ESTIMATORS, FrameRates, Instant
from aptnn_md.stream.layout import layouts
from aptnn_md.tensors import VOIGT

ATOMS = toy_molecules.structure(3, seed=4, pbc=True)
MASSES = ATOMS.get_masses()
CELL, PBC = ATOMS.cell.array, (True, True, True)
FACTORS = {"apt": np.array([0.8, 1.0, 1.3]), "pgt": np.array([1.1, 0.7])}


def tensors_at(positions, factors=FACTORS):
    """Tensors (n_members, ..., n_atoms, *shape) of a committee whose members differ by factors."""
    flat = positions.reshape(-1, len(ATOMS), 3)
    single = {
        "apt": np.array([toy_molecules.polar_tensors(q) for q in flat]),
        "pgt": np.array([toy_field.gradients(q) for q in flat]),
    }
    return {
        name: np.multiply.outer(
            factor, single[name].reshape(*positions.shape[:-2], *single[name].shape[1:])
        )
        for name, factor in factors.items()
    }


def ring_polymer(n_beads=4, factors=FACTORS):
    rng = np.random.default_rng(1)
    beads = ATOMS.positions + 0.05 * rng.normal(size=(n_beads, len(ATOMS), 3))
    velocities = rng.normal(scale=0.02, size=(n_beads, len(ATOMS), 3))
    snapshot = Snapshot(beads, CELL, PBC)
    return Instant(
        velocities, snapshot, tensors_at(beads, factors), tensors_at(beads.mean(axis=0), factors)
    )


def rates_of(groups="element", *estimators, **options):
    return FrameRates(parse_groups(groups, ATOMS), MASSES, estimators or ("bead",), **options)


def of_element(symbol, tensors, velocities):
    """Rate of the atoms of an element: M_α = Σ P_αβ v_β, a_αβ = Σ p_αβγ v_γ."""
    chosen = np.array(ATOMS.get_chemical_symbols()) == symbol
    rate = np.einsum("n...b,nb->...", tensors[chosen], velocities[chosen])
    return rate if rate.ndim == 1 else np.array([rate[a, b] for a, b in VOIGT])


def test_estimators_by_their_definitions():
    instant = ring_polymer()
    arrays = rates_of("element", *ESTIMATORS).rates(instant)
    mean_velocity = instant.velocities.mean(axis=0)
    for target, rate in (("apt", "dipole_rate"), ("pgt", "polarizability_rate")):
        at_beads = instant.at_beads[target].mean(axis=0)
        at_centroid = instant.at_centroid[target].mean(axis=0)
        for number, symbol in enumerate(("H", "O", "Cl")):
            expected = {
                "bead": np.mean(
                    [
                        of_element(symbol, p, v)
                        for p, v in zip(at_beads, instant.velocities, strict=True)
                    ],
                    axis=0,
                ),
                "centroid-apt": of_element(symbol, at_beads.mean(axis=0), mean_velocity),
                "apt-at-centroid": of_element(symbol, at_centroid, mean_velocity),
            }
            for name, value in expected.items():
                found = arrays[f"{rate}/{name}"][number]
                np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-15)
        spread = np.abs(arrays[f"{rate}/bead"]) * FACTORS[target].std(ddof=1)
        np.testing.assert_allclose(arrays[f"{rate}_std"], spread / FACTORS[target].mean())
    assert len(arrays) == 8


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("groups", ["element", "element+motion", "within:2.0:index:0+each-step"])
def test_one_bead_is_a_classical_atom(estimator, groups):
    """With or without an axis of beads; and all estimators agree."""
    beads = ring_polymer(1)
    classical = Instant(
        beads.velocities[0],
        Snapshot(beads.snapshot.positions[0], CELL, PBC),
        {name: values[:, 0] for name, values in beads.at_beads.items()},
        beads.at_centroid,
    )
    expected = rates_of(groups).frame(0, 0.0, beads, 300.0).arrays
    for instant in (beads, classical):
        found = rates_of(groups, estimator).frame(0, 0.0, instant, 300.0).arrays
        assert [name.replace(estimator, "bead") for name in found] == list(expected)
        for name, values in found.items():
            np.testing.assert_allclose(
                values, expected[name.replace(estimator, "bead")], rtol=1e-9, atol=1e-14
            )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_strength_belongs_to_the_first_estimator(estimator):
    instant = ring_polymer()
    arrays = rates_of("element", estimator).strengths(instant)
    apt = instant.at_beads["apt"].mean(axis=0)
    tensors = {
        "bead": apt,
        "centroid-apt": apt.mean(axis=0)[None],
        "apt-at-centroid": instant.at_centroid["apt"].mean(axis=0)[None],
    }[estimator]
    expected = np.mean([(p**2).sum(axis=(1, 2)) / 3 / MASSES for p in tensors], axis=0)
    for number, symbol in enumerate(("H", "O", "Cl")):
        chosen = np.array(ATOMS.get_chemical_symbols()) == symbol
        assert arrays["f_sum"][number] == pytest.approx(expected[chosen].sum(), rel=1e-12)
    size = np.sqrt((apt**2).mean(axis=(2, 3))).max() / FACTORS["apt"].mean()
    assert arrays["extrapolation"] == pytest.approx(size * FACTORS["apt"].std(ddof=1))


def test_largest_ratio_of_all_targets_and_beads():
    known = {"apt": {"H": 0.3, "O": 0.2, "Cl": 0.4}, "pgt": {"H": 0.01, "O": 0.4, "Cl": 0.6}}
    rates = rates_of(domain=DomainWatch(Domain("toy", known), ATOMS.numbers))
    instant = ring_polymer()
    expected = 0.0
    for target, tensors in instant.at_beads.items():
        limits = 1.5 * np.array([known[target][symbol] for symbol in ATOMS.symbols])
        single = tensors.mean(axis=0) / FACTORS[target].mean() * FACTORS[target].std(ddof=1)
        spreads = np.sqrt((single**2).mean(axis=tuple(range(2, single.ndim))))
        expected = max(expected, (spreads / limits).max())
    arrays = rates.frame(3, 1.5, instant, 300.0).arrays
    assert arrays["spread_ratio"] == pytest.approx(expected, rel=1e-12)
    names = set(rates.array_names({"apt": 3, "pgt": 2}))
    assert names == set(arrays) - {"temperature"}
    # a committee of PGTs alone can be judged, two single models cannot
    assert "spread_ratio" in rates.array_names({"apt": 1, "pgt": 2})
    single = ring_polymer(2, {"apt": np.ones(1), "pgt": np.ones(1)})
    assert "spread_ratio" not in rates.frame(0, 0.0, single).arrays
    assert "spread_ratio" not in rates.array_names({"apt": 1, "pgt": 1})


def test_a_single_model_has_no_deviation():
    single = {"apt": np.ones(1), "pgt": np.ones(1)}
    arrays = rates_of().frame(0, 0.0, ring_polymer(2, single), 300.0).arrays
    assert set(arrays) == {"dipole_rate/bead", "polarizability_rate/bead", "f_sum", "temperature"}


def test_what_is_asked_for_besides(tmp_path):
    instant = ring_polymer()
    rates = rates_of("element", "centroid-apt", beads_too=True, velocities=True, variable_cell=True)
    header = rates.header(ATOMS, timestep=0.5, stride=4, n_beads=4, temperature=300.0)
    assert header.estimators == ("centroid-apt",)
    assert header.groups == ("H", "O", "Cl")
    assert header.volume is None
    assert header.temperature == 300.0
    assert header.atom_numbers == tuple(ATOMS.numbers)
    assert [header.atom_labels[g] for g in header.atom_groups] == ATOMS.get_chemical_symbols()
    frame = rates.frame(4, 2.0, instant, 310.0)
    with StreamWriter(tmp_path / "s", header, 4) as writer:
        writer.append_frame(frame)
    reader = StreamReader(tmp_path / "s")
    assert (reader.step.tolist(), reader.time.tolist()) == ([4], [2.0])
    beads = reader.read("dipole_rate_beads")[0]
    assert beads.shape == (4, 3, 3)
    exact = rates_of("element").rates(instant)["dipole_rate/bead"]
    np.testing.assert_allclose(beads.mean(axis=0), exact, rtol=1e-12)
    np.testing.assert_allclose(
        reader.read("velocity")[0], instant.velocities.mean(axis=0), rtol=1e-6
    )
    assert reader.volume == pytest.approx(ATOMS.get_volume())
    assert reader.read("temperature").tolist() == [310.0]
    # known before the first frame, so that what is kept beside a stream can be laid out
    names = rates.array_names({"apt": 3, "pgt": 2})
    assert set(names) == set(frame.arrays) - {"temperature", "velocity", "volume"}
    planned = layouts(header, names)
    for name in names:
        assert planned[name].frame_shape == np.shape(frame.arrays[name])


def test_a_constant_cell_has_its_volume_in_the_header():
    assert rates_of().header(ATOMS, timestep=1.0).volume == pytest.approx(ATOMS.get_volume())
    assert rates_of().header(ATOMS, timestep=1.0, volume=5.0).volume == 5.0


def test_which_tensors_are_needed():
    assert rates_of("all", "bead").needs() == (True, False)
    assert rates_of("all", "apt-at-centroid").needs() == (False, True)
    assert rates_of("all", "apt-at-centroid").needs(["centroid-apt"]) == (True, True)
    assert rates_of("all", "apt-at-centroid", beads_too=True).needs() == (True, True)


def test_what_is_missing_is_told():
    whole = ring_polymer()
    only_beads = Instant(whole.velocities, whole.snapshot, whole.at_beads)
    with pytest.raises(InputError, match="apt-at-centroid: at_centroid: found nothing"):
        rates_of("all", "apt-at-centroid").rates(only_beads)
    with pytest.raises(InputError, match="found 'beads', expected one of bead, centroid-apt"):
        rates_of("all", "beads").rates(whole)
    without_apt = Instant(whole.velocities, whole.snapshot, {"pgt": whole.at_beads["pgt"]})
    with pytest.raises(InputError, match="found pgt only, expected a model that gives APTs, too"):
        rates_of().frame(0, 0.0, without_apt)
    nowhere = Instant(whole.velocities, None, whole.at_beads)
    rates_of("element").frame(0, 0.0, nowhere)
    with pytest.raises(InputError, match="snapshot: found None, expected where the atoms are"):
        rates_of("motion").frame(0, 0.0, nowhere)


def test_temperatures_of_motions_and_bonds_are_kept_and_resumed(tmp_path: Path) -> None:
    """A run that continues a stream of an older version, without them, leaves them out."""
    assert header.MOTIONS == motion.MOTIONS
    water = molecule("H2O")
    masses = water.get_masses()
    plain = FrameRates(parse_groups("all", water), masses)
    motions = MotionTemperatures.of(water)
    assert motions is not None
    coordinates = CoordinateTemperatures.of(water)
    assert coordinates is not None
    rates = replace(plain, motions=motions, coordinates=coordinates)
    velocities = np.random.default_rng(1).normal(size=(3, 3))
    apt = np.ones((1, 3, 3, 3))
    instant = Instant(velocities, Snapshot.of(water), {"apt": apt})
    for maker in (rates, plain):
        path = tmp_path / str(maker is rates)
        with StreamWriter(path, maker.header(water, timestep=1.0)) as writer:
            writer.append_frame(maker.frame(0, 0.0, instant))
        with StreamWriter(path, rates.header(water, timestep=1.0), 1) as writer:
            writer.append_frame(rates.frame(1, 1.0, instant))
        reader = StreamReader(path)
        assert reader.n_frames == 2
        found = reader.read("motion_temperature")
        assert (found is None) == (maker is plain)
        assert reader.header.motion_freedom == (() if maker is plain else (0.0, 3.0, 3.0))
        of_bonds = reader.read("coordinate_temperature")
        assert (of_bonds is None) == (maker is plain)
        assert reader.header.coordinates == (() if maker is plain else coordinates.kinds)
        if found is not None:
            where = instant.snapshot
            np.testing.assert_allclose(found[1], motions.of_instant(velocities, where))
            np.testing.assert_allclose(of_bonds[1], coordinates.of_instant(velocities, where))
