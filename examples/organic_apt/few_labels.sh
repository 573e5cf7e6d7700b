#!/usr/bin/env bash
# organic-apt before and after a few labels of one molecule: few_labels.sh [SMILES] (needs tblite and rdkit)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
smiles=${1:-CNC(=O)C} level=${LEVEL:-'tblite method=GFN1-xTB'}
export OMP_NUM_THREADS=1
python "$here/few_labels.py" "$smiles" few.extxyz more.extxyz
for set in few more; do
  aptnn-md label --engine "$level" --data $set.extxyz --out $set.labelled.extxyz
done
aptnn-md evaluate --model organic-apt --data more.labelled.extxyz
time aptnn-md train --config "$here/few_labels.toml" --data few.labelled.extxyz --out own.pt
aptnn-md evaluate --model own.pt --data more.labelled.extxyz
