"""Spectra of the members of a committee, out of one stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.toy_molecules import Committee, structure

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.cli import main
from aptnn_md.domain import Domain
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.error_parts import ErrorParts, describe_parts
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.options import InfraredOptions, RamanOptions
from aptnn_md.spectra.raman.of_streams import RamanStreams
from aptnn_md.spectra.sources.members import (
    member_blocks,
    member_estimators,
    relative_spread,
)
from aptnn_md.stream import StreamReader, StreamWriter
from aptnn_md.stream.frame import FrameRates, Instant

FACTORS = np.array([0.8, 1.0, 1.3])


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """Three members whose tensors, and so whose rates, differ by factors."""
    path = tmp_path_factory.mktemp("members") / "run.zarr"
    atoms, model, rng = structure(2), Committee(), np.random.default_rng(3)
    rates = FrameRates(parse_groups("element", atoms), atoms.get_masses(), n_members=3)
    header = rates.header(atoms, timestep=2.0, temperature=300.0)
    with StreamWriter(path, header) as writer:
        for step in range(1500):
            velocities = 1e-3 * rng.normal(size=(len(atoms), 3))
            tensors = {"apt": model.members(atoms)}
            instant = Instant(velocities, Snapshot.of(atoms), tensors)
            writer.append_frame(rates.frame(step, 2.0 * step, instant))
    return path


def test_the_mean_of_the_members_rates_is_the_rate(stream):
    reader = StreamReader(stream)
    names = member_estimators(reader.header)
    assert names == ("member-1", "member-2", "member-3")
    members = np.stack([reader.dipole_rate(name) for name in names])
    assert members.mean(axis=0) == pytest.approx(reader.dipole_rate(), rel=1e-12)
    assert members[2] == pytest.approx(1.3 / 0.8 * members[0], rel=1e-12)
    assert reader.header.estimators[0] == "bead"  # what is read by default is the mean


def test_spectra_of_members_are_those_of_their_rates(stream):
    options = InfraredOptions(resolution=100.0)
    streams = InfraredStreams([stream], options)
    streams.read()
    blocks = streams.spectrum().blocks
    members = member_blocks(InfraredStreams, [stream], options)
    ratio = FACTORS**2 / FACTORS.mean() ** 2
    for member, factor in zip(members, ratio, strict=True):
        assert member.mean == pytest.approx(factor * blocks.mean, rel=1e-9)
    relative = ErrorParts.of(blocks, members).relative(100.0, 4000.0)
    expected = 2.0 * np.abs(ratio - ratio.mean()).mean()
    assert relative["tensors"] == pytest.approx(expected, rel=1e-9)


@pytest.fixture
def without_members(tmp_path):
    """A stream of the same committee in which only its spread is, and how it is calibrated."""
    atoms, model, rng = structure(2), Committee(), np.random.default_rng(3)
    domain = Domain("toy", {"apt": dict.fromkeys(("H", "O", "Cl"), 9.0)}, {"apt": 2.5})
    watch = DomainWatch(domain, atoms.numbers)
    rates = FrameRates(parse_groups("element", atoms), atoms.get_masses(), domain=watch)
    path = tmp_path / "plain.zarr"
    header = rates.header(atoms, timestep=2.0, temperature=300.0, volume=300.0)
    with StreamWriter(path, header) as writer:
        for step in range(600):
            velocities = 1e-3 * rng.normal(size=(len(atoms), 3))
            instant = Instant(velocities, Snapshot.of(atoms), {"apt": model.members(atoms)})
            writer.append_frame(rates.frame(step, 2.0 * step, instant))
    return path


def test_calibrated_error_of_the_members_spectra(stream):
    options = InfraredOptions(resolution=100.0)
    streams = InfraredStreams([stream], options)
    streams.read()
    members = member_blocks(InfraredStreams, [stream], options)
    parts = ErrorParts.of(streams.spectrum().blocks, members, 2.5)
    ratio = FACTORS**2 / FACTORS.mean() ** 2
    relative = parts.relative(100.0, 4000.0)["tensors"]
    assert relative == pytest.approx(2.5 * ratio.std(ddof=1), rel=1e-9)
    (line,) = [text for text in describe_parts(parts, 100.0, 4000.0) if "model of" in text]
    assert "(2.5 x standard deviation of its members, as calibrated)" in line


def test_spread_of_rates_relative_to_them(without_members, tmp_path, capsys):
    """Of two groups; the command makes an error of intensities of it."""
    assert StreamReader(without_members).header.spread_factors == {"apt": 2.5}
    rates = StreamReader(without_members).dipole_rate()
    spread = FACTORS.std(ddof=1) / FACTORS.mean() * rates
    expected = np.sqrt((spread**2).sum() / (rates.sum(axis=1) ** 2).sum())
    share = relative_spread([without_members], "dipole_rate")
    assert share == pytest.approx(expected, rel=1e-9)
    assert relative_spread([without_members], "polarizability_rate") is None
    assert main(["spectrum", "ir", str(without_members), "--resolution", "200"]) == 0
    printed = capsys.readouterr().out
    (line,) = [text for text in printed.splitlines() if text.startswith("model of tensors")]
    assert f"differ by {100.0 * share:.2g} % (rms); times 2.5, as calibrated" in line
    assert f"intensities are off by about {200.0 * 2.5 * share / np.sqrt(3.0):.2g} %" in line


def test_another_estimator_has_no_error_by_the_tensors(stream):
    """Members are those of the first; the potential's own dipole owes nothing to the tensors."""
    options = InfraredOptions(resolution=100.0, estimator="bead")
    assert len(member_blocks(InfraredStreams, [stream], options)) == 3
    assert member_blocks(InfraredStreams, [stream], replace(options, estimator="member-2")) == []
    header = StreamReader(stream).header
    assert header.describes(None)
    assert not header.describes("potential-dipole")


