"""The ways of data are short: the files of the package that one frame goes through are counted.

A frame: from the state of an engine, with a toy in place of the network, to the memory of the
stream's writer. A spectrum: from a stream on disk to the printed report.

python -m pytest tests/test_data_paths.py -s
"""

from __future__ import annotations

import importlib
from types import MappingProxyType

import pytest
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.entered_files import entered_files
from helpers.oscillators import langevin_velocities

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.stream import StreamHeader, StreamWriter

MOST_FILES = 9
"""That a reader opens to follow a frame."""


BESIDE = {"atoms/motion_temperature.py", "atoms/motion.py", "atoms/molecules.py", "tensors.py"}
"""Temperatures of motions, with their vector products, are measured beside the way of the rates."""


class ToyModel(toy_molecules.Tensors):
    """A model with the interface of the package's own, so that no adapter counts in its place."""

    sha256, targets, elements, cutoff = "", ("apt",), (1, 8, 17), None
    committee_sizes = MappingProxyType({"apt": 1})

    def evaluate(self, structures):
        return [{"apt": self(atoms)[None]} for atoms in structures]

    def select(self, members):
        return self

    def for_targets(self, targets):
        return self


def show(title, files):
    print(f"\n{title}: {len(files)} files\n  " + "\n  ".join(sorted(files)))


def test_a_frame_of_ase(tmp_path):
    atoms = toy_molecules.structure(2)
    atoms.calc = toy_molecules.Potential()
    dynamics = VelocityVerlet(atoms, toy_molecules.timestep(0.5))
    with StreamObserver(dynamics, tmp_path / "s", ToyModel(), groups="element") as observer:
        dynamics.attach(observer)
        dynamics.run(3)
        dynamics.observers.clear()
        dynamics.run(1)
        with entered_files() as files:
            observer()
        assert observer.last_step == 4
    show("a frame of ASE", files)
    assert {"engines/ase/observer.py", "stream/frame.py", "stream/writer.py"} <= files
    assert len(files - BESIDE) <= MOST_FILES


@pytest.mark.ipi
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")
def test_a_frame_of_ipi(tmp_path, monkeypatch):
    pytest.importorskip("ipi")
    from helpers.ipi_inputs import PILE, run_toy

    streaming = importlib.import_module("aptnn_md.engines.ipi.streaming")
    record, counted = streaming.SystemStream.record, []

    def counting(stream):
        with entered_files() as files:
            record(stream)
        counted.append(files)

    monkeypatch.setattr(streaming.SystemStream, "record", counting)
    path_integral = {"n_beads": 4, "mode": "nvt", "thermostat": PILE}
    run_toy(tmp_path, monkeypatch, model=ToyModel(), steps=4, **path_integral)
    show("a frame of i-PI, three estimators", counted[2])
    assert {"engines/ipi/streaming.py", "stream/frame.py", "stream/writer.py"} <= counted[2]
    assert len(counted[2] - BESIDE) <= MOST_FILES


def test_from_a_stream_to_the_report(tmp_path):
    from aptnn_md.spectra import spectrum_of_streams
    from aptnn_md.spectra.infrared.report import report

    rates = langevin_velocities((4000, 3), 2.0, 1600.0, 50.0)
    header = StreamHeader(timestep=2.0, temperature=300.0, volume=1000.0)
    with StreamWriter(tmp_path / "s", header) as writer:
        for step, rate in enumerate(rates):
            writer.append(step, 2.0 * step, {"bead": [rate]})
    with entered_files() as files:
        text = report(spectrum_of_streams([tmp_path / "s"], resolution=60.0))
    show("stream -> spectrum -> report", files)
    assert text
