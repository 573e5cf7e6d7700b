"""The demo command: everything that is bundled, together."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from aptnn_md.atoms.groups import Groups
from aptnn_md.cli import main
from aptnn_md.demo import DemoFiles, water_box
from aptnn_md.engines.ase.observer import temperature
from aptnn_md.stream import StreamReader


def test_bundled_box_is_water_with_velocities():
    atoms = water_box()
    groups = Groups.by_molecule_kind(atoms)
    assert groups.labels == ("H2O",)
    assert len(Groups.by_molecule(atoms)) == 64
    # experiment: 29.97 Å³ for a molecule at 25 °C
    assert abs(atoms.get_volume() / 64 - 29.97) < 0.3
    assert abs(temperature(atoms) - 300.0) < 4 * 300.0 * np.sqrt(2 / (3 * 192 - 3))
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-4


@pytest.mark.slow
@pytest.mark.mace
def test_demo_runs_is_repeated_and_goes_on(tmp_path, capsys):
    place = DemoFiles(tmp_path / "new" / "demo")

    def demo(length):
        assert main(["demo", "--ps", str(length), "--out", str(place.directory)]) == 0
        return capsys.readouterr().out

    printed = demo(0.2)
    for path in (place.stream, place.table, place.picture):
        assert path.exists()
        assert str(path) in printed
    assert "400 steps of 0.5 fs" in printed
    for band in ("libration", "bend", "OH stretch"):
        lines = printed.splitlines()
        row = next(k for k, line in enumerate(lines) if line.startswith(f"{band}, "))
        assert lines[row + 1].split()[0] == "position"
        assert "±" in lines[row + 1] or "no maximum" in lines[row + 1]
    assert place.picture.read_bytes().startswith(b"\x89PNG")
    reader = StreamReader(place.stream)
    assert reader.step.tolist() == list(range(0, 401, 4))
    assert reader.header.model == "water-apt"
    first = reader.dipole_rate()
    wavenumber, absorption, error = np.loadtxt(place.table, delimiter=",").T[:3]
    assert wavenumber[-1] > 3900
    assert (absorption >= 0).all()
    assert (error > 0).all()
    # water absorbs most where its bonds stretch
    assert 3000 < wavenumber[np.argmax(absorption)] < 4000

    state, spectrum = place.checkpoint.read_bytes(), place.table.read_bytes()
    assert "has 400 of them already" in demo(0.2)
    assert place.checkpoint.read_bytes() == state
    assert place.table.read_bytes() == spectrum

    assert "420 steps" in demo(0.21)
    reader.refresh()
    assert reader.n_frames == 106
    np.testing.assert_array_equal(reader.dipole_rate()[:101], first)


def test_without_mace_one_sentence_says_what_to_install(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "mace"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mace", None)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 1
    error = capsys.readouterr().err
    assert 'pip install "aptnn_md[mace]"' in error
    assert len(error.splitlines()) == 1
    assert not any((tmp_path / "demo").iterdir())


@pytest.mark.thorough
def test_demo_refuses_in_one_line(tmp_path, capsys):
    def error(*arguments):
        assert main(["demo", *map(str, arguments)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    assert "demo: ps: found 0.1, expected at least 0.2" in error("--ps", "0.1", "--out", tmp_path)
    (tmp_path / "file").write_text("")
    assert "out: found" in error("--out", tmp_path / "file")
    place = DemoFiles(tmp_path / "other")
    place.stream.mkdir(parents=True)
    (place.stream / "notes.txt").write_text("not a stream")
    assert "expected a stream" in error("--out", place.directory)
    assert (place.stream / "notes.txt").exists()
