"""Write the bundled box of 64 H2O as a LAMMPS data file of flexible SPC water (SPC/Fw)."""

import sys

import ase.io

from aptnn_md.bundled import bundled_path

atoms = ase.io.read(bundled_path("water64.extxyz"))
# molecules in the order O, H, H, in one piece
oxygens = [k for k, number in enumerate(atoms.numbers) if number == 8]
hydrogens = [k for k, number in enumerate(atoms.numbers) if number == 1]
lines = []
for molecule, oxygen in enumerate(oxygens, 1):
    distances = atoms.get_distances(oxygen, hydrogens, mic=True)
    bonded = [hydrogens[k] for k in distances.argsort()[:2]]
    places = atoms.get_distances(oxygen, [oxygen, *bonded], mic=True, vector=True)
    places += atoms.positions[oxygen]
    for kind, charge, (x, y, z) in zip((1, 2, 2), (-0.82, 0.41, 0.41), places, strict=True):
        number = len(lines) + 1
        lines.append(f"{number} {molecule} {kind} {charge} {x:.10f} {y:.10f} {z:.10f}")
n = len(oxygens)
bonds = [f"{2 * m + k + 1} 1 {3 * m + 1} {3 * m + 2 + k}" for m in range(n) for k in (0, 1)]
angles = [f"{m + 1} 1 {3 * m + 2} {3 * m + 1} {3 * m + 3}" for m in range(n)]
edges = "\n".join(
    f"0 {length:.10f} {axis}lo {axis}hi"
    for axis, length in zip("xyz", atoms.cell.lengths(), strict=True)
)

with open(sys.argv[1], "w") as file:
    file.write(
        f"""flexible SPC water

{3 * n} atoms
{2 * n} bonds
{n} angles
2 atom types
1 bond types
1 angle types
{edges}

Masses

1 15.999
2 1.008

Atoms # full

"""
        + "\n".join(lines)
        + "\n\nBonds\n\n"
        + "\n".join(bonds)
        + "\n\nAngles\n\n"
        + "\n".join(angles)
        + "\n"
    )
