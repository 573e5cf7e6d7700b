"""Write the training and test files of README.md: split.py train29.extxyz train10.extxyz."""

import sys

import ase.io

IN_TRAIN10 = [20, 21, 22, 23, 24, 25, 26, 27, 17, 28]
FOLDS = [[1, 6, 11, 16, 21, 26], [3, 8, 13, 18, 23, 28]]


def write(name, frames):
    ase.io.write(name, frames, format="extxyz", columns=["symbols", "positions", "apt"])


def main(train29, train10):
    all29, published = ase.io.read(train29, ":"), ase.io.read(train10, ":")
    write("nine.extxyz", published[1:])
    write("frame0.extxyz", published[:1])
    write("independent.extxyz", [a for k, a in enumerate(all29) if k not in IN_TRAIN10])
    for number, fold in enumerate(FOLDS):
        write(f"fold{number}-train.extxyz", [a for k, a in enumerate(all29) if k not in fold])
        write(f"fold{number}-test.extxyz", [all29[k] for k in fold])


if __name__ == "__main__":
    main(*sys.argv[1:])
