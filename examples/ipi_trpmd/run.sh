#!/bin/sh
# TRPMD of 64 H2O with 8 beads, 15 fs, and the three estimators of the dipole rate
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

python -c "
import ase.io
from aptnn_md.bundled import bundled_path
atoms = ase.io.read(bundled_path('water64.extxyz'))
ase.io.write('start.xyz', atoms, format='extxyz', columns=['symbols', 'positions'])
"
aptnn-md ipi input.xml --model water-apt --stream water.zarr --stride 4 \
    --estimator bead,centroid-apt,apt-at-centroid --groups element
python compare.py water.zarr
