#!/usr/bin/env bash
# Labels, a network trained on them, and its errors: see README.md.
set -euo pipefail
box=$(python -c "from aptnn_md.bundled import bundled_path; print(bundled_path('water64.extxyz'))")
jobs=${JOBS:-2}
export OMP_NUM_THREADS=1

# 64 clusters from one frame of liquid water, 13 single points each
aptnn-md label --engine tblite --data "$box" --cluster 3.5 --property apt,pgt --jobs "$jobs" \
  --out clusters.extxyz

# every fifth cluster is for the test
python - <<'EOF'
import ase.io
frames = ase.io.read("clusters.extxyz", ":")
ase.io.write("test.extxyz", frames[::5])
ase.io.write("train.extxyz", [atoms for k, atoms in enumerate(frames) if k % 5])
EOF
aptnn-md train --data train.extxyz --valid test.extxyz --out model.pt --epochs 15 --max-minutes 2
aptnn-md evaluate --model model.pt --data test.extxyz
