#!/bin/sh
# 64 H2O, 0.2 ps: plain i-pi with the stream plugin, then the spectrum. Continue with: i-pi RESTART
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

python -c "
import ase.io
from aptnn_md.bundled import bundled_path
atoms = ase.io.read(bundled_path('water64.extxyz'))
ase.io.write('start.xyz', atoms, format='extxyz', columns=['symbols', 'positions'])
"
i-pi input.xml
aptnn-md info water.zarr
aptnn-md spectrum ir water.zarr --resolution 400 --out ir.csv --plot ir.png
