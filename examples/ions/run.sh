#!/usr/bin/env bash
# Ions and neutral molecules in one file, from labels to a stream: see README.md.
set -euo pipefail
jobs=${JOBS:-1}
frames=${FRAMES:-30}
minutes=${MINUTES:-4}
picoseconds=${PS:-0.5}
export OMP_NUM_THREADS=1

python frames.py frames.extxyz start.extxyz "$frames"
# each frame says its own charge
aptnn-md label --engine tblite --data frames.extxyz --jobs "$jobs" --out labelled.extxyz

# every fifth frame of each species is for the test
python - <<'PYTHON'
from collections import Counter

import ase.io

seen, parts = Counter(), {"test": [], "train": []}
for atoms in ase.io.read("labelled.extxyz", ":"):
    formula = atoms.get_chemical_formula()
    parts["train" if seen[formula] % 5 else "test"].append(atoms)
    seen[formula] += 1
for name, frames in parts.items():
    ase.io.write(f"{name}.extxyz", frames)
PYTHON
aptnn-md train --data train.extxyz --valid test.extxyz --out ions.pt --epochs 8 \
  --max-minutes "$minutes"
aptnn-md evaluate --model ions.pt --data test.extxyz
python sums.py ions.pt test.extxyz

# the start says charge=-2, and so must the potential
aptnn-md md start.extxyz --potential 'tblite.ase:TBLite method=GFN2-xTB charge=-2 verbosity=0' \
  --model ions.pt --stream sulfate --ensemble 1 --equilibrate 0.1 --ps "$picoseconds" --seed 1 \
  --groups 'sulfate=index:0-4 water=index:5-22' --velocities
aptnn-md info sulfate
