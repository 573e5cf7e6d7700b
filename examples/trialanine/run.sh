#!/usr/bin/env bash
# Protonated trialanine learned from GFN2-xTB, and xTB's own dynamics of both conformers to compare
# with. Hours on two cores; started again it continues where it was stopped. CAMPAIGN (more options of
# aptnn-md learn) and PS change what is done.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1

# shellcheck disable=SC2086
aptnn-md learn campaign.toml --jobs 2 ${CAMPAIGN:-}

for name in extended folded; do
    aptnn-md md "$name.xyz" --potential 'tblite.ase:TBLite method=GFN2-xTB charge=1 verbosity=0' \
        --model trialanine/final/tensors.pt --potential-dipole --stride 7 --ps "${PS:-48}" \
        --temperature 300 --seed 1 --stream "truth-$name" --restart
    aptnn-md spectrum ir "truth-$name" --estimator potential-dipole --out "truth-$name.csv" \
        --plot "truth-$name.png"
done
aptnn-md spectrum compare truth-extended@potential-dipole truth-folded@potential-dipole \
    --names extended folded --difference --plot conformers.png
