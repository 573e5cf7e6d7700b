"""Three folds of the labelled frames, every third frame held out in turn.

python folds.py labelled.extxyz        # writes fold0-train.extxyz, fold0-test.extxyz, ...
"""

import sys

import ase.io

FOLDS = 3

frames = [f for f in ase.io.read(sys.argv[1], ":") if f.info["label_status"] == "ok"]
for fold in range(FOLDS):
    ase.io.write(f"fold{fold}-test.extxyz", frames[fold::FOLDS])
    rest = [atoms for k, atoms in enumerate(frames) if k % FOLDS != fold]
    ase.io.write(f"fold{fold}-train.extxyz", rest)
print(f"{FOLDS} folds of {len(frames)} frames")
