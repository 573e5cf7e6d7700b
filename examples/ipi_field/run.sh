#!/bin/sh
# 64 H2O in an electric field, 60 fs: what the field does, and that energy is conserved with it.
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
python polarisation.py
