"""Keyword arguments and names in the ``<parameters>`` of real inputs of i-PI."""

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from helpers.ipi_inputs import write_input
from helpers.ipi_plugins import run_plain
from helpers.paths import DRIVERS

pytest.importorskip("ipi")

from aptnn_md.atomic_units import IPI
from aptnn_md.engines.ipi.driver_files import driver_file
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader

pytestmark = pytest.mark.ipi


def provider(kind, parameters, name=None):
    return (
        f"<ffdirect name='{name or kind}'><pes>custom</pes>"
        f"<pes_path>{DRIVERS / f'aptnn_md_{kind}.py'}</pes_path>"
        f"<parameters>{{{parameters}}}</parameters></ffdirect>"
    )


def potentials(directory):
    """Potential energies of the steps that i-PI printed, eV."""
    rows = np.loadtxt(directory / "run.out", ndmin=2)
    return rows[:, 1] * IPI.hartree


def lennard_jones_input(directory, steps):
    words = "sigma=0.9 epsilon=0.03 rc=2.9 smooth=True"
    potential = f"potential: ase.calculators.lj:LennardJones {words}"
    return write_input(
        directory,
        steps=steps,
        properties="step, potential",
        forcefields=provider("potential", f"{potential}, template: start.xyz, pbc: False"),
        toy_force="<force forcefield='potential'/>",
    )


@pytest.mark.thorough
def test_keyword_arguments_of_a_potential(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_plain(lennard_jones_input(tmp_path, 2))
    atoms = ase.io.read("start.xyz")
    atoms.pbc = False
    atoms.calc = LennardJones(sigma=0.9, epsilon=0.03, rc=2.9, smooth=True)
    expected = atoms.get_potential_energy()
    assert potentials(tmp_path)[0] == pytest.approx(expected, rel=1e-6)
    atoms.calc = LennardJones(sigma=0.9, epsilon=0.03, rc=2.9)
    assert abs(atoms.get_potential_energy() - expected) > 1e-4 * abs(expected)
    # what i-PI writes into RESTART it reads again
    restart = (tmp_path / "RESTART").read_text()
    (tmp_path / "again.xml").write_text(
        restart.replace("<total_steps>2</total_steps>", "<total_steps>4</total_steps>")
    )
    run_plain("again.xml")
    assert np.loadtxt(tmp_path / "run.out")[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.thorough
def test_keyword_arguments_of_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rates = {}
    for transposed in (False, True):
        name = f"{transposed}.zarr"
        model = f"helpers.toy_molecules:Tensors transposed={transposed}"
        selections = "groups: first=index:0;1 shell=within:2.0:index:0-1 +each-step"
        source = write_input(
            tmp_path,
            steps=4,
            overwrite=True,
            forcefields=provider(
                "stream",
                f"model: {model}, stream: {name}, stride: 1, "
                + selections.replace(" +each", "+each"),
            ),
            forces="<force forcefield='stream' weight='0.0'/>",
        )
        run_plain(source)
        reader = StreamReader(name)
        assert reader.header.groups == ("first", "shell", "rest")
        rates[transposed] = reader.dipole_rate()
    difference = np.abs(rates[True] - rates[False]).max()
    assert difference > 1e-3 * np.abs(rates[False]).max()


def test_json_that_the_parser_has_cut_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    json = 'ase.calculators.lj:LennardJones {"sigma": 2.5, "epsilon": 0.003}'
    source = write_input(
        tmp_path,
        forcefields=provider("potential", f"potential: {json}, template: start.xyz"),
        toy_force="<force forcefield='potential'/>",
    )
    with pytest.raises(InputError, match=r"module:callable key=value key=value"):
        run_plain(source)


def test_a_driver_without_template_says_so():
    from ipi.pes import load_pes

    driver = load_pes("custom", str(driver_file("potential")))
    with pytest.raises(InputError, match=r"template: found none.*template: start.xyz"):
        driver(potential="helpers.toy_molecules:Potential", verbosity=False)


@pytest.mark.thorough
def test_a_model_file_with_a_semicolon_and_a_label_file_that_looks_like_a_selection(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index:0;1").write_text("a b a b a b\n")
    source = write_input(
        tmp_path,
        steps=2,
        forcefields=provider(
            "stream",
            "model: helpers.toy_molecules:Tensors, stream: run;1.zarr, stride: 1, "
            "groups: index:0;1",
        ),
        forces="<force forcefield='stream' weight='0.0'/>",
    )
    run_plain(source)
    assert StreamReader("run;1.zarr").header.groups == ("a", "b")
    assert len(toy.structure(2)) == 6
