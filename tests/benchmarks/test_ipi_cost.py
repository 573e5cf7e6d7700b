"""What streaming costs beside a path-integral run: 64 H2O, 32 beads, 0.5 fs, a frame every 2 fs.

python -m pytest tests/benchmarks/test_ipi_cost.py -m benchmark -s

Processor time of one run on one thread, so that other work on the machine counts little: of whole
steps with and without a frame, and of the parts of what a frame adds.
"""

import importlib.util
import time

import ase.io
import numpy as np
import pytest

pytest.importorskip("ipi")
if importlib.util.find_spec("mace") is None:  # without importing it: that changes settings
    pytest.skip("needs mace-torch", allow_module_level=True)

import torch

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.ipi import streaming
from aptnn_md.engines.ipi.polar_tensors import ModelTensors
from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.prediction.predictor import Predictor

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.ipi,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi"),
]
N_BEADS, STRIDE, STEPS = 32, 4, 16

INPUT = f"""<simulation verbosity='quiet' floatformat='%25.16e' threading='False'>
  <output prefix='run'><checkpoint filename='state' stride='8' overwrite='True'/></output>
  <total_steps>{STEPS}</total_steps>
  <prng><seed>3</seed></prng>
  <ffdirect name='water'>
    <pes>custom</pes> <pes_path>DRIVERS/aptnn_md_potential.py</pes_path>
    <batch_size>{N_BEADS}</batch_size>
    <parameters>{{potential: water-mace, template: start.xyz}}</parameters>
  </ffdirect>
  <system>
    <initialize nbeads='{N_BEADS}'>
      <file mode='ase' units='ase'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces><force forcefield='water'/></forces>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
    <motion mode='dynamics'><dynamics mode='nvt'>
      <timestep units='femtosecond'> 0.5 </timestep>
      <thermostat mode='pile_g'><tau units='femtosecond'> 100 </tau></thermostat>
    </dynamics></motion>
  </system>
</simulation>
"""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Clock:
    """Processor time spent in a function, call by call."""

    def __init__(self, monkeypatch, owner, name):
        self.times, inner = [], getattr(owner, name)

        def timed(*arguments):
            began = time.process_time()
            try:
                return inner(*arguments)
            finally:
                self.times.append(time.process_time() - began)

        monkeypatch.setattr(owner, name, timed)


def test_streaming_beside_a_path_integral_run(tmp_path, monkeypatch, request):
    from ipi.engine.simulation import Simulation

    monkeypatch.chdir(tmp_path)
    atoms = ase.io.read(bundled_path("water64.extxyz"))
    ase.io.write("start.xyz", atoms, format="extxyz", columns=["symbols", "positions"])
    drivers = request.config.rootpath / "drivers"
    (tmp_path / "input.xml").write_text(INPUT.replace("DRIVERS", str(drivers)))
    steps = Clock(monkeypatch, Simulation, "run_step")
    outputs = Clock(monkeypatch, Simulation, "write_outputs")
    frames = Clock(monkeypatch, streaming.SystemStream, "record")
    network = Clock(monkeypatch, Predictor, "evaluate")
    commits = Clock(monkeypatch, streaming.SystemStream, "commit")
    settings = streaming.StreamSettings("run.zarr", STRIDE, ("bead",), "element")
    run_ipi("input.xml", settings, "water-apt")
    # the first frame and steps warm the networks up
    step = float(np.mean(steps.times[2:]) + np.mean(outputs.times[2:]))
    frame, evaluation = np.mean(frames.times[STRIDE::STRIDE]), np.mean(network.times[1:])
    commit = np.mean(commits.times[1:-1]) / 2  # one every 8 steps, two frames
    ours = (frame - evaluation + commit) / STRIDE
    ratio = 1.0 + (frame + commit) / STRIDE / step
    print(
        f"\n{N_BEADS} beads of 64 H2O, processor time: step {step:.2f} s, frame {frame:.2f} s, of "
        f"it network {evaluation:.2f} s; with and without streaming every {STRIDE} steps: "
        f"ratio {ratio:.3f}; ours outside of the network: {100 * ours / step:.2f} % of a step"
    )
    assert ratio < 1.30
    assert ours < 0.02 * step


def test_batched_beads_beat_one_by_one():
    atoms = ase.io.read(bundled_path("water64.extxyz"))
    predictor = Predictor.from_file("water-apt")
    source = ModelTensors(predictor, atoms)
    rng = np.random.default_rng(0)
    positions = atoms.positions + 0.05 * rng.normal(size=(N_BEADS, len(atoms), 3))
    state = streaming.BeadState(positions, np.zeros_like(positions), atoms.cell.array)
    singles = [streaming.BeadState(q[None], q[None] * 0.0, state.cell) for q in positions]
    together, alone = [], []
    for _ in range(4):
        began = time.process_time()
        source.evaluate(state, True, False)
        together.append(time.process_time() - began)
        began = time.process_time()
        for single in singles:
            source.evaluate(single, True, False)
        alone.append(time.process_time() - began)
    ratio = min(alone[1:]) / min(together[1:])
    print(
        f"\n{N_BEADS} beads of 64 H2O: one by one {min(alone[1:]):.2f} s, "
        f"together {min(together[1:]):.2f} s: ratio {ratio:.2f}"
    )
    assert ratio > 1.0
