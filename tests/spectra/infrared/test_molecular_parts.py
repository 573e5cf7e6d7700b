"""Intramolecular and intermolecular parts of spectra."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.spectra import infrared_spectrum, spectrum_of_streams
from aptnn_md.spectra.estimation.parts import INTERMOLECULAR, is_cross
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamHeader, StreamWriter

MOLECULES = ("H2O-1", "CH4O-1", "H2O-2", "Na-1", "H2O-3")
MOTIONS = ("translation", "libration", "vibration")


def rates(n_frames, n_groups, seed=0):
    """Noise that the groups partly share, so that cross terms are large."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(n_frames, n_groups, 3))
    return own + np.linspace(-0.5, 1.0, n_groups)[:, None] * rng.normal(size=(n_frames, 1, 3))


def spectrum(values, **options):
    return infrared_spectrum([values], 2.0, 300.0, 900.0, 60.0, **options)


def test_kinds_alone_and_all_pairs():
    """Against spectra of each molecule by itself; the parts add up to the total."""
    values = rates(6000, 5)
    found = spectrum(values, group_labels=MOLECULES, molecules=True)
    assert list(found.parts) == [
        "H2O intramolecular",
        "CH4O intramolecular",
        "Na intramolecular",
        INTERMOLECULAR,
    ]
    alone = [spectrum(values[:, k]).absorption for k in range(5)]
    expected = [alone[0] + alone[2] + alone[4], alone[1], alone[3]]
    expected.append(found.absorption - sum(alone))
    for part, known in zip(found.parts.values(), expected, strict=True):
        np.testing.assert_allclose(part.mean, known, rtol=1e-9, atol=1e-9 * alone[0].max())
    # what is shared makes the pairs: Σ_{g≠h} a_g a_h over Σ (1 + a_g²)
    a = np.linspace(-0.5, 1.0, 5)
    share = (a.sum() ** 2 - (a**2).sum()) / (5 + a.sum() ** 2)
    integral = found.parts[INTERMOLECULAR].integral(0.0, 1e5)
    whole = found.integral(0.0, 1e5)[0]
    assert abs(integral[0] - share * whole) < 4 * integral[1]
    assert [is_cross(name) for name in found.parts] == [False, False, False, True]


def test_motions_of_molecules_are_taken_together(tmp_path):
    labels = tuple(f"{name} {motion}" for name in MOLECULES for motion in MOTIONS)
    values = rates(3000, 15, seed=1)
    header = StreamHeader(timestep=2.0, groups=labels, temperature=300.0, volume=900.0)
    with StreamWriter(tmp_path / "s", header) as writer:
        for step, rate in enumerate(values):
            writer.append(step, 2.0 * step, {"bead": rate})
    options = InfraredOptions(molecules=True)
    found = spectrum_of_streams([tmp_path / "s"], 60.0, options)
    merged = values.reshape(3000, 5, 3, 3).sum(axis=2)
    expected = spectrum(merged, group_labels=MOLECULES, molecules=True)
    assert list(found.parts) == list(expected.parts)
    table = tmp_path / "ir.csv"
    command = ["spectrum", "ir", str(tmp_path / "s"), "--molecules", "--resolution", "60"]
    assert main([*command, "--out", str(table)]) == 0
    columns = np.loadtxt(table, delimiter=",")
    assert "H2O intramolecular (cm^-1)" in table.read_text()
    for name, part in expected.parts.items():
        assert np.isclose(columns, part.mean[:, None], rtol=1e-8).all(axis=0).sum() == 1
        np.testing.assert_allclose(found.parts[name].mean, part.mean, rtol=1e-9)


@pytest.mark.thorough
def test_hundreds_of_molecules_take_little_memory():
    """Spectra of 500 molecules would be 500 × 64 blocks × 850 points; only two are kept."""
    labels = [f"H2O-{n + 1}" for n in range(500)]
    values = rates(3000, 500, seed=2)
    tracemalloc.start()
    found = spectrum(values, group_labels=labels, molecules=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    total = sum(part.mean for part in found.parts.values())
    np.testing.assert_allclose(total, found.absorption, rtol=1e-9)
    assert peak < 6 * values.nbytes


def test_other_groups_are_refused():
    values = rates(2000, 3)
    for labels, found in (
        (("H", "O", "Na"), "found 'H', expected molecules"),
        (("H2O-1", "H2O-2", "rest"), "found 'rest', expected molecules"),
    ):
        with pytest.raises(InputError, match=found):
            spectrum(values, group_labels=labels, molecules=True)
    with pytest.raises(InputError, match=r"found 0 group\(s\)"):
        spectrum(values, molecules=True)
