#!/bin/sh
# 64 flexible SPC waters, 0.2 ps by LAMMPS and by OpenMM, with learned polar tensors; then spectra.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
steps=${STEPS:-400}

python water_data.py water.data
for engine in ${ENGINES:-lammps openmm}; do
    if [ "$engine" = lammps ]; then
        aptnn-md lammps in.lmp --model water-apt --stream lammps.zarr --groups element \
            --options -var steps "$steps"
    else
        python openmm_water.py openmm.zarr "$steps"
    fi
    aptnn-md info "$engine.zarr"
    aptnn-md spectrum ir "$engine.zarr" --resolution "${RESOLUTION:-400}" --out "$engine.csv" --plot "$engine.png"
done
