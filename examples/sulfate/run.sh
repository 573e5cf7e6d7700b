#!/usr/bin/env bash
# Sulfate with twelve waters learned from GFN2-xTB, and its spectra by parts: sulfate and water. Hours
# on two cores; started again it continues where it was stopped.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1

# shellcheck disable=SC2086
aptnn-md learn campaign.toml --jobs 2 ${CAMPAIGN:-}

aptnn-md md start.xyz --potential sulfate/final/potential.json --model sulfate/final/tensors.pt \
    --groups molecule-kind --stride 4 --ps "${PS:-24}" --temperature 250 --seed 1 --stream parts \
    --restart
aptnn-md spectrum ir parts --out ir.csv --plot ir.png --plot-parts parts.png
aptnn-md spectrum raman parts --out raman.csv --plot raman.png
