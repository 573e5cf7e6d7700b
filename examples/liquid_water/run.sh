#!/bin/sh
# Liquid water anew with the present water-mace: five classical runs of 10 ps, each after 3 ps of
# equilibration of its own, in half an hour of a quiet core each, and TRPMD of 16 beads, 10 ps with
# a step of 0.25 fs after 3 ps, in half a day; then the figures. The streams go into runs/, beside
# those that are kept. If killed, all go on when this script is started again.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
mkdir -p runs/classical
restart() { if [ -e "$1" ]; then echo --restart; fi; }

(
    for seed in 1 2 3 4 5; do
        run="runs/classical/run-00$seed"
        aptnn-md md start.extxyz --potential water-mace --model water-apt-committee,water-pgt \
            --stream "$run.zarr" --ps 10 --equilibrate 3 --stride 6 --groups element+motion \
            --temperature 300 --seed "$seed" $(restart "$run.checkpoint.npz")
    done
) &

[ -e equilibrate.checkpoint ] || i-pi trpmd_equilibrate.xml
input=trpmd.xml
if [ -e trpmd.checkpoint ]; then input=trpmd.checkpoint; fi
aptnn-md ipi $input --model water-apt-committee,water-pgt --stream runs/trpmd.zarr --stride 12 \
    --estimator bead,centroid-apt,apt-at-centroid --groups motion
wait
python figure.py --classical runs/classical --trpmd runs/trpmd.zarr --out runs/figure.png "$@"
python raman.py --classical runs/classical --trpmd runs/trpmd.zarr --out runs/raman.png
