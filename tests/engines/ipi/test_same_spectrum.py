"""One trajectory, streamed inside i-PI, by a client of it, and by the observer of ASE."""

import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.paths import HELPERS

pytest.importorskip("ipi")

from helpers.ipi_client_tools import Server, toy_client
from helpers.ipi_inputs import Checkpoint

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.spectra.infrared.of_streams import spectrum_of_streams
from aptnn_md.units import WAVENUMBER_PER_ANGULAR_FREQUENCY

pytestmark = pytest.mark.ipi
STEPS, TIMESTEP = 1000, 0.5


@pytest.mark.slow
def test_the_same_spectrum_by_three_ways(tmp_path):
    stream = HELPERS / "ipi_toy_stream.py"
    with Server(
        tmp_path,
        steps=STEPS,
        timestep=TIMESTEP,
        checkpoint=STEPS,
        toy_force="<force forcefield='client'/>",
        forces="<force forcefield='stream' weight='0.0'/>",
        more_forcefields=f"<ffdirect name='stream'><pes>custom</pes><pes_path>{stream}</pes_path>"
        "<parameters>{stream: inside.zarr, stride: 1}</parameters></ffdirect>",
    ) as server:
        toy_client(server.address, tmp_path / "client.zarr", timestep=TIMESTEP).run()
        server.wait()
    start = Checkpoint(tmp_path / "run.state_0")
    atoms = toy_molecules.structure(2, seed=3, pbc=True)
    atoms.positions = start.positions[0]
    atoms.set_velocities(start.velocities()[0] / units.fs)
    atoms.calc = toy_molecules.Potential()
    dynamics = VelocityVerlet(atoms, TIMESTEP * units.fs)
    with StreamObserver(dynamics, tmp_path / "ase.zarr", toy_molecules.Tensors()) as observer:
        dynamics.attach(observer, interval=1)
        dynamics.run(STEPS)
    found = {
        name: spectrum_of_streams([tmp_path / f"{name}.zarr"], 150.0, temperature=300.0)
        for name in ("inside", "client", "ase")
    }
    inside = found["inside"]
    highest = inside.absorption.max()
    assert highest > 0
    below = inside.wavenumber < 4500
    np.testing.assert_allclose(found["ase"].absorption, inside.absorption, atol=1e-4 * highest)
    # velocities of velocity Verlet are central differences of positions, so they are smaller than
    # time derivatives by sin(ωΔt)/(ωΔt): 4 % of the intensity at 3700 cm⁻¹ and 0.5 fs
    phase = inside.wavenumber / WAVENUMBER_PER_ANGULAR_FREQUENCY * TIMESTEP
    client = found["client"].absorption * np.sinc(phase / np.pi) ** 2
    np.testing.assert_array_equal(found["client"].wavenumber, inside.wavenumber)
    assert np.abs(client - inside.absorption)[below].max() < 0.005 * highest
