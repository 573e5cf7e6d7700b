#!/usr/bin/env bash
# Methanol with GFN2-xTB as potential and as truth: labels, network, spectra, harmonic lines. Ten
# minutes on two cores; started again it continues where it was stopped.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1
ps=${PS:-60}
minutes=${MINUTES:-1.5}
n_frames=${FRAMES:-100}
xtb='tblite.ase:TBLite method=GFN2-xTB verbosity=0'

# 100 labelled frames, and a network
[ -e frames.extxyz ] || python frames.py start.xyz frames.extxyz "$n_frames"
aptnn-md label --engine 'tblite {"method": "GFN2-xTB"}' --data frames.extxyz --out labelled.extxyz
resume=$([ ! -e methanol.pt.state ] || echo --restart)
[ -e methanol.pt ] || aptnn-md train --data labelled.extxyz --out methanol.pt --seed 1 \
    --max-minutes "$minutes" $resume

# two ensembles of short runs: of the network beside xTB's own dipole, and an independent one of the
# latter
run() {
    aptnn-md md start.xyz --potential "$xtb" --model methanol.pt --potential-dipole --stride 7 \
        --ps "$ps" --temperature 300 --restart "$@"
}
run --stream runs --seed 1 &
run --stream independent --seed 2
wait

aptnn-md spectrum normal-modes start.xyz --potential "$xtb" --model methanol.pt --relax \
    --out modes.csv
bands="torsion:100-800 CO:900-1220 bend:1220-1700 CH:2600-3300 OH:3400-4000"
# shellcheck disable=SC2086
aptnn-md spectrum ir runs --harmonic modes.csv --bands $bands --range 0 4200 --plot ir.png \
    --out ir.csv
# shellcheck disable=SC2086
aptnn-md spectrum compare runs runs@potential-dipole independent@potential-dipole \
    --names network xTB "xTB, other runs" --difference --bands $bands --range 0 4200 \
    --out comparison.csv
python picture.py
