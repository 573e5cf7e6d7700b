#!/bin/sh
# Both runs, from the bundled box: about one and three hours of a quiet core each; then the figures.
# If killed, each resumes when this script is started again.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
box=$(python -c "from aptnn_md.bundled import bundled_path; print(bundled_path('water64.extxyz'))")
restart() { if [ -e "$1" ]; then echo --restart; fi; }

# 5 ps of equilibration; the run begins where it ends
if [ ! -e start.extxyz ]; then
    aptnn-md md "$box" --potential water-mace --model water-apt --stream equilibrate.zarr --ps 5 \
        --groups element --temperature 300 --seed 1 $(restart equilibrate.checkpoint.npz)
    python - "$box" <<'PYTHON'
import sys

import ase.io
from ase import Atoms

from aptnn_md.engines.ase.restart import DynamicsState

state = DynamicsState.read("equilibrate.checkpoint.npz")
atoms = Atoms(state.numbers, state.positions, momenta=state.momenta, cell=state.cell, pbc=True)
ase.io.write("start.extxyz", atoms)
ase.io.write("box.extxyz", ase.io.read(sys.argv[1]), columns=["symbols", "positions"])
PYTHON
fi
aptnn-md md start.extxyz --potential water-mace --model water-apt,water-pgt --stream classical.zarr --ps 20 \
    --stride 4 --groups motion --temperature 300 --seed 2 $(restart classical.checkpoint.npz) &

[ -e equilibrate.checkpoint ] || i-pi trpmd_equilibrate.xml
input=trpmd.xml
if [ -e trpmd.checkpoint ]; then input=trpmd.checkpoint; fi
aptnn-md ipi $input --model water-apt,water-pgt --stream trpmd.zarr --stride 4 \
    --estimator bead,centroid-apt,apt-at-centroid --groups motion
wait
python figure.py "$@"
python raman.py
