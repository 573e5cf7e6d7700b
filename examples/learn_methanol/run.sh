#!/usr/bin/env bash
# Methanol learned from GFN2-xTB, and compared with xTB's own dynamics. The campaign takes a quarter
# of an hour on two quiet cores, the truth as long again; started again it continues where it was
# stopped. SEED and CAMPAIGN (more options of aptnn-md learn) change what is done.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1
seed=${SEED:-0}
xtb='tblite.ase:TBLite method=GFN2-xTB verbosity=0'

# shellcheck disable=SC2086
aptnn-md learn start.xyz --engine tblite --temperature 300 --charge 0 --out "methanol-$seed" \
    --seed "$seed" --jobs 2 ${CAMPAIGN:-}

# the truth: xTB's forces, and the rate of its own dipole beside that of the learned tensors
aptnn-md md start.xyz --potential "$xtb" --model "methanol-$seed/final/tensors.pt" \
    --potential-dipole --stride 7 --ps "${PS:-96}" --temperature 300 --seed 1 \
    --stream "truth-$seed" --restart
python compare.py "methanol-$seed" --truth "truth-$seed"
