#!/usr/bin/env bash
# Labels of a small periodic box by CP2K in two ways, and what the bundled networks say: README.md.
set -euo pipefail
cd "$(dirname "$0")"
jobs=${JOBS:-2}
export OMP_NUM_THREADS=1
engine='cp2k {"template": "../water_pgt/rpbe.inp"}'
common="--data box.extxyz --work points --jobs $jobs"

if ! command -v cp2k.psmp > /dev/null; then
  echo "This example needs CP2K: no program cp2k.psmp (Debian, Ubuntu: apt install cp2k)" >&2
  exit 1
fi
# all atoms from forces in fields, one of them from dipoles (Berry phases) of displaced atoms
aptnn-md label --engine "$engine" $common --property apt,pgt --field 5e-3 --out field.extxyz
aptnn-md label --engine "$engine" $common --property apt --scheme space \
  --atoms index:1 --out space.extxyz
aptnn-md predict --model water-apt --data box.extxyz --out apt.extxyz
aptnn-md predict --model water-pgt --data box.extxyz --out pgt.extxyz
python compare.py field.extxyz space.extxyz apt.extxyz pgt.extxyz
