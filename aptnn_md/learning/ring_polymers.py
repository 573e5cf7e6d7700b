"""Ring polymers of a campaign: TRPMD by i-PI with the models of a stage.

A ring polymer is first moved with a thermostat on all its modes: its beads are what the models of
quantum nuclei have to know, so they are frames among which labels are chosen. From where it ends it
is moved on with the thermostat of TRPMD on the internal modes alone (M. Rossi, M. Ceriotti, D. E.
Manolopoulos, J. Chem. Phys. 140, 234116 (2014)), and streamed. As in classical campaigns the
spectrum is that of many independent runs, since a thermostat of the centroid would broaden bands.

Everything is in files of i-PI, a directory for each ring polymer, and resumes from its checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import TrajectoryFiles
from aptnn_md.errors import RunError
from aptnn_md.files import write_output
from aptnn_md.progress import log
from aptnn_md.stream import StreamReader, stream_exists
from aptnn_md.structures import charge_of

CENTROID_TIME = 100.0
"""Of the thermostat of the centroid before the streamed part, fs."""

FREE = 1e12
"""Time of a thermostat that does nothing, in atomic units."""

CHECKPOINT_STEPS = 200

OPEN_CELL = 50.0
"""Å: i-PI wants a cell of a molecule in open space, too."""

FAILED = "failed.txt"
"""Says why a ring polymer could not be moved on."""

BEFORE, STREAMED = "before", "streamed"
"""Names of the two parts of a run, as its files have them."""


@dataclass(frozen=True, eq=False)
class RingPolymers:
    """Ring polymers to be moved.

    Parameters
    ----------
    path : directory, of which each has one
    starts : structure at which all beads of each begin
    potential : name or file of the potential, :func:`aptnn_md.potentials.loading.load_potential`
    tensors : file of the model of the tensors
    beads : of each
    temperature : K
    timestep : fs
    seed : of momenta and thermostats
    device : of potential and tensors
    """

    path: Path
    starts: Sequence[Atoms]
    potential: str
    tensors: Path
    beads: int
    temperature: float
    timestep: float
    seed: int
    device: str = "cpu"

    def directory(self, number: int) -> Path:
        """Files of a ring polymer, counted from 1."""
        return self.path / f"polymer-{number:03d}"

    def move_with_thermostat(self, number: int, n_steps: int, every: int) -> None:
        """Move a ring polymer, and keep its beads every so many steps; nothing where that is done.

        Raises
        ------
        RunError
            The disk is full, or the like; it resumes from its checkpoint.
        """
        directory, start = self.directory(number), self.starts[number - 1]
        ended = directory / f"{STREAMED}.xml"
        if ended.exists() or self.has_failed(number):
            return
        directory.mkdir(parents=True, exist_ok=True)
        template = _in_a_cell(start)
        ase.io.write(directory / "start.xyz", template, format="extxyz")
        first = self._input(number, n_steps, every)
        write_output(directory / f"{BEFORE}.xml", first.encode())
        if self._go(number, BEFORE, directory / "before.zarr", n_steps):
            write_output(ended, _freed((directory / "RESTART").read_text()))

    def stream(self, number: int, stream: Path, n_steps: int, stride: int) -> None:
        """Move a ring polymer by TRPMD and stream it; nothing where that is done.

        Raises
        ------
        RunError
            The disk is full, or the like; it resumes from its checkpoint.
        """
        n_frames = n_steps // stride + 1
        there = stream_exists(stream) and StreamReader(stream).n_frames >= n_frames
        if there or self.has_failed(number):
            return
        source = self.directory(number) / f"{STREAMED}.xml"
        write_output(source, _for_stream(source.read_text(), n_steps, stride))
        self._go(number, STREAMED, stream, n_steps, stride)

    def has_failed(self, number: int) -> bool:
        """Whether the potential drove a ring polymer to where it has no forces."""
        return (self.directory(number) / FAILED).exists()

    def frames(self, number: int, part: str) -> FloatArray:
        """Positions (n_frames, n_beads, n_atoms, 3), Å, of the frames that were kept of a part."""
        files = sorted(self.directory(number).glob(f"{part}.beads_*.xyz"))
        if not files:  # it failed before the first
            return np.tile(self.starts[number - 1].positions, (1, self.beads, 1, 1))
        with open_trajectory(TrajectoryFiles(tuple(files), n_beads=self.beads)) as frames:
            return np.stack([frames.read(k).positions for k in range(len(frames))])

    def _go(
        self, number: int, part: str, stream: Path, n_steps: int, stride: int | None = None
    ) -> bool:
        """Run i-PI from its checkpoint, or from the beginning, to the last step; False where it
        failed for want of forces."""
        from aptnn_md.engines.ipi.runner import run_ipi
        from aptnn_md.engines.ipi.settings import StreamSettings

        directory, start = self.directory(number), self.starts[number - 1]
        settings = StreamSettings(
            stream.resolve(), stride or n_steps, pbc=bool(start.pbc.any()), groups="all"
        )
        checkpoint = directory / f"{part}.state"
        stream.parent.mkdir(parents=True, exist_ok=True)
        source = checkpoint if checkpoint.exists() else directory / f"{part}.xml"
        tensors, failure = self.tensors.resolve(), ""
        with contextlib.chdir(directory), _said_once(), _to_file("i-pi.log"):
            try:
                summary = run_ipi(
                    source.name,
                    settings,
                    tensors,
                    device=self.device,
                    total_charge=charge_of(start),
                    verbosity="quiet",
                    total_steps=n_steps,
                )
            except RunError as error:
                if isinstance(error.__cause__, OSError):
                    raise
                failure = str(error)
        if failure:
            log.warning("ring polymer %d: %s", number, failure)
            write_output(directory / FAILED, f"{failure}\n".encode())
            return False
        if not summary.finished:
            raise KeyboardInterrupt
        return True

    def _input(self, number: int, n_steps: int, every: int) -> str:
        """Input of i-PI for the part with a thermostat on all modes."""
        from aptnn_md.engines.ipi.driver_files import driver_file

        start, potential = self.starts[number - 1], self.potential
        if Path(potential).exists():  # relative: a campaign may be moved elsewhere
            potential = os.path.relpath(potential, self.directory(number))
        masses = ", ".join(f"{mass:.10g}" for mass in start.get_masses())
        parameters = f"potential: {potential}, template: start.xyz, device: {self.device}"
        parameters += f", pbc: {bool(start.pbc.any())}"
        return f"""<simulation verbosity='quiet' floatformat='%25.16e'>
  {_outputs(BEFORE, every)}
  <total_steps>{n_steps}</total_steps>
  <prng><seed>{self.seed + 7907 * number}</seed></prng>
  <ffdirect name='potential'>
    <pes>custom</pes> <pes_path>{driver_file("potential").resolve()}</pes_path>
    <batch_size>{self.beads}</batch_size>
    <parameters>{{{parameters}}}</parameters>
  </ffdirect>
  <system>
    <initialize nbeads='{self.beads}'>
      <file mode='ase' units='ase'> start.xyz </file>
      <masses mode='manual' units='dalton'> [{masses}] </masses>
      <velocities mode='thermal' units='kelvin'> {self.temperature} </velocities>
    </initialize>
    <forces><force forcefield='potential'/></forces>
    <ensemble><temperature units='kelvin'> {self.temperature} </temperature></ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nvt'>
        <timestep units='femtosecond'> {self.timestep} </timestep>
        <thermostat mode='pile_l'>
          <tau units='femtosecond'> {CENTROID_TIME} </tau> <pile_lambda> 0.5 </pile_lambda>
        </thermostat>
      </dynamics>
    </motion>
  </system>
