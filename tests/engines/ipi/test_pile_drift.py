"""What the notes on ring polymers say of time steps and beads, with i-PI and without any model."""

import subprocess
import sys
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest

pytest.importorskip("ipi")

from helpers import ipi_morse_pes  # imports i-PI

from aptnn_md.stream.ring_polymers import kinetic_energy_share

pytestmark = pytest.mark.ipi

N_MOLECULES, N_BEADS = 24, 16
INPUT = """<simulation verbosity='quiet' threading='False'>
  <output prefix='run'>
    <properties filename='out' stride='10'>
      [time{{picosecond}}, conserved{{millielectronvolt}}, kinetic_cv{{millielectronvolt}}]
    </properties>
  </output>
  <total_steps>{steps}</total_steps> <prng><seed>3</seed></prng>
  <ffdirect name='morse'>
    <pes>custom</pes> <pes_path>{pes}</pes_path> <batch_size>{n_beads}</batch_size>
  </ffdirect>
  <system>
    <initialize nbeads='{n_beads}'>
      <file mode='ase' units='ase'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces><force forcefield='morse'/></forces>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
    <motion mode='dynamics'>
      <dynamics mode='{mode}'>
        <timestep units='femtosecond'> {timestep} </timestep>
        <thermostat mode='pile_g'>
          <tau units='femtosecond'> 100 </tau> <pile_lambda> 0.5 </pile_lambda>
        </thermostat>
      </dynamics>
    </motion>
  </system>
</simulation>
"""


def run(directory, timestep, mode):
    """Drift of the conserved quantity, meV/ps, and mean kinetic energy, meV, of each molecule."""
    directory.mkdir()
    axes = np.random.default_rng(0).normal(size=(N_MOLECULES, 3))
    axes /= np.linalg.norm(axes, axis=1)[:, None]
    oxygens = 30.0 * np.arange(N_MOLECULES)[:, None] * np.array([1.0, 0.0, 0.0])
    pairs = np.stack([oxygens, oxygens + ipi_morse_pes.LENGTH * axes], axis=1)
    atoms = ase.Atoms("OH" * N_MOLECULES, pairs.reshape(-1, 3), cell=[3000] * 3, pbc=True)
    ase.io.write(directory / "start.xyz", atoms, format="extxyz")
    values = {"steps": round(1200 / timestep), "timestep": timestep, "mode": mode}
    text = INPUT.format(n_beads=N_BEADS, pes=ipi_morse_pes.__file__, **values)
    (directory / "input.xml").write_text(text)
    command = [Path(sys.executable).with_name("i-pi"), "input.xml"]
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    time, conserved, kinetic = np.loadtxt(directory / "run.out").T
    late = time > 0.4
    drift = np.polyfit(time[late], conserved[late], 1)[0]
    return drift / N_MOLECULES, kinetic[late].mean() / N_MOLECULES


@pytest.mark.slow
def test_pile_works_on_anharmonic_bonds_at_long_steps(tmp_path):
    long_step, kinetic = run(tmp_path / "long", 0.5, "nvt")
    short_step, _ = run(tmp_path / "short", 0.25, "nvt")
    constant_energy, _ = run(tmp_path / "nve", 0.5, "nve")
    print(f"drift, meV/ps: {long_step:.3f}, {short_step:.3f}; NVE {constant_energy:.3f}")
    assert long_step > 10.0
    assert abs(short_step) < 0.1 * long_step
    assert abs(constant_energy) < 0.1 * long_step
    # five classical degrees of freedom and the stretch, of which 16 beads have nine tenths
    thermal = 8.617e-2 * 300
    x = 3730 * 1.4388 / 300
    stretch = kinetic_energy_share(N_BEADS, 3730, 300) * thermal * x / 4 / np.tanh(x / 2)
    assert kinetic == pytest.approx(2.5 * thermal + stretch, rel=0.03)
