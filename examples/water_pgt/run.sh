#!/bin/sh
# water-pgt from nothing: frames, labels by CP2K (nine minutes of a core each), network.
# If killed, it resumes when it is started again.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
[ -e box.extxyz ] || python start.py
input=pimd.xml
if [ -e pimd.checkpoint ]; then input=pimd.checkpoint; fi
[ -e frames.extxyz ] || i-pi $input
[ -e frames.extxyz ] || python frames.py
aptnn-md label --engine 'cp2k {"template": "rpbe.inp"}' --property apt,pgt --field 5e-3 --limit pgt_acoustic_sum=0.1 \
    --data frames.extxyz --out labelled.extxyz --jobs "${JOBS:-1}"
# many cheap labels first: see README.md
if [ ! -e gfn2.pt ]; then
    [ -e liquid.extxyz ] || python ../labels_tblite/frames.py liquid.extxyz 10
    aptnn-md label --engine tblite --data liquid.extxyz --cluster 3.5 --every 3 --property pgt \
        --out clusters.extxyz --jobs "${JOBS:-1}"
    aptnn-md train --target pgt --data clusters.extxyz --epochs 8 --out gfn2.pt
fi
aptnn-md train --config train.toml
