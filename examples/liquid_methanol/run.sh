#!/usr/bin/env bash
# Liquid methanol: potential and tensors learned from droplets and clusters with GFN2-xTB, see README.md.
# Started again it continues where it was stopped; MOLECULES, STEPS, MINUTES, FRAMES and PS change what is done.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1
minutes=${MINUTES:-20}
resume() { [ ! -e "$1.state" ] || echo --restart; }
train() { # NAME OPTIONS...: what is there and finished is not trained again
    local out=$1
    shift
    # shellcheck disable=SC2046
    [ -e "$out" ] && [ ! -e "$out.state" ] ||
        aptnn-md train --out "$out" --max-minutes "$minutes" "$@" $(resume "$out")
}

# 1. a first potential: four droplets to learn from, and one to test with
python methanol.py droplets droplets.extxyz --droplets 4 --molecules 12
python methanol.py droplets test.extxyz --droplets 1 --molecules 12 --seed 5
train first.json --data droplets.extxyz --target potential --settings steps="${STEPS:-4000}"

# 2. clusters of 4 Å cut out of the liquid that it moves: forces of all atoms, tensors of the molecule in the middle
python methanol.py box box.extxyz --molecules "${MOLECULES:-32}" --potential first.json
python methanol.py liquid liquid.extxyz --start box.extxyz --potential first.json --frames "${FRAMES:-14}"
aptnn-md label --engine tblite --data liquid.extxyz --cluster 4 --every 4 --out clusters.extxyz
python methanol.py divide clusters.extxyz

# 3. the potential learns them, too, and so do tensors
cat droplets.extxyz clusters-train.extxyz > both.extxyz
train potential.json --data both.extxyz --target potential --start-from first.json \
    --settings steps="${STEPS:-4000}"
train tensors.pt --data clusters-train.extxyz --start-from organic-apt --committee 2
for data in test.extxyz clusters-test.extxyz; do
    aptnn-md evaluate --potential potential.json --data "$data"
done
aptnn-md evaluate --model tensors.pt --data clusters-test.extxyz

# 4. the run, and its spectrum beside the measured one
python methanol.py last start.extxyz --start liquid.extxyz
aptnn-md md start.extxyz --potential potential.json --model tensors.pt --stream run.zarr \
    --ps "${PS:-20}" --equilibrate 2 --thermostat langevin --friction 1 --temperature 298 --seed 1 \
    --groups motion --stride 4 --restart
aptnn-md spectrum ir run.zarr --resolution "${RESOLUTION:-40}" --range 0 4000 \
    --experiment methanol --out ir.csv --plot ir.png
