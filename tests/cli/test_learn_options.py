"""``aptnn-md learn``: settings from options and files, and what is refused."""

from __future__ import annotations

import argparse

import ase.io
import pytest
from helpers.toy_molecules import structure

from aptnn_md.cli import learn, main
from aptnn_md.errors import InputError
from aptnn_md.learning.settings import CampaignSettings

CAMPAIGN = """
structures = ["a.xyz", "b.xyz"]
engine = "tblite"
properties = ["apt", "pgt"]
cycles = 5
[sampling]
labels = 30
[judging]
tolerance = 0.2
wavenumbers = [500, 2000]
"""


def settings_of(*words: str) -> CampaignSettings:
    parser = argparse.ArgumentParser()
    learn.add_arguments(parser)
    return learn.make_settings(parser.parse_args(list(words)))


def test_a_structure_and_an_engine_are_enough():
    found = settings_of("start.xyz", "--engine", "tblite", "--charge", "0", "--out", "here")
    assert [str(path) for path in found.structures] == ["start.xyz"]
    assert (found.engine, found.charge, found.temperature) == ("tblite", 0.0, 300.0)
    assert found.learns_potential
    assert found.target == "apt"
    assert found.sampling.n_random(found.sampling.labels) == 5  # a quarter of 20


def test_a_file_of_settings_and_options_before_it(tmp_path):
    file = tmp_path / "campaign.toml"
    file.write_text(CAMPAIGN)
    found = settings_of(str(file))
    assert found.out == tmp_path / "campaign"
    assert len(found.structures) == 2
    assert (found.cycles, found.sampling.labels, found.judging.tolerance) == (5, 30, 0.2)
    assert found.judging.wavenumbers == (500.0, 2000.0)
    assert found.target == "apt+pgt"
    assert found.tensors.settings_of_network(found.properties)["lmax"] == 3
    found = settings_of(str(file), "--cycles", "2", "--tolerance", "0.3", "--out", "there")
    assert (found.cycles, found.judging.tolerance, str(found.out)) == (2, 0.3, "there")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels = 3", "found labels, expected keys among"),
        ("[sampling]\nlabel = 3", r"\[sampling\]: found label"),
        ("[sampling]\nlabels = 0", "labels: found 0"),
        ("[judging]\nwavenumbers = [900, 100]", "900 to 100"),
        ("[dynamics]\nruns = 2", "runs: found 2, expected .*at least 8"),
        ('properties = ["pgt"]', "found pgt, expected apt first"),
        ("sampling = 3", "a table"),
        ("structures = [", "a TOML file"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, text, words):
    file = tmp_path / "campaign.toml"
    first = "" if "structures" in text else 'structures = ["a.xyz"]\n'
    file.write_text(f'engine = "tblite"\n{first}{text}\n')
    with pytest.raises(InputError, match=words):
        settings_of(str(file))


def test_what_is_needed_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["learn", "start.xyz", "--out", "here"]) == 2
    assert "--engine" in capsys.readouterr().err
    assert main(["learn", "start.xyz", "--engine", "tblite"]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["learn", "a.toml", "b.xyz"]) == 2
    assert "one file of settings" in capsys.readouterr().err
    # nothing is left behind where the start cannot be read
    assert main(["learn", "start.xyz", "--engine", "tblite", "--out", "here"]) == 2
    assert "start.xyz" in capsys.readouterr().err
    ase.io.write("start.xyz", structure(), format="extxyz")
    start = "aptnn-md learn start.xyz"
    assert main([*start.split()[1:], "--engine", "no-engine", "--out", "here"]) == 2
    assert "no-engine" in capsys.readouterr().err
