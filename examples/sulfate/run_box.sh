#!/usr/bin/env bash
# Sulfate in a periodic box of water, with tensors learned from clusters cut out of it: see README.md.
# Half an hour of one core and more; labels and training continue where they were stopped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export OMP_NUM_THREADS=1 OPENMM_CPU_THREADS=${THREADS:-1}
charges=O4S=-2

# clusters of 4 Å: around the ion of each frame, and around every fifth molecule of some
[ -s frames.extxyz ] || python "$here/box.py" frames frames.extxyz --count "${FRAMES:-60}" --apart 1
[ -s other.extxyz ] || python "$here/box.py" frames other.extxyz --count 12 --apart 1 --seed 3
python "$here/box.py" shell frames.extxyz
python - <<'PYTHON'
import ase.io
for name, every in (("frames", 5), ("other", 3)):
    ase.io.write(f"some-{name}.extxyz", ase.io.read(f"{name}.extxyz", f"::{every}"))
PYTHON
label() {
    aptnn-md label --engine tblite --cluster "${RADIUS:-4}" --molecule-charges "$charges" \
        --property apt,pgt --jobs "${JOBS:-1}" "$@"
}
for name in frames other; do
    label --data $name.extxyz --every 65 --out ions-$name.extxyz
    label --data some-$name.extxyz --every 5 --out waters-$name.extxyz
    cat ions-$name.extxyz waters-$name.extxyz > clusters-$name.extxyz
done
resume() { [ ! -e "$1.state" ] || echo --restart; }
# shellcheck disable=SC2046
[ -s box.pt ] && [ ! -e box.pt.state ] || aptnn-md train --data clusters-frames.extxyz --target apt+pgt \
    --out box.pt --committee 2 --seed 1 --max-minutes "${MINUTES:-15}" $(resume box.pt)
aptnn-md evaluate --model box.pt --data ions-other.extxyz
aptnn-md evaluate --model box.pt --data waters-other.extxyz

if [ ! -d box.zarr ]; then # a run that was stopped begins anew
    rm -rf part.zarr
    python "$here/box.py" run part.zarr --model box.pt --ps "${PS:-10}"
    mv part.zarr box.zarr
fi
aptnn-md spectrum ir box.zarr --out ir.csv --plot ir.png --plot-parts parts.png --range 0 4200
aptnn-md spectrum raman box.zarr --out raman.csv --plot raman.png --range 0 4200
python "$here/box.py" parts ir.csv raman.csv
