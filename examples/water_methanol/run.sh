#!/usr/bin/env bash
# Water, methanol and their complex, learned together from GFN2-xTB. Started again it continues where
# it was stopped.
set -euo pipefail
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1
# shellcheck disable=SC2086
aptnn-md learn campaign.toml --jobs 2 ${CAMPAIGN:-}
