# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a molecule to its infrared spectrum
#
# A water molecule in the gas phase. GFN2-xTB gives the forces, and labels from which a network
# learns the atomic polar tensors; the network then gives $\dot M(t) = \sum_i P_i v_i$ along the
# dynamics.
# Needs `pip install 'aptnn_md[tblite]'`.

# %%
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import molecule
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from tblite.ase import TBLite

from aptnn_md import APTCalculator, Predictor, StreamObserver, spectrum_of_streams
from aptnn_md.cli import main


def xtb():
    """A new calculator; each structure needs its own."""
    return TBLite(method="GFN2-xTB", verbosity=0)


# %% [markdown]
# ## Frames
#
# Hot Langevin dynamics shows the network more than it will meet. Fifty frames are plenty for three
# atoms.

# %%
atoms = molecule("H2O")
atoms.calc = xtb()
rng = np.random.default_rng(1)
friction = {"friction": 0.02 / units.fs, "fixcm": False}
hot = Langevin(atoms, 0.5 * units.fs, temperature_K=600, **friction, rng=rng)
frames = []
for _ in range(50):
    hot.run(20)
    frames.append(atoms.copy())
write("frames.extxyz", frames)

# %% [markdown]
# ## Labels and a network
#
# Seven single points a frame. Commands can be called from Python, too.


# %%
def command(line):
    """Run a command of ``aptnn-md`` in this process."""
    assert main(shlex.split(line)) == 0


command("label --engine tblite --data frames.extxyz --out labelled.extxyz")
command("train --data labelled.extxyz --out water.pt --max-minutes 1")

# %% [markdown]
# The tensors of the molecule at rest: rows are components of the dipole, columns directions of the
# displacement. They add up to nothing, as the molecule has no charge.

# %%
predictor = Predictor.from_file("water.pt")
tensors = predictor(molecule("H2O"))
print(np.round(tensors, 3))
print("sum:", np.abs(tensors.sum(axis=0)).max())

# %% [markdown]
# ## Dynamics with a stream
#
# Eight short runs at constant energy, each from another moment of the Langevin dynamics at 300 K.
# (`aptnn-md md` does this by itself, and resumes where it was killed.)

# %%
atoms = molecule("H2O")
atoms.calc = xtb()
bath = Langevin(atoms, 0.5 * units.fs, temperature_K=300, **friction, rng=rng)
bath.run(1000)
for number in range(8):
    bath.run(300)
    run = atoms.copy()
    run.calc = APTCalculator("water.pt", potential=xtb())
    dynamics = VelocityVerlet(run, 0.5 * units.fs)
    stream = f"run-{number}.zarr"
    with StreamObserver(dynamics, stream, stride=6, temperature=300.0) as observer:
        dynamics.attach(observer, interval=6)
        dynamics.run(1800)

# %% [markdown]
# ## The spectrum
#
# In km/mol per cm⁻¹, with standard errors from the scatter of the runs.

# %%
spectrum = spectrum_of_streams([f"run-{n}.zarr" for n in range(8)], resolution=60.0)
x, y, error = spectrum.wavenumber, spectrum.absorption, spectrum.standard_error
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.fill_between(x, y - error, y + error, alpha=0.3)
axes.plot(x, y)
axes.set(xlim=(0, 4200), xlabel="wavenumber (cm⁻¹)", ylabel="km/mol per cm⁻¹")
figure.savefig("spectrum.png")
for low, high in ((1200, 2000), (3000, 4200)):
    value, uncertainty = spectrum.integral(low, high)
    print(f"{low}-{high} cm⁻¹: {value:.0f} ± {uncertainty:.0f} km/mol")
print(f"f-sum ratio: {spectrum.sum_rule.ratio:.2f}")

# %% [markdown]
# One page for a browser, to send to a colleague:

# %%
streams = " ".join(f"run-{n}.zarr" for n in range(8))
command(f"spectrum ir {streams} --resolution 60 --html report.html")
print(Path("report.html").stat().st_size > 1e6)
