#!/bin/sh
# 64 H2O, 20 fs, forces of CP2K's METHOD NNP; argument: a directory with the committee.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
committee="${1:-/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp}"

if ! command -v cp2k > /dev/null; then
    echo "skipped: there is no cp2k here (Debian and Ubuntu: apt install cp2k)"
    exit 0
fi
if [ ! -d "$committee" ]; then
    echo "skipped: no directory $committee; give one with a committee of potentials"
    exit 0
fi
python make_input.py "$committee"
# what a killed i-PI leaves behind
rm -f /tmp/ipi_aptnn_md_cp2k
i-pi input.xml &
ipi=$!
while [ ! -S /tmp/ipi_aptnn_md_cp2k ]; do
    kill -0 $ipi
    sleep 0.2
done
cp2k cp2k.inp > cp2k.log || { kill $ipi; tail cp2k.log; exit 1; }
wait $ipi
aptnn-md info water.zarr
