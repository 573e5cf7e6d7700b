"""How much the estimators of the dipole rate differ along a path-integral run."""

from __future__ import annotations

import sys

import numpy as np

from aptnn_md.stream import StreamReader


def main(path: str) -> None:
    stream = StreamReader(path)
    header = stream.header
    print(f"{header.ensemble}; {stream.n_frames} frames, {stream.spacing:g} fs apart")
    # the first frames are of beads that lie on one point, as i-PI sets them up from one structure
    start = stream.n_frames // 2
    rates = {name: stream.dipole_rate(name)[start:].sum(axis=1) for name in header.estimators}
    reference = np.sqrt((rates["bead"] ** 2).sum(axis=1).mean())
    print(f"rms |Ṁ| of 'bead' in the second half: {reference:.4f} e Å/fs")
    for name, rate in rates.items():
        ratio = np.sqrt((rate**2).sum(axis=1).mean()) / reference
        difference = np.sqrt(((rate - rates["bead"]) ** 2).sum(axis=1).mean()) / reference
        print(f"{name:16s} rms relative to 'bead' {ratio:.3f}, rms difference {difference:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
