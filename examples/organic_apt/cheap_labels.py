"""GFN2-xTB labels of frames and of the GFN2-xTB dynamics that continues them.

    python cheap_labels.py FRAMES.extxyz OUT.extxyz [--more 1] [--first 0] [--every 1] [--seconds S]
                                  [--done LABELLED.extxyz]

Frames are labelled in portions, each written before the next one is begun, until all are done or
the time is over. With --first and --every several processes share the frames; OUT is continued
where an earlier run stopped, and frames of the file --done are left out.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from compact import text_of
from xtb_motion import continued

from aptnn_md.labels import FrameToLabel, LabelJob, run_labels

PORTION = 20


def main() -> None:
    """Label portion after portion."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--done", type=Path)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    starts = ase.io.read(arguments.frames, ":")[arguments.first :: arguments.every]
    done = _numbers(arguments.out) | _numbers(arguments.done)
    starts = [atoms for atoms in starts if atoms.info["number"] not in done]
    typical = 0.0
    for first in range(0, len(starts), PORTION):
        began = time.monotonic()
        if began + typical > end:
            break
        frames = [
            frame
            for atoms in starts[first : first + PORTION]
            for frame in (atoms, *continued(atoms, arguments.more))
        ]
        text = "".join(map(text_of, _labelled(frames, arguments.out)))
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(text)
        typical = time.monotonic() - began


def _numbers(file: Path | None) -> set[int]:
    """Of the frames in a file, if there is one."""
    if file is None or not file.exists() or file.stat().st_size == 0:
        return set()
    return {atoms.info["number"] for atoms in ase.io.read(file, ":")}


def _labelled(frames: list[Atoms], out: Path) -> list[Atoms]:
    """Frames with APTs; those that fail are left out."""
    portion, work = out.with_suffix(".portion.extxyz"), out.with_suffix(".work")
    to_label = [
        FrameToLabel(atoms, np.ones(len(atoms), dtype=bool), float(atoms.info["charge"]))
        for atoms in frames
    ]
    run_labels(LabelJob(to_label, "tblite", portion, work=work))
    shutil.rmtree(work)
    found = ase.io.read(portion, ":")
    portion.unlink()
    return [atoms for atoms in found if np.isfinite(atoms.arrays["apt"]).all()]


if __name__ == "__main__":
    main()