def test_spread_of_rates_after_the_beginning(without_members):
    reader = StreamReader(without_members)
    rates = reader.dipole_rate()[300:]
    spread = FACTORS.std(ddof=1) / FACTORS.mean() * rates
    expected = np.sqrt((spread**2).sum() / (rates.sum(axis=1) ** 2).sum())
    found = relative_spread([without_members], "dipole_rate", 0.6)  # frames are 2 fs apart
    assert found == pytest.approx(expected, rel=1e-9)


def test_streams_without_members_have_none():
    atoms = structure()
    header = FrameRates(parse_groups("all", atoms), atoms.get_masses()).header(atoms, timestep=1.0)
    assert member_estimators(header) == ()


def test_committees_of_different_sizes_are_refused():
    atoms = structure()
    rates = FrameRates(parse_groups("all", atoms), atoms.get_masses(), n_members=2)
    instant = Instant(np.zeros((3, 3)), None, {"apt": np.zeros((3, 3, 3, 3))})
    with pytest.raises(InputError, match="found 3 APT networks, expected 2"):
        rates.rates(instant)


def test_raman_spectra_of_members(tmp_path):
    """Polarizability rates have members, too."""
    atoms, model, rng = structure(), Committee(), np.random.default_rng(5)
    pgt = rng.normal(size=(3, 3, 3, 3))
    pgt = FACTORS[:, None, None, None, None] * (pgt + pgt.swapaxes(1, 2))
    rates = FrameRates(parse_groups("all", atoms), atoms.get_masses(), n_members=3)
    header = rates.header(atoms, timestep=2.0, temperature=300.0)
    with StreamWriter(tmp_path / "run.zarr", header) as writer:
        for step in range(800):
            velocities = 1e-3 * rng.normal(size=(3, 3))
            tensors = {"apt": model.members(atoms), "pgt": pgt}
            instant = Instant(velocities, Snapshot.of(atoms), tensors)
            writer.append_frame(rates.frame(step, 2.0 * step, instant))
    options = RamanOptions(resolution=100.0)
    streams = RamanStreams([tmp_path / "run.zarr"], options)
    streams.read()
    blocks = streams.spectrum().blocks
    for member, factor in zip(
        member_blocks(RamanStreams, [tmp_path / "run.zarr"], options), FACTORS, strict=True
    ):
        assert member.mean == pytest.approx((factor / FACTORS.mean()) ** 2 * blocks.mean, rel=1e-9)
