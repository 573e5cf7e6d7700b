"""Refusals name the option, or the line of an input, that lets the command do its work."""

from __future__ import annotations

from pathlib import Path

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase.build import molecule
from helpers.oscillators import langevin_velocities

from aptnn_md.cli import main
from aptnn_md.spectra import read_table
from aptnn_md.stream import StreamHeader, StreamWriter


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_stream(path: str, **header: float) -> None:
    """Of a molecule: no volume."""
    rates = langevin_velocities((3000, 3), 2.0, 1600.0, 80.0, seed=1)
    constants = {"timestep": 0.5, "stride": 4, "temperature": 300.0} | header
    with StreamWriter(path, StreamHeader(**constants)) as writer:  # type: ignore[arg-type]
        for k, rate in enumerate(rates):
            writer.append(4 * k, 2.0 * k, {"bead": rate[None]})


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    return capsys.readouterr().err


def test_a_molecule_has_no_volume(capsys: pytest.CaptureFixture[str]) -> None:
    """Its decadic molar absorption is that of a thin gas, whatever the volume of that."""
    write_stream("s")
    tables = []
    for volume in ([], ["--volume", "1e8"], ["--volume", "1e9"]):
        command = ["spectrum", "ir", "s", *volume, "--quantities", "molar-absorption"]
        command += ["--n-molecules", "1", "--out", "q.csv"]
        assert main(command) == 0
        columns, _ = read_table("q.csv")
        (name,) = [n for n in columns if "mol^-1" in n and "error" not in n]
        # optical constants go like ν̃² below the resolution
        tables.append(columns[name][columns["wavenumber (cm^-1)"] > 20.0])
    assert tables[0].max() > 0
    for table in tables[1:]:
        np.testing.assert_allclose(tables[0], table, rtol=1e-4)
    capsys.readouterr()
    for quantity in ("n", "kappa", "epsilon-real", "epsilon-imag", "alpha", "conductivity"):
        said = refusal(capsys, "spectrum", "ir", "s", "--quantities", quantity)
        assert "a system without a volume" in said
        assert "--volume A3" in said
    assert "--volume" in refusal(capsys, "spectrum", "ir", "s", "--experiment", "water")
    write_stream("box", volume=1000.0)
    for words in (["ir", "s", "box"], ["ir", "box", "s"], ["compare", "s", "box"]):
        assert "--volume" in refusal(capsys, "spectrum", *words)


def test_options_of_spectra(capsys: pytest.CaptureFixture[str]) -> None:
    write_stream("a", volume=1000.0)
    write_stream("b", volume=1200.0)
    write_stream("none", temperature=None, volume=1000.0)  # type: ignore[arg-type]
    common = ("spectrum", "ir")
    said = refusal(capsys, *common, "a", "b")
    assert "--volume" in said
    assert "--mix-conditions" in said
    assert "--temperature K" in refusal(capsys, *common, "none")
    assert "--resolution" in refusal(capsys, *common, "a", "--resolution", "1")
    assert "--estimator" in refusal(capsys, *common, "a", "--estimator", "none")
    assert "--range" in refusal(capsys, *common, "a", "--range", "9", "1", "--out", "x.csv")
    assert "--n-molecules" in refusal(capsys, *common, "a", "--quantities", "molar-absorption")
    assert "--velocities" in refusal(capsys, "spectrum", "vdos", "a")
    assert "--model" in refusal(capsys, "spectrum", "raman", "a")


@pytest.mark.thorough
def test_a_molecule_of_i_pi_needs_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ipi")
    from helpers.ipi_inputs import write_input

    source = write_input(Path(), steps=2, n_molecules=1)
    atoms = toy.structure(1)
    del atoms.arrays["momenta"]
    ase.io.write("start.xyz", atoms, format="extxyz")
    command = ["ipi", str(source), "--model", "helpers.toy_molecules:Tensors", "--stream", "s"]
    said = refusal(capsys, *command)
    line = "<cell mode='abc' units='angstrom'> [50, 50, 50] </cell>"
    assert line in said
    source.write_text(source.read_text().replace("start.xyz </file>", f"start.xyz </file>{line}"))
    assert main(command) == 0


def test_md_names_restart(capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write("start.xyz", toy.structure(2, pbc=True))
    command = ["md", "start.xyz", "--potential", "helpers.toy_molecules:Potential", "--ps"]
    command += ["0.002", "--model", "helpers.toy_molecules:Tensors", "--stream", "s.zarr"]
    assert main(command) == 0
    assert "--restart" in refusal(capsys, *command)


def test_the_usage_is_that_of_the_command(capsys):
    with pytest.raises(SystemExit):
        main(["spectrum", "ir", "run.zarr", "--resolutoin", "10"])
    with pytest.raises(SystemExit):
        main(["evaluate", "--model", "m", "--data", "d", "--resolution", "15"])
    shown = capsys.readouterr().err
    assert "--range LOW HIGH" in shown  # of spectrum ir
    assert "usage: aptnn-md evaluate" in shown
    assert "unrecognized arguments: --resolution 15" in shown


def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path, capsys):
    start = tmp_path / "start.xyz"
    ase.io.write(start, molecule("H2O"))
    place = tmp_path / "nowhere" / "out.csv"
    work = tmp_path / "work.hessian"
    for command in (
        ["predict", "--model", "water-apt", "--data", str(start), "--out", str(place)],
        ["spectrum", "normal-modes", str(start), "--potential", "water-mace", "--out", str(place)],
    ):
        assert main(command) == 2
        assert "output: found no directory for it, expected a file in a" in capsys.readouterr().err
    assert not work.exists()


def test_an_element_that_a_model_does_not_know_is_told_before_the_hessian(tmp_path, capsys):
    start = tmp_path / "start.xyz"
    ase.io.write(start, molecule("NH3"))
    words = ["spectrum", "normal-modes", str(start), "--potential", "ase.calculators.emt:EMT"]
    assert main([*words, "--model", "water-apt"]) == 2
    shown = capsys.readouterr().err
    assert "found N, expected" in shown
    assert "finite differences" not in shown
