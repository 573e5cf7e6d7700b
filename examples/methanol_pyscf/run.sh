#!/usr/bin/env bash
# A network for one molecule, and its harmonic spectra compared with PySCF's: see README.md.
set -euo pipefail
frames=${FRAMES:-20}
minutes=${MINUTES:-0.75}
jobs=${JOBS:-2}
export OMP_NUM_THREADS=1
engine='pyscf {"xc": "hf", "basis": "6-31g"}'

python start.py methanol.xyz "$frames"
aptnn-md label --engine "$engine" --data displaced.extxyz --property apt,pgt --jobs "$jobs" \
  --out labelled.extxyz
aptnn-md train --data labelled.extxyz --target apt+pgt --max-minutes "$minutes" --out methanol.pt

# the minimum was not in the training set: its labels are what the network must find
aptnn-md label --engine "$engine" --data methanol.xyz --property apt,pgt --out minimum.extxyz
aptnn-md evaluate --model methanol.pt --data minimum.extxyz

common="methanol.xyz --hessian hessian.npy"
aptnn-md spectrum normal-modes $common --apt minimum.extxyz --out pyscf.csv --plot pyscf.png
aptnn-md spectrum normal-modes $common --model methanol.pt --out network.csv --plot network.png
python compare.py pyscf.csv network.csv
