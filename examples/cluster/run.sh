#!/usr/bin/env bash
# Labels by parsl, here with two workers on this machine: see README.md.
set -euo pipefail
config=${CONFIG:-local.py}
frames=${FRAMES:-50}

python - "$frames" <<'PYTHON'
import sys
import ase.io
from ase.build import molecule
structures = [molecule(("H2O", "NH3", "CH3OH")[k % 3]) for k in range(int(sys.argv[1]))]
for seed, atoms in enumerate(structures):
    atoms.rattle(0.03, seed=seed)
ase.io.write("frames.extxyz", structures)
PYTHON
aptnn-md label --engine tblite --data frames.extxyz --executor "parsl:$config" --out labelled.extxyz
