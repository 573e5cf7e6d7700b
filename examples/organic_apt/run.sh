#!/usr/bin/env bash
# Frames, labels and a model: see README.md. Every step resumes where it was interrupted.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
frames=${FRAMES:-5000} test_frames=${TEST_FRAMES:-400} jobs=${JOBS:-2}
largest=${LARGEST:-32} device=${DEVICE:-cpu}
level=${LEVEL:-'pyscf xc=pbe0 basis=def2-svpd density_fit=true grid=1 grid_response=false conv_tol=1e-9 conv_tol_grad=1e-6'}
export OMP_NUM_THREADS=1

# frames, and GFN2-xTB labels of them and of the dynamics that continues them, beside those in labels/
[ -s train.extxyz ] || python "$here/frames.py" train.extxyz --count "$frames" --largest "$largest"
[ -s test.extxyz ] || python "$here/frames.py" test.extxyz --test --count "$test_frames" --largest "$largest"
for set in train test; do
  [ -s known-$set.extxyz ] || xz -dc "$here/labels/gfn2-$set.extxyz.xz" > known-$set.extxyz
  for ((k = 0; k < jobs; k++)); do
    python "$here/cheap_labels.py" $set.extxyz $set-$k.cheap.extxyz --first $k --every "$jobs" \
      --done known-$set.extxyz &
  done
  wait
  cat known-$set.extxyz $set-*.cheap.extxyz > gfn2-$set.extxyz
done
train() { # OUT, options: a model that is there is kept, a training that was stopped is resumed
  [ -s "$1" ] && [ ! -e "$1.state" ] && return
  local restart=()
  [ -e "$1.state" ] && restart=(--restart)
  aptnn-md train --out "$@" --device "$device" "${restart[@]}"
}
for seed in 0 1 2; do
  train gfn2-$seed.pt --config "$here/pretrain.toml" --seed $seed \
    --data gfn2-train.extxyz --valid gfn2-test.extxyz
done
python "$here/joined.py" organic-gfn2.pt gfn2-?.pt
python "$here/errors.py" organic-gfn2.pt gfn2-test.extxyz --device "$device"

# good labels of a few, and the same networks fine-tuned on them
[ -s known-pbe0.extxyz ] || xz -dc "$here/labels/pbe0.extxyz.xz" > known-pbe0.extxyz
[ -d good ] || python "$here/good_frames.py" good "$jobs" train.extxyz test.extxyz known-pbe0.extxyz
for part in good/part??.extxyz; do
  aptnn-md label --engine "$level" --data "$part" --out "${part%.extxyz}.labelled.extxyz"
  python "$here/compact.py" "${part%.extxyz}.labelled.extxyz" "${part%.extxyz}.compact.extxyz"
done
for role in train test; do
  python "$here/roles.py" $role good-$role.extxyz known-pbe0.extxyz good/part??.compact.extxyz
done
cat good-train.extxyz good-test.extxyz > good-all.extxyz
for set in train all; do # the model that is judged, and the one that has seen all labels
  train tuned-$set.pt --config "$here/tune.toml" --data good-$set.extxyz --start-from organic-gfn2.pt \
    --committee 3
done

# intensities of bands of held-out molecules, by the model and by labels
[ -s minima.extxyz ] || python "$here/bands.py" minima minima.extxyz
aptnn-md label --engine "$level" --data minima.extxyz --out minima.labelled.extxyz
python "$here/bands.py" compare tuned-train.pt minima.labelled.extxyz
python "$here/compact.py" minima.labelled.extxyz minima.compact.extxyz
cat good-test.extxyz minima.compact.extxyz > judged.extxyz
python "$here/card.py" tuned-all.pt organic-apt.pt judged.extxyz gfn2-train.extxyz --judged tuned-train.pt
