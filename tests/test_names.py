"""Texts that hold several names: a path that exists wins over the separators in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from helpers.oscillators import langevin_velocities

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.bundled import bundled_path
from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.names import split_names, split_run, split_suffix
from aptnn_md.prediction.loading import as_model, load_model
from aptnn_md.stream import StreamHeader, StreamWriter
from aptnn_md.training.dataset import read_labelled


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_names_with_separators() -> None:
    for name in ("a,b.zarr", "c;d", "e@f", "b,c@d.zarr", "g"):
        Path(name).touch()
    assert split_names("a,b.zarr") == ["a,b.zarr"]
    assert split_names("x, a,b.zarr ,c;d,") == ["x", "a,b.zarr", "c;d"]
    assert split_names("water-apt;water-pgt") == ["water-apt", "water-pgt"]
    assert split_names('m:f {"a": [1, 2], "b": ","},g') == ['m:f {"a": [1, 2], "b": ","}', "g"]
    assert split_names("m:f a=',' b=[1;2],g") == ["m:f a=',' b=[1;2]", "g"]
    assert split_names("") == []
    assert split_run("a,b.zarr@bead") == (["a,b.zarr"], "bead")
    assert split_run("g,a,b.zarr@bead") == (["g", "a,b.zarr"], "bead")
    assert split_run("e@f") == (["e@f"], "")
    assert split_run("e@f@bead") == (["e@f"], "bead")
    assert split_run("g,e@f") == (["g", "e@f"], "")
    assert split_run("g,b,c@d.zarr") == (["g", "b,c@d.zarr"], "")
    assert split_run("missing,e@f") == (["missing", "e@f"], "")
    assert split_run("missing@bead") == (["missing"], "bead")
    assert split_run("missing") == (["missing"], "")
    assert split_suffix("e@f") == ("e@f", "")
    assert split_suffix("g@2") == ("g", "2")
    assert split_suffix("missing@2") == ("missing@2", "")


def write_stream(path: str, seed: int) -> None:
    header = StreamHeader(
        timestep=0.5,
        stride=4,
        estimators=("bead", "apt-at-centroid"),
        temperature=300.0,
        volume=1000.0,
    )
    rates = langevin_velocities((2000, 3), 2.0, 1600.0, 80.0, seed=seed)
    with StreamWriter(path, header) as writer:
        for k, rate in enumerate(rates):
            writer.append(4 * k, 2.0 * k, {"bead": rate[None], "apt-at-centroid": 2.0 * rate[None]})


def test_streams_of_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("a,b.zarr", "run@apt-at-centroid", "plain.zarr")):
        write_stream(name, seed)
    command = ["spectrum", "compare", "a,b.zarr", "run@apt-at-centroid", "plain.zarr,a,b.zarr@bead"]
    command += ["plain.zarr@apt-at-centroid", "--resolution", "60", "--out", "table.csv"]
    assert main([*command, "--names", "one, two", "a@b", "c", "d"]) == 0
    columns = np.loadtxt("table.csv", delimiter=",")
    names = [line for line in Path("table.csv").read_text().splitlines() if "one; two" in line]
    assert any("a@b" in line for line in names)
    assert np.isfinite(columns).all()
    # the same again, the amplitude of plain.zarr@apt-at-centroid is twice that of bead
    assert main([*command[:2], "plain.zarr", "plain.zarr@apt-at-centroid", *command[6:]]) == 0
    columns = np.loadtxt("table.csv", delimiter=",")
    inside = columns[:, 0] > 100
    np.testing.assert_allclose(columns[inside, 3], 4.0 * columns[inside, 1], rtol=1e-6)
    capsys.readouterr()
    assert main(["spectrum", "compare", "plain.zarr@nothing", "plain.zarr"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_models_with_commas_in_their_names() -> None:
    shutil.copy(bundled_path("water-apt.pt"), "a,b.pt")
    shutil.copy(bundled_path("water-apt.pt"), "run@1.pt")
    assert load_model("a,b.pt").targets == ("apt",)
    assert load_model("run@1.pt").targets == ("apt",)
    joined = load_model("a,b.pt,water-pgt")
    assert joined.targets == ("apt", "pgt")
    assert joined.name == "a,b,water-pgt"
    assert load_model("water-pgt;a,b.pt").targets == ("apt", "pgt")
    with pytest.raises(InputError, match=r"c\.pt: model: found no such file"):
        load_model("a,b.pt,c.pt")


def test_models_by_what_makes_them() -> None:
    atoms = toy.structure(2)
    plain = as_model("helpers.toy_molecules:Tensors").evaluate([atoms])[0]["apt"]
    turned = as_model("helpers.toy_molecules:Tensors transposed=true").evaluate([atoms])[0]["apt"]
    np.testing.assert_allclose(turned[0], np.swapaxes(plain[0], 1, 2))
    assert np.abs(turned - plain).max() > 0.01
    named = as_model("aptnn_md.bundled:bundled_path name=water-apt.pt")
    assert named.name == "water-apt"
    with pytest.raises(InputError, match="keyword arguments"):
        as_model("helpers.toy_molecules:Tensors trnsposed=true")


def test_a_file_of_groups_may_have_any_name() -> None:
    atoms = toy.structure(1)
    selection = parse_groups("index:0", atoms)
    assert selection.labels == ("selected", "rest")
    for name in ("index:0", "shell=within:2:index:0", "labels+motion", "index:0+each-step"):
        Path(name).write_text("x y y")
        assert parse_groups(name, atoms).labels == ("x", "y")
    assert parse_groups("index:0+motion", atoms).labels[0] == "x translation"
    for kind in ("all", "element", "motion"):
        Path(kind).write_text("x y y")
    assert parse_groups("all", atoms).labels == ("all",)
    for kind in ("element", "motion"):
        assert "x" not in parse_groups(kind, atoms).labels


def test_labelled_frames_in_a_file_with_an_at_sign() -> None:
    atoms = toy.structure(1)
    atoms.set_array("apt", toy.polar_tensors(atoms.positions).reshape(3, 9))
    other = atoms.copy()
    other.positions += 1.0
    ase.io.write("data@2.extxyz", [atoms, other], format="extxyz")
    ase.io.write("data", [atoms], format="extxyz")
    assert len(read_labelled("data@2.extxyz")) == 2
    # without a file of that name it is ASE's index
    chosen = read_labelled("data@2.extxyz@1:")
    assert len(chosen) == 1
    np.testing.assert_allclose(chosen[0].atoms.positions, other.positions, atol=1e-7)
