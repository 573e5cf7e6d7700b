"""``aptnn-md driver``: options, errors, and a run with the bundled network."""

import signal
import struct
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.socket_server import Talk
from helpers.tiers import slow

from aptnn_md.atomic_units import IPI
from aptnn_md.bundled import bundled_path
from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.stream import StreamReader


@pytest.fixture
def water(tmp_path, monkeypatch):
    """Two molecules in ``start.xyz`` of the working directory."""
    monkeypatch.chdir(tmp_path)
    atoms = ase.io.read(bundled_path("water64.extxyz"))[:6]
    ase.io.write("start.xyz", atoms)
    return atoms


LENNARD_JONES = 'ase.calculators.lj:LennardJones {"sigma": 1.0, "epsilon": 0.01}'


@pytest.mark.thorough
@pytest.mark.parametrize("number", slow([signal.SIGTERM, signal.SIGHUP], signal.SIGHUP))
def test_forces_in_a_field_and_a_stream_until_a_signal(water, tmp_path, number):
    talk = Talk()
    talk.listener.settimeout(90)
    command = [
        *(str(Path(sys.executable).parent / "aptnn-md"), "driver", "--address", str(talk.address)),
        *("--template", "start.xyz", "--potential", LENNARD_JONES, "--model", "water-apt"),
        *("--stream", "s.zarr", "--groups", "element", "--temperature", "300"),
        *("--efield", "0", "0", "0.1", "--dtype", "float64"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    talk.accept()
    talk.sock.settimeout(60)
    steps = [water.positions + 0.01 * n * np.cos(np.arange(18)).reshape(6, 3) for n in range(3)]
    forces = []
    for positions in steps:
        assert talk.status() == "NEEDINIT"
        text = b" dt_fs : 0.5 , "
        talk.say("INIT", struct.pack("ii", 7, len(text)), text)
        assert talk.status() == "READY"
        water.positions = positions
        # what i-PI sends has i-PI's bohr
        scaled = water.copy()
        scaled.set_cell(water.cell * 0.5291772105638411 / IPI.bohr, scale_atoms=True)
        talk.say("POSDATA", talk.positions(scaled), b"GETFORCE    ")
        forces.append(talk.forces(6)[1] * IPI.force)
    process.send_signal(number)
    assert process.wait(30) == 130
    predictor = Predictor.from_file("water-apt", dtype="float64")
    potential = load_potential(LENNARD_JONES)
    water.calc = APTCalculator(predictor, potential, efield=(0, 0, 0.1))
    np.testing.assert_allclose(forces[-1], water.get_forces(), atol=1e-6)
    stream = StreamReader("s.zarr")
    assert (stream.header.timestep, stream.header.temperature) == (0.5, 300.0)
    tensors = []
    for positions in steps:
        water.positions = positions
        tensors.append(predictor(water))
    for n in range(2):
        mean = 0.5 * (tensors[n] + tensors[n + 1])
        change = np.einsum("nab,nb->a", mean, steps[n + 1] - steps[n])
        np.testing.assert_allclose(0.5 * stream.dipole_rate()[n].sum(axis=0), change, atol=1e-8)
    talk.close()


BASE = ("driver", "--address", "/nowhere/x", "--unix", "--template", "start.xyz", "--wait", "0")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "--potential: found none, expected one, or --model"),
        (("--potential", "x", "--stream", "s"), 2, "--model: found none, expected one for --str"),
        (("--potential", "x", "--extras", "bec"), 2, "expected one for --extras"),
        (("--model", "no-such"), 2, "no-such"),
        (("--model", "water-apt", "--template", "none.xyz"), 2, "none.xyz: file: found nothing"),
        (("--model", "water-apt", "--groups", "nine", "--stream", "s"), 2, "'nine'"),
        (("--model", "water-apt"), 1, "no server at /nowhere/x (No such file or directory)"),
    ],
)
def test_errors_are_one_line(water, capsys, arguments, code, words):
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main([*BASE, *arguments]) == code
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("aptnn-md driver: ")
    assert words in said


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["driver", "--help"])
    assert "mpirun -n 4 aptnn-md driver" in capsys.readouterr().out
