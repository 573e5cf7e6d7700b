#!/usr/bin/env bash
# Frames, labels and a model: see README.md. Every step resumes where it was interrupted.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
frames=${FRAMES:-5000} test_frames=${TEST_FRAMES:-400} jobs=${JOBS:-2}
more=${MORE:-1890} more_test=${MORE_TEST:-120}
largest=${LARGEST:-32} device=${DEVICE:-cpu}
level=${LEVEL:-'pyscf xc=pbe0 basis=def2-svpd density_fit=true grid=1 grid_response=false conv_tol=1e-9 conv_tol_grad=1e-6'}
export OMP_NUM_THREADS=1

# frames, and GFN2-xTB labels of them and of the dynamics that continues them, beside those in labels/
[ -s train.extxyz ] || python "$here/frames.py" train.extxyz --count "$frames" --largest "$largest"
[ -s test.extxyz ] || python "$here/frames.py" test.extxyz --test --count "$test_frames" --largest "$largest"
# the second list of species: functional groups
[ -s more-train.extxyz ] || python "$here/frames.py" more-train.extxyz --first 100000 --count "$more"
[ -s more-test.extxyz ] || python "$here/frames.py" more-test.extxyz --first 100000 --count "$more_test" --test
for set in train test more-train more-test; do
  [ -s known-$set.extxyz ] || xz -dc "$here/labels/gfn2-$set.extxyz.xz" > known-$set.extxyz
  for ((k = 0; k < jobs; k++)); do
    python "$here/cheap_labels.py" $set.extxyz $set-$k.cheap.extxyz --first $k --every "$jobs" \
      --done known-$set.extxyz &
  done
  wait
  cat known-$set.extxyz $(ls $set-?.cheap.extxyz 2> /dev/null) > gfn2-$set.extxyz
done
cat gfn2-train.extxyz gfn2-more-train.extxyz > gfn2-both.extxyz
train() { # OUT, options: a model that is there is kept, a training that was stopped is resumed
  [ -s "$1" ] && [ ! -e "$1.state" ] && return
  local restart=()
  [ -e "$1.state" ] && restart=(--restart)
  aptnn-md train --out "$@" --device "$device" "${restart[@]}"
}
for seed in 0 1 2; do
  train gfn2-$seed.pt --config "$here/pretrain.toml" --seed $seed \
    --data gfn2-both.extxyz --valid gfn2-test.extxyz
done
python "$here/joined.py" organic-gfn2.pt gfn2-?.pt
for set in test more-test; do
  python "$here/errors.py" organic-gfn2.pt gfn2-$set.extxyz --device "$device"
done

# good labels of a few, and the same networks fine-tuned on them
[ -s known-pbe0.extxyz ] || xz -dc "$here/labels/pbe0.extxyz.xz" > known-pbe0.extxyz
[ -d good ] || python "$here/good_frames.py" good "$jobs" train.extxyz test.extxyz known-pbe0.extxyz
known=(known-pbe0.extxyz good/part0?.extxyz)
[ -s good/part97.extxyz ] || # and one frame of each of the more ordinary small molecules
  python "$here/small_frames.py" good/part97.extxyz --labelled "${known[@]}" --largest 190 \
    --kinds monomer sulfur-vi heterocycle ion
known+=(good/part97.extxyz)
[ -s good/part98.extxyz ] || # and of those about which the bundled networks disagree most
  python "$here/uncertain_frames.py" good/part98.extxyz --labelled "${known[@]}"
known+=(good/part98.extxyz)
[ -s good/part99.extxyz ] || # and one frame of each small species of both lists
  python "$here/small_frames.py" good/part99.extxyz --labelled "${known[@]}"
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

# the learning curve: fewer labels of the same
python "$here/curve.py" split good-train.extxyz 25 50 100
cp tuned-train.pt curve-"$(grep -c smiles= good-train.extxyz)".pt
for part in curve-*.extxyz; do
  train "${part%.extxyz}.pt" --config "$here/tune.toml" --data "$part" --start-from organic-gfn2.pt \
    --committee 3
done
for model in curve-*.pt; do
  python "$here/errors.py" "$model" good-test.extxyz --json "${model%.pt}.json" --device "$device"
done
python "$here/curve.py" print curve-*.json --plot curve.png

# intensities of bands of held-out molecules, by the model and by labels
[ -s minima.extxyz ] || python "$here/bands.py" minima minima.extxyz
aptnn-md label --engine "$level" --data minima.extxyz --out minima.labelled.extxyz
python "$here/bands.py" compare tuned-train.pt minima.labelled.extxyz
python "$here/compact.py" minima.labelled.extxyz minima.compact.extxyz
cat good-test.extxyz minima.compact.extxyz > judged.extxyz
python "$here/card.py" tuned-all.pt organic-apt.pt judged.extxyz gfn2-train.extxyz --judged tuned-train.pt
