#!/bin/sh
# One H2O: eight runs at constant energy from starts that Langevin dynamics gives, then the spectrum.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

python -c "
import ase.build, ase.io
atoms = ase.build.molecule('H2O')
ase.io.write('start.xyz', atoms, format='extxyz', columns=['symbols', 'positions'])
"
i-pi sample.xml
for n in 1 2 3 4 5 6 7 8; do
  mkdir -p "run-$n"
  sed -e "s#START#../sample.start_$n#" -e "s#\.\./\.\./drivers#../../../drivers#" \
      -e "s#start.xyz#../start.xyz#" input.xml > "run-$n/input.xml"
  (cd "run-$n" && aptnn-md ipi input.xml --model water-apt --stream water.zarr --no-cell)
done
aptnn-md info run-1/water.zarr
aptnn-md spectrum ir run-*/water.zarr --temperature 300 --volume 1e8 --out ir.csv --plot ir.png
