"""CP2K's input for a committee of neural-network potentials: ``make_input.py DIRECTORY``.

Each member is a subdirectory with ``input.nn``, ``scaling.data`` and ``weights.*.data``.
"""

import sys
from pathlib import Path

import ase.io

from aptnn_md.bundled import bundled_path

members = sorted(path.parent for path in Path(sys.argv[1]).resolve().glob("*/input.nn"))
if not members:
    sys.exit(f"{sys.argv[1]}: found no subdirectory with input.nn")

atoms = ase.io.read(bundled_path("water64.extxyz"))
ase.io.write("start.xyz", atoms, format="extxyz", columns=["symbols", "positions"])

models = "\n".join(f"    &MODEL\n      WEIGHTS {path}/weights\n    &END MODEL" for path in members)
cell = "\n".join(
    f"      {name} {x:.10f} {y:.10f} {z:.10f}"
    for name, (x, y, z) in zip("ABC", atoms.cell, strict=True)
)
coordinates = "\n".join(
    f"      {symbol} {x:.10f} {y:.10f} {z:.10f}"
    for symbol, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
)
Path("cp2k.inp").write_text(f"""&GLOBAL
  PROJECT water
  RUN_TYPE DRIVER
  PRINT_LEVEL LOW
&END GLOBAL
&MOTION
  &DRIVER
    UNIX
    HOST aptnn_md_cp2k
  &END DRIVER
&END MOTION
&FORCE_EVAL
  METHOD NNP
  &NNP
    NNP_INPUT_FILE_NAME {members[0]}/input.nn
    SCALE_FILE_NAME {members[0]}/scaling.data
{models}
  &END NNP
  &SUBSYS
    &CELL
{cell}
    &END CELL
    &COORD
{coordinates}
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
""")
print(f"{len(members)} members")
