"""Makes fluoromethanol_pyscf.json: frequencies and infrared intensities by PySCF.

An independent code for the tests of normal modes: RHF/6-31G of gauche CH2F-OH, which has no
symmetry. PySCF's analytic Hessian and the module ``infrared`` of its properties give the numbers::

    pip install pyscf==2.14.0 pyscf-properties-sidereus==0.1.1
    python fluoromethanol_pyscf.py
"""

import json
from pathlib import Path

import numpy as np
from pyscf import gto, scf
from pyscf.data.nist import BOHR
from scipy.optimize import minimize

START = """
C  0.00  0.00  0.00
O  1.38  0.05  0.10
F -0.55  1.30 -0.05
H -0.40 -0.45  0.92
H -0.30 -0.55 -0.88
H  1.75  0.60 -0.60
"""


def relaxed():
    """Molecule at its energy minimum."""
    mol = gto.M(atom=START, basis="6-31G", verbose=0)
    scan = scf.RHF(mol).set(conv_tol=1e-12).nuc_grad_method().as_scanner()

    def energy_gradient(coordinates):
        energy, gradient = scan(mol.set_geom_(coordinates.reshape(-1, 3), unit="Bohr"))
        return energy, gradient.ravel()

    found = minimize(
        energy_gradient, mol.atom_coords().ravel(), jac=True, method="BFGS", options={"gtol": 2e-6}
    )
    return mol.set_geom_(found.x.reshape(-1, 3), unit="Bohr"), float(np.abs(found.jac).max())


def main():
    """Run and write."""
    from pyscf.prop.infrared.rhf import Infrared

    mol, gradient = relaxed()
    infrared = Infrared(scf.RHF(mol).set(conv_tol=1e-12).run())
    infrared.kernel()
    infrared.verbose = 4
    infrared.summary()
    table = {
        "source": "PySCF 2.14.0, pyscf-properties-sidereus 0.1.1, RHF/6-31G, bohr and hartree",
        "largest_gradient": gradient,
        "symbols": [mol.atom_pure_symbol(i) for i in range(mol.natm)],
        "masses_amu": mol.atom_mass_list(isotope_avg=True).tolist(),
        "bohr_in_angstrom": BOHR,
        "positions": mol.atom_coords().tolist(),
        "hessian[i,j,x,y]": infrared.mf_hess.de.tolist(),
        "dipole_derivative[i,displacement,dipole]": infrared.de.tolist(),
        "wavenumber": np.asarray(infrared.vib_dict["freq_wavenumber"]).real.tolist(),
        "km_per_mol": infrared.ir_inten.tolist(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
