"""Inputs of i-PI for the toy molecules, and what its checkpoints say, read by other means."""

import importlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import ase.io
import numpy as np

from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.stream import StreamReader
from aptnn_md.stream.frame import ESTIMATORS
from helpers import toy_molecules

PES = Path(__file__).parent / "ipi_toy_pes.py"
BOHR, FS, DALTON, KELVIN = 1 / 1.8897261, 1 / 41.341373, 1822.8885, 3.1668152e-06

PILE = "<thermostat mode='pile_g'><tau units='femtosecond'>40</tau></thermostat>"
SVR = "<thermostat mode='svr'><tau units='femtosecond'>40</tau></thermostat>"
BAROSTAT = (
    "<barostat mode='isotropic'><tau units='femtosecond'>80</tau>"
    "<thermostat mode='langevin'><tau units='femtosecond'>60</tau></thermostat></barostat>"
)


def write_input(
    directory,
    *,
    n_beads=1,
    n_molecules=2,
    steps=20,
    timestep=0.25,
    mode="nve",
    thermostat="",
    barostat="",
    extra_dynamics="",
    normal_modes="",
    temperature=300,
    properties="step, time, temperature",
    checkpoint=1,
    overwrite=False,
    forcefields="",
    forces="",
    toy_force="<force forcefield='toy'/>",
    attributes="floatformat='%25.16e'",
    pes_parameters="",
    systems=1,
    system_prefix="",
    after="",
    fixcom="True",
    extra_motion="",
    stride=1,
    pbc=True,
    smotion="",
    outputs="",
):
    """``input.xml`` in ``directory``; returns its path."""
    directory = Path(directory)
    directory.mkdir(exist_ok=True)
    atoms = toy_molecules.structure(n_molecules, seed=3, pbc=pbc)
    if not pbc:
        atoms.set_cell(np.diag([60.0, 60.0, 60.0]))
        atoms.pbc = True
    del atoms.arrays["momenta"]
    ase.io.write(directory / "start.xyz", atoms, format="extxyz")
    system = f"""
  <system PREFIX>
    <initialize nbeads='{n_beads}'>
      <file mode='ase' units='ase'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> {temperature} </velocities>
    </initialize>
    <forces>{toy_force}{forces}</forces>
    {normal_modes}
    <ensemble><temperature units='kelvin'> {temperature} </temperature>
      <pressure units='megapascal'> 10 </pressure></ensemble>
    <motion mode='dynamics'>
      <fixcom> {fixcom} </fixcom>{extra_motion}
      <dynamics mode='{mode}'>
        <timestep units='femtosecond'> {timestep} </timestep>
        {thermostat}{barostat}{extra_dynamics}
      </dynamics>
    </motion>
  </system>"""
    prefixes = [f"prefix='{system_prefix}{n}'" if system_prefix else "" for n in range(systems)]
    text = f"""<simulation verbosity='low' threading='False' {attributes}>
  <output prefix='run'>
    <checkpoint filename='state' stride='{checkpoint}' overwrite='{overwrite}'/>
    <properties filename='out' stride='{stride}'> [{properties}] </properties>{outputs}
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>11</seed></prng>
  <ffdirect name='toy'>
    <pes>custom</pes> <pes_path>{PES}</pes_path> <batch_size>{n_beads}</batch_size>
    <parameters>{{{pes_parameters}}}</parameters>
  </ffdirect>
  {forcefields}{smotion}
  {"".join(system.replace("PREFIX", prefix) for prefix in prefixes)}{after}
</simulation>
"""
    path = directory / "input.xml"
    path.write_text(text)
    return path


def run_toy(
    directory,
    monkeypatch,
    estimators=ESTIMATORS,
    groups="element",
    stream=None,
    model=None,
    **options,
):
    """Run the toy in this process; returns its stream and checkpoints."""
    monkeypatch.chdir(directory)
    write_input(directory, **options)
    stream = {"model": model, **(stream or {})}
    return go_on_toy(directory, monkeypatch, "input.xml", estimators, groups, **stream)


def go_on_toy(
    directory, monkeypatch, source, estimators=ESTIMATORS, groups="element", model=None, **stream
):
    # i-PI looks for signals once a second, and waits for that when it ends
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)
    settings = StreamSettings(
        Path("run.zarr"), estimators=estimators, groups=groups, **{"stride": 1, **stream}
    )
    assert run_ipi(source, settings, model or toy_molecules.Tensors()).finished
    paths = sorted(directory.glob("run.state_*"), key=lambda path: int(path.name.split("_")[1]))
    return StreamReader(directory / "run.zarr"), [Checkpoint(path) for path in paths]


class Checkpoint:
    """Positions, momenta and cell of a checkpoint file, to all of its digits."""

    def __init__(self, path, system=0):
        root = ElementTree.fromstring(Path(path).read_text())
        self.step = int(root.findtext("step") or 0)  # i-PI leaves defaults out
        found = root.findall("system")[system]
        beads = found.find("beads")
        self.n_beads = int(beads.get("nbeads"))
        self.n_atoms = int(beads.get("natoms"))
        shape = (self.n_beads, self.n_atoms, 3)
        self.q = _numbers(beads.findtext("q")).reshape(shape)
        self.p = _numbers(beads.findtext("p")).reshape(shape)
        self.m = _numbers(beads.findtext("m"))
        self.cell = _numbers(found.findtext("cell")).reshape(3, 3).T * BOHR

    @property
    def positions(self):
        """Å."""
        return self.q * BOHR

    def velocities(self, mass_factors=None):
        """Å/fs; ``mass_factors``: dynamical over physical mass of each normal mode."""
        if mass_factors is None:
            return self.p / self.m[:, None] * BOHR / FS
        matrix = normal_mode_matrix(self.n_beads)
        modes = np.einsum("kj,jna->kna", matrix, self.p)
        modes = modes / (np.asarray(mass_factors)[:, None, None] * self.m[:, None])
        return np.einsum("kj,kna->jna", matrix, modes) * BOHR / FS


def normal_mode_matrix(n_beads):
    """Orthogonal C_kj of the free ring polymer, k = 0 the centroid, in i-PI's order."""
    j = np.arange(1, n_beads + 1)
    rows = [np.full(n_beads, n_beads**-0.5)]
    for k in range(1, n_beads):
        angle = 2 * np.pi * j * k / n_beads
        if 2 * k == n_beads:
            rows.append(n_beads**-0.5 * (-1.0) ** j)
        else:
            wave = np.cos(angle) if 2 * k < n_beads else np.sin(angle)
            rows.append((2 / n_beads) ** 0.5 * wave)
    return np.array(rows)


def ring_polymer_frequencies(n_beads, temperature):
    """Atomic units."""
    k = np.arange(n_beads)
    return 2 * n_beads * KELVIN * temperature * np.sin(k * np.pi / n_beads)


def _numbers(text):
    return np.array(text.strip().strip("[]").replace(",", " ").split(), dtype=float)
