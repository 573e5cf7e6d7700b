"""Frames to label from the beads of the path-integral run: each frame one bead, in turn.

python frames.py            # writes frames.extxyz from pimd.pos_*.extxyz
"""

from pathlib import Path

import ase.io

FIRST = 4  # frames of equilibration

beads = [ase.io.read(path, index=":") for path in sorted(Path().glob("pimd.pos_*.extxyz"))]
frames = [beads[k % len(beads)][k] for k in range(FIRST, min(map(len, beads)))]
for atoms in frames:
    atoms.calc = None
    atoms.wrap()
ase.io.write("frames.extxyz", frames, columns=["symbols", "positions"])
print(f"{len(frames)} frames of {len(frames[0])} atoms in frames.extxyz")
