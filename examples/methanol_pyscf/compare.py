"""Harmonic intensities of two tables of ``aptnn-md spectrum normal-modes`` side by side.

python compare.py reference.csv other.csv
"""

import sys

from aptnn_md.spectra import read_table

reference, other = (read_table(path)[0] for path in sys.argv[1:3])
IR, RAMAN, RATIO = "intensity (km/mol)", "Raman activity (A^4/amu)", "depolarisation ratio"

print("wavenumber  IR (km/mol)           Raman (Å⁴/amu)        depolarisation ratio")
print("cm⁻¹         reference      other  reference      other  reference      other")
for k, wavenumber in enumerate(reference["wavenumber (cm^-1)"]):
    values = [table[name][k] for name in (IR, RAMAN, RATIO) for table in (reference, other)]
    print(f"{wavenumber:10.1f}  " + " ".join(f"{value:10.3f}" for value in values))
for name in (IR, RAMAN):
    a, b = reference[name], other[name]
    apart = 100 * abs(a - b).sum() / a.sum()
    print(f"{name}: sum {a.sum():.2f} and {b.sum():.2f}, {apart:.1f} % apart")
