#!/usr/bin/env bash
# Networks learned on short n-alkanes with GFN2-xTB, applied to long ones. The dynamics at the end
# takes hours. Started again it continues where it was stopped.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1
xtb='tblite.ase:TBLite method=GFN2-xTB verbosity=0'
gfn2='tblite {"method": "GFN2-xTB"}'

# 80 frames of butane, pentane, hexane and octane, with APTs, energies and forces; for the potential
# also 440 frames between them, which the dynamics gives for nothing
python frames.py frames.extxyz 4 5 6 8 --n "${FRAMES:-20}" --forces forces.extxyz
aptnn-md label --engine "$gfn2" --data frames.extxyz --out labelled.extxyz
resume() { [ ! -e "$1.state" ] || echo --restart; }
# shellcheck disable=SC2046
[ -e alkanes.pt ] || aptnn-md train --data labelled.extxyz --out alkanes.pt --seed 1 \
    --settings n_channels=24 --max-minutes "${MINUTES:-10}" $(resume alkanes.pt)

# unseen chains: dynamics of C16H34 at 500 K, and moved atoms of C16H34 and C64H130
python frames.py c16.extxyz 16 --n 4
python rattled.py long.extxyz 16 64
for name in c16 long; do
    aptnn-md label --engine "$gfn2" --data "$name.extxyz" --out "$name-labelled.extxyz"
    aptnn-md evaluate --model alkanes.pt --data "$name-labelled.extxyz"
done

# the dipole rate of C16H34 on xTB's own forces: of the network, and of xTB's dipole at the same steps
python alkane.py 16 C16H34.xyz
aptnn-md md C16H34.xyz --potential "$xtb" --model alkanes.pt --potential-dipole --stride 4 \
    --ps "${PS:-10}" --temperature 300 --seed 1 --stream c16 --restart
aptnn-md spectrum compare c16 c16@potential-dipole --names network xTB --difference --plot c16.png

# the same with a potential that is learned on the short chains, too
cat labelled.extxyz forces.extxyz > potential.extxyz
# shellcheck disable=SC2046
[ -e potential.json ] || aptnn-md train --data potential.extxyz --target potential --seed 1 \
    --out potential.json --settings steps="${STEPS:-4000}" $(resume potential.json)
for name in c16 long; do
    aptnn-md evaluate --potential potential.json --data "$name-labelled.extxyz"
done
python cost.py alkanes.pt potential.json
aptnn-md md C16H34.xyz --potential potential.json --model alkanes.pt --stride 4 --ps "${PS:-10}" \
    --temperature 300 --seed 2 --stream c16-learned --restart
aptnn-md spectrum compare c16@potential-dipole c16-learned --names xTB learned --plot c16-learned.png

# and of 194 atoms
python alkane.py 64 C64H130.xyz
aptnn-md md C64H130.xyz --potential potential.json --model alkanes.pt --stride 4 --ps "${PS:-10}" \
    --temperature 300 --seed 1 --thermostat langevin --stream c64 --restart
aptnn-md spectrum ir c64 --out c64.csv --plot c64.png