</simulation>
"""


# ---------------------------------------------------------------------- inputs of i-PI


def _in_a_cell(start: Atoms) -> Atoms:
    atoms = Atoms(start.numbers, start.positions, cell=start.cell, pbc=True)
    if not start.pbc.any():
        atoms.set_cell(np.diag(np.full(3, OPEN_CELL)))
    if "charge" in start.info:
        atoms.info["charge"] = start.info["charge"]
    return atoms


def _outputs(part: str, every: int) -> str:
    return f"""<output prefix='{part}'>
    <trajectory filename='beads' stride='{every}' format='xyz' cell_units='angstrom'>
      positions{{angstrom}} </trajectory>
    <checkpoint filename='state' stride='{CHECKPOINT_STEPS}' overwrite='True'/>
  </output>"""


def _freed(checkpoint: str) -> bytes:
    """A checkpoint as the beginning of a run whose centroids no thermostat moves."""
    root = ElementTree.fromstring(checkpoint)
    for tau in root.iterfind("system/motion/dynamics/thermostat/tau"):
        tau.text, tau.attrib = str(FREE), {}
    for step in root.iterfind("step"):
        step.text = "0"
    return _bytes(root)


def _for_stream(text: str, n_steps: int, stride: int) -> bytes:
    """The input of the streamed part, with its outputs and length."""
    root = ElementTree.fromstring(text)
    for output in root.findall("output"):
        root.remove(output)
    root.insert(0, ElementTree.fromstring(_outputs(STREAMED, 10 * stride)))
    for total in root.iterfind("total_steps"):
        total.text = str(n_steps)
    return _bytes(root)


def _bytes(root: ElementTree.Element) -> bytes:
    return bytes(ElementTree.tostring(root, encoding="utf-8"))


# ---------------------------------------------------------------------- what the log says


@contextlib.contextmanager
def _said_once() -> Iterator[None]:
    """Of many ring polymers each warning of i-PI's engine is said once."""
    loggers = [log, logging.getLogger("aptnn_md.engines.client.evaluator")]
    for logger in loggers:
        logger.addFilter(_REPEATED)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_REPEATED)


@contextlib.contextmanager
def _to_file(name: str) -> Iterator[None]:
    """What i-PI prints goes into a file."""
    with Path(name).open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        yield


class _Repeated(logging.Filter):
    """Lets a message through once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it was not said yet."""
        text = record.getMessage()
        new = text not in self._said
        self._said.add(text)
        return new


_REPEATED = _Repeated()
