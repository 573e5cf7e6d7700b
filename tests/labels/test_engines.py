"""Labels by the electronic-structure programs that are installed."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from helpers.engine_labels import engine_labels

from aptnn_md.atomic_units import BOHR, DEBYE, FIELD, FORCE
from aptnn_md.errors import InputError, RunError
from aptnn_md.labels.checks import figures
from aptnn_md.labels.engines.cp2k import read_dipole, read_forces
from aptnn_md.labels.engines.cp2k_input import make_input, read_template
from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.labels.job import LabelJob, run_labels
from aptnn_md.labels.labelled_file import FrameToLabel
from aptnn_md.labels.points import PointFailure
from aptnn_md.testing import LabelTolerances, check_label_engine

# no symmetry at all, so that every component of every tensor is one of its own
WATER = Atoms("OHH", positions=[[0, 0, 0], [0.98, 0.10, 0.05], [-0.30, 0.91, 0.12]])
HYPOCHLOROUS_ACID = Atoms("OHCl", positions=[[0, 0, 0], [0.94, 0.21, 0.13], [-0.55, 1.55, 0.2]])
HARTREE_FOCK = 'pyscf {"xc": "hf", "basis": "6-31g"}'

TEMPLATE = """
&FORCE_EVAL
 METHOD Quickstep
 &DFT
  BASIS_SET_FILE_NAME GTH_BASIS_SETS   ! as installed
  POTENTIAL_FILE_NAME GTH_POTENTIALS
  &MGRID
   CUTOFF 280
  &END
  &SCF
   EPS_SCF 1e-7
   SCF_GUESS ATOMIC
   MAX_SCF 60
   &OT
    PRECONDITIONER FULL_SINGLE_INVERSE
    MINIMIZER DIIS
   &END
  &END
  &XC
   &XC_FUNCTIONAL PADE
   &END
  &END
 &END
 &SUBSYS
  &CELL
   ABC 9 9 9
  &END
  &KIND O
   BASIS_SET DZVP-GTH
   POTENTIAL GTH-PADE-q6
  &END
  &KIND H
   BASIS_SET DZVP-GTH
   POTENTIAL GTH-PADE-q1
  &END
 &END
&END
"""


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tblite accuracy=abc", "engine tblite: accuracy: found 'abc', expected a number"),
        ("tblite method=1", "method: found 1, expected text"),
        ("pyscf grid=2.5", "grid: found 2.5, expected a whole number"),
        ("pyscf grid=true", "grid: found True, expected a whole number"),
        ("pyscf density_fit=1", "density_fit: found 1, expected true or false"),
    ],
)
def test_settings_of_a_wrong_type_are_found_before_any_point(spec, words):
    pytest.importorskip(spec.split()[0])
    with pytest.raises(InputError, match=words):
        load_engine(spec)


@pytest.mark.parametrize("name", ["tblite", "pyscf"])
def test_a_multiplicity_that_is_not_the_engines(name):
    pytest.importorskip(name)
    oxygen = Atoms("O2", [[0, 0, 0], [0, 0, 1.21]], info={"multiplicity": 3})
    with pytest.raises(InputError, match="multiplicity: found 3, expected 1, as the engine has 0"):
        load_engine(name).check(oxygen, 0.0)
    load_engine(f"{name} unpaired=2").check(oxygen, 0.0)


def test_a_calculator_that_takes_initial_charges_for_the_charge():
    """tblite's own: without a charge it computes for their sum."""
    pytest.importorskip("tblite")
    engine = load_engine("tblite.ase:TBLite method=GFN2-xTB verbosity=0")
    ion = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})
    with pytest.raises(InputError, match=r"charge: found -1, and 0 in the calculator tblite\.ase"):
        engine.check(ion, -1.0)
    ion.set_initial_charges([-1.0, 0.0])
    engine.check(ion, -1.0)
    load_engine("tblite.ase:TBLite method=GFN2-xTB charge=-1 verbosity=0").check(ion, -1.0)


def test_conventions_of_tblite():
    pytest.importorskip("tblite")
    check_label_engine(load_engine("tblite"), HYPOCHLOROUS_ACID, atom=1)
    hydroxide = Atoms("OH", positions=[[0, 0, 0], [0.70, 0.55, 0.35]])
    check_label_engine(load_engine("tblite"), hydroxide, charge=-1.0)


def test_conventions_of_pyscf():
    pytest.importorskip("pyscf")
    check_label_engine(load_engine(HARTREE_FOCK), WATER, atom=2)


def test_elements_whose_basis_is_made_for_a_pseudopotential_get_it(tmp_path):
    """Iodine of def2-svp has 25 electrons, and no sum rule tells where it has 53."""
    pytest.importorskip("pyscf")
    from pyscf import gto, scf

    iodide = Atoms("IH", positions=[[0.1, 0.2, 0.3], [0.1, 0.2, 1.9]])
    spec = 'pyscf {"xc": "hf", "basis": "def2-svp"}'
    labels = engine_labels(tmp_path, spec, iodide, "field")

    def dipole(shift):
        moved = iodide.positions + np.array([[0, 0, 0], [0, 0, shift]])
        atoms = list(zip(iodide.symbols, moved, strict=True))
        molecule = gto.M(atom=atoms, basis="def2-svp", ecp={"I": "def2-svp"}, verbose=0)
        assert molecule.nelectron == 26
        method = scf.RHF(molecule)
        method.conv_tol = 1e-12
        method.kernel()
        return method.dip_moment(unit="Debye", verbose=0) / 4.803204713

    expected = (dipole(0.005) - dipole(-0.005)) / 0.01
    np.testing.assert_allclose(labels.tensors["apt"][1, :, 2], expected, atol=1e-4)
    # points of structures without such elements stay valid, others are calculated anew
    engine = load_engine(spec)
    assert engine.identity_of(WATER) == {}
    assert engine.identity_of(iodide) == {"ecp": ["I"]}


def test_a_calculator_in_a_file_that_changed_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "my_calculator.py"
    text = "from helpers.toy_molecules import Potential\n\ndef make():\n    return Potential()\n"
    source.write_text(text)
    before = load_engine("my_calculator:make").identity
    assert load_engine("my_calculator:make").identity == before
    source.write_text(text + "# other numbers\n")
    assert load_engine("my_calculator:make").identity != before


def label(tmp_path, spec, atoms, kind, *args, **settings):
    """Labels and their figures."""
    labels = engine_labels(tmp_path, spec, atoms, kind, *args, **settings)
    return labels, figures(labels, atoms, 0.0)


def antisymmetric(apt):
    return np.abs(apt - apt.transpose(0, 2, 1)).max()


@pytest.mark.parametrize(
    ("atoms", "method"),
    [(WATER, "GFN2-xTB"), (WATER, "GFN1-xTB"), (HYPOCHLOROUS_ACID, "GFN2-xTB")],
    ids=["water-GFN2", "water-GFN1", "HOCl-GFN2"],
)
def test_tblite_field_equals_space(tmp_path, atoms, method):
    pytest.importorskip("tblite")
    spec = f'tblite {{"method": "{method}"}}'
    by_field, found = label(tmp_path, spec, atoms, "field", ("apt", "pgt"), linearity=True)
    by_space, _ = label(tmp_path, spec, atoms, "space", ("apt", "pgt"))
    assert antisymmetric(by_field.tensors["apt"]) > 0.03
    assert np.abs(by_field.tensors["apt"] - by_space.tensors["apt"]).max() < 1e-4
    largest = np.abs(by_field.tensors["pgt"]).max()
    assert (
        np.abs(by_field.tensors["pgt"] - by_field.tensors["pgt"].transpose(0, 1, 3, 2)).max()
        > 0.1 * largest
    )
    assert np.abs(by_field.tensors["pgt"] - by_space.tensors["pgt"]).max() < 1e-3
    assert found["pgt_linearity"] < 3e-3  # at half the field the noise is four times larger
    assert found["rotational_sum"] < 1e-3
    assert found["pgt_rotational_sum"] < 1e-3
    assert found["acoustic_sum"] < 1e-6
    assert found["asymmetry"] < 1e-5


def test_tblite_scf_that_does_not_converge_costs_one_frame(tmp_path):
    pytest.importorskip("tblite")
    # so few cycles are enough for a molecule near equilibrium, not for one torn apart
    torn = WATER.copy()
    torn.positions[1] *= 5.0
    frames = [FrameToLabel(atoms, np.ones(3, bool)) for atoms in (WATER, torn)]
    engine = 'tblite {"max_iterations": 14}'
    summary = run_labels(LabelJob(frames, engine, tmp_path / "out.extxyz"))
    assert list(summary.failures) == [1]
    assert "not converged" in summary.failures[1]


def analytic_polar_tensors(method):
    """∂M/∂r (n_atoms, 3, 3) from the response of the orbitals to the nuclei."""
    molecule = method.mol
    hessian = method.Hessian()
    first_order = hessian.make_h1(method.mo_coeff, method.mo_occ)
    orbitals, _ = hessian.solve_mo1(
        method.mo_energy, method.mo_coeff, method.mo_occ, first_order, verbose=0
    )
    occupied = method.mo_coeff[:, method.mo_occ > 0]
    density = method.make_rdm1()
    dipoles = molecule.intor("int1e_r")
    moved = molecule.intor("int1e_irp").reshape(3, 3, molecule.nao, molecule.nao)
    tensors = np.zeros((molecule.natm, 3, 3))
    for atom, (_, _, first, last) in enumerate(molecule.aoslice_by_atom()):
        response = np.einsum("cpi,qi->cpq", orbitals[atom], occupied)
        tensors[atom] -= 4.0 * np.einsum("cpq,apq->ac", response, dipoles)
        basis = np.einsum("ij,acij->ac", density[:, first:last], moved[:, :, :, first:last])
        tensors[atom] += 2.0 * basis + molecule.atom_charge(atom) * np.eye(3)
    return tensors


def test_pyscf_field_equals_analytic_derivatives(tmp_path):
    pytest.importorskip("pyscf")
    labels, found = label(tmp_path, HARTREE_FOCK, WATER, "field", ("apt", "pgt"))
    method = load_engine(HARTREE_FOCK).method(WATER, 0.0)
    method.kernel()
    analytic = analytic_polar_tensors(method)
    assert antisymmetric(analytic) > 0.03
    np.testing.assert_allclose(labels.tensors["apt"], analytic, atol=3e-5)
    assert np.abs(labels.dipole - method.dip_moment(unit="AU", verbose=0) * BOHR).max() < 1e-7
    assert found["acoustic_sum"] < 1e-8
    assert found["rotational_sum"] < 1e-3
    assert found["pgt_rotational_sum"] < 1e-3
    assert found["asymmetry"] < 1e-4


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("settings", "close"),
    [("", 3e-5), (" grid_response=false", 2e-3)],
    ids=["exact", "fixed grid"],
)
def test_pyscf_density_functional_equals_analytic_derivatives(tmp_path, settings, close):
    """PySCF's response of the orbitals knows no motion of the grid: it is on a fine one."""
    pytest.importorskip("pyscf")
    spec = f"pyscf xc=pbe0 basis=sto-3g grid=3{settings}"
    labels, found = label(tmp_path, spec, WATER, "field")
    method = load_engine("pyscf xc=pbe0 basis=sto-3g grid=6").method(WATER, 0.0)
    method.kernel()
    analytic = analytic_polar_tensors(method)
    assert antisymmetric(analytic) > 0.02
    analytic -= analytic.mean(axis=0)
    apt = labels.tensors["apt"] - labels.tensors["apt"].mean(axis=0)
    np.testing.assert_allclose(apt, analytic, atol=close)
    # without the grid's response the sum is that of a fixed grid, far below the limit of labels
    assert (found["acoustic_sum"] < 1e-8) == (not settings)
    assert found["acoustic_sum"] < 2e-3


@pytest.mark.thorough
def test_pyscf_points_of_a_frame_share_integrals_and_start_from_each_other(tmp_path):
    """All equal those that are calculated alone, each by an engine of its own."""
    pytest.importorskip("pyscf")
    spec = "pyscf xc=pbe basis=6-31g grid=0 density_fit=true conv_tol_grad=1e-7"
    engine, zero = load_engine(spec), np.zeros(3)
    fields = [0.05 * np.array(v) for v in ([1, 0, 0], [-1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, -1])]
    cycles = []

    def calculate(engine, atoms, field, keep):
        return engine.calculate(
            atoms, field, charge=0.0, with_forces=True, scratch=tmp_path, keep=keep
        )

    calculate(engine, WATER, zero, True)
    for field in fields:
        together = calculate(engine, WATER, field, False)
        cycles.append(engine._frame.method.cycles)
        alone = calculate(load_engine(spec), WATER, field, False)
        np.testing.assert_allclose(together.forces, alone.forces, atol=2e-5)
        np.testing.assert_allclose(together.dipole, alone.dipole, atol=2e-6)
        assert together.energy == pytest.approx(alone.energy, abs=1e-7)
    assert cycles[1] < cycles[0]  # from the opposite field
    assert cycles[3] < cycles[0]  # from those of both its components
    # another structure in between, and another charge, share nothing
    moved = WATER.copy()
    moved.positions[1] += 0.05
    other = calculate(engine, moved, zero, True)
    assert other.energy != pytest.approx(alone.energy, abs=1e-3)
    again = calculate(load_engine(spec), moved, zero, True)
    assert other.to_json() == again.to_json() or np.allclose(other.forces, again.forces, atol=1e-6)


@pytest.mark.parametrize("max_memory", [4000.0, 1e-3])
def test_basis_functions_that_are_kept_are_those_of_pyscf(max_memory):
    """In whatever order their derivatives are asked for, with and without room to keep them."""
    pytest.importorskip("pyscf")
    from aptnn_md.labels.engines.pyscf import _KeptOrbitals

    molecule = load_engine("pyscf basis=def2-svp").method(HYPOCHLOROUS_ACID, 0.0).mol
    places = np.random.default_rng(3).normal(size=(2, 40, 3))
    kept, plain = _KeptOrbitals(max_memory), _KeptOrbitals.__base__()
    buffer = np.empty(10 * 40 * molecule.nao)
    for turn in range(2):
        for coordinates in places:
            for deriv in (1, 0, 2, 1, 0):
                found = kept.eval_ao(molecule, coordinates, deriv=deriv, out=buffer)
                expected = plain.eval_ao(molecule, coordinates, deriv=deriv)
                np.testing.assert_allclose(
                    found, expected, rtol=1e-10, atol=1e-15, err_msg=f"turn {turn}, order {deriv}"
                )
    assert bool(kept._kept) == (max_memory > 1.0)


def test_pyscf_point_without_field_is_the_same_after_a_kill(tmp_path):
    lib = pytest.importorskip("pyscf").lib
    engine = load_engine('pyscf {"xc": "hf", "basis": "sto-3g"}')

    def calculate():
        with lib.with_omp_threads(1):  # several threads add in any order
            return engine.calculate(
                WATER, np.zeros(3), charge=0.0, with_forces=True, scratch=tmp_path, keep=True
            )

    first, again = calculate(), calculate()
    assert (tmp_path / "zero.npy").is_file()
    assert first.to_json() == again.to_json()
    engine.clean(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("settings", ['"xc": "pbe"', '"xc": "pbe0", "density_fit": true'])
def test_pyscf_field_equals_space(tmp_path, settings):
    pytest.importorskip("pyscf")
    spec = f'pyscf {{"basis": "6-31g", {settings}}}'
    chosen = np.array([False, True, False])
    properties = ("apt", "pgt")
    by_field, found = label(tmp_path, spec, WATER, "field", properties, linearity=True)
    by_space, _ = label(tmp_path, spec, WATER, "space", properties, chosen, step=0.002)
    assert np.abs(by_field.tensors["apt"] - by_space.tensors["apt"])[1].max() < 1e-4
    assert (
        np.abs(by_field.tensors["pgt"] - by_space.tensors["pgt"])[1].max()
        < 1e-3 + found["pgt_linearity"]
    )
    assert found["rotational_sum"] < 1e-3


def test_a_setting_that_is_missing_is_named():
    with pytest.raises(InputError, match="engine cp2k: template: found nothing, expected --engine"):
        load_engine("cp2k")


@pytest.mark.parametrize("spec", ["tblite", HARTREE_FOCK, "cp2k"])
def test_a_part_of_an_elementary_charge_is_refused(tmp_path, spec):
    """It would be computed as another charge."""
    atoms = WATER.copy()
    if spec == "cp2k":
        (tmp_path / "template.inp").write_text(TEMPLATE)
        spec = f'cp2k {{"template": "{tmp_path}/template.inp", "command": "true"}}'
        atoms.set_cell([9, 9, 9])
        atoms.pbc = True
    else:
        pytest.importorskip(spec.split()[0])
    engine = load_engine(spec)
    for charge in (0.0, -1.0, 2.0 + 1e-9):
        engine.check(atoms, charge)
    with pytest.raises(InputError, match=r"charge: found 0\.5 e, expected a whole number"):
        engine.check(atoms, 0.5)


def test_points_of_cp2k_are_of_one_version_and_of_the_files_that_the_template_names(tmp_path):
    template, program = tmp_path / "template.inp", tmp_path / "my-cp2k"
    template.write_text(
        TEMPLATE.replace("GTH_BASIS_SETS   !", '"my basis"  !').replace(
            "GTH_POTENTIALS", "potentials # own ones"
        )
    )

    def identity(version, **files):
        # it is asked in a place where it may leave, or remove, what it likes
        program.write_text(
            f"#!/bin/sh\necho ' CP2K version {version}'; echo ' libint 2.6'\nrm -r \"$PWD\"\n"
        )
        program.chmod(0o755)
        for name, text in files.items():
            (tmp_path / name.replace("_", " ")).write_text(text)
        return load_engine(f'cp2k {{"template": "{template}", "command": "{program}"}}').identity

    found = [
        identity(2024, my_basis="H"),
        identity(2025),
        identity(2025, my_basis="H O"),
        identity(2025, potentials="GTH"),
        identity(2025, else_where="GTH"),
    ]
    assert found[0]["program"] == "CP2K version 2024"
    assert [a == b for a, b in itertools.pairwise(found)] == [False, False, False, True]


def test_pyscf_says_that_it_did_not_converge(tmp_path):
    pytest.importorskip("pyscf")
    engine = load_engine('pyscf {"xc": "hf", "basis": "sto-3g", "max_cycle": 2}')
    with pytest.raises(PointFailure, match="SCF did not converge in 2 cycles"):
        engine.calculate(
            WATER, np.zeros(3), charge=0.0, with_forces=True, scratch=tmp_path, keep=True
        )


def test_cp2k_input_has_the_point_and_the_rest_of_the_template(tmp_path):
    (tmp_path / "basis.txt").write_text("")
    text = TEMPLATE.replace("GTH_BASIS_SETS", "basis.txt")
    atoms = WATER.copy()
    atoms.set_cell([[5.5, 0, 0], [0.5, 6, 0], [0, -0.3, 6.5]])
    field = np.array([0.003, 0, -0.004]) * FIELD
    wave_function = tmp_path / "zero.wfn"
    made = make_input(read_template(text, tmp_path), atoms, field, -1.0, True, wave_function)
    lines = [line.strip() for line in made.splitlines()]
    for line in (
        "RUN_TYPE ENERGY_FORCE",
        f"BASIS_SET_FILE_NAME {tmp_path}/basis.txt",
        "POTENTIAL_FILE_NAME GTH_POTENTIALS",
        f"WFN_RESTART_FILE_NAME {wave_function}",
        "SCF_GUESS RESTART",
        "EPS_SCF 1e-7",
        "CHARGE -1",
        "B 0.5 6 0",
        "H -0.3 0.91 0.12",
    ):
        assert line in lines
    assert "SCF_GUESS ATOMIC" not in lines
    assert "ABC 9 9 9" not in lines
    values = {line.split()[0]: line.split()[1:] for line in lines if " " in line}
    assert float(values["INTENSITY"][0]) == pytest.approx(0.005)
    direction = np.array(values["POLARISATION"], dtype=float)
    np.testing.assert_allclose(direction, [0.6, 0, -0.8], atol=1e-12)
    at_rest = make_input(read_template(text, tmp_path), atoms, np.zeros(3), 0.0, False, None)
    assert "EFIELD" not in at_rest
    assert "RUN_TYPE ENERGY\n" in at_rest


def test_cp2k_output_is_read(tmp_path):
    # as version 2023.1 writes it
    (tmp_path / "forces.txt").write_text("""
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X                    Y                    Z
      1      1      O          -0.00408406806414    -0.01554573240493    -0.00241988291680
      2      2      H           0.03908915311574    -0.01259280408509     0.00263405920741
 SUM OF ATOMIC FORCES           0.00001442142663     0.00017993749049     0.00001337080157   0.00018
""")
    (tmp_path / "dipole.txt").write_text("""
  Dipole vectors are based on the periodic (Berry phase) operator.
  [X] [   28.81922563     0.00000000     0.00000000 ] [i]
  Dipole moment [Debye]
    X=  0.10994963E+01 Y= -0.21383084E+01 Z=  0.26539079E+00   Total=     2.41902611
""")
    forces = read_forces(tmp_path / "forces.txt", 2)
    assert forces[1, 1] == pytest.approx(-0.01259280408509 * FORCE)
    dipole = read_dipole(tmp_path / "dipole.txt")
    np.testing.assert_allclose(dipole, np.array([1.0994963, -2.1383084, 0.26539079]) * DEBYE)
    with pytest.raises(PointFailure, match="forces on 2 of 3 atoms"):
        read_forces(tmp_path / "forces.txt", 3)


def test_a_cp2k_run_whose_directory_another_run_removed_is_no_failure_of_the_point(tmp_path):
    """Workers of a run that was killed may outlive it for a while; nothing is marked by them."""
    template, program = tmp_path / "water.inp", tmp_path / "cp2k"
    (tmp_path / "GTH_BASIS_SETS").write_text("")
    template.write_text(TEMPLATE)
    program.write_text('#!/bin/sh\nrm -rf "$PWD"\nexit 1\n')
    program.chmod(0o755)
    atoms = WATER.copy()
    atoms.set_cell([9.0, 9.0, 9.0])
    atoms.pbc = True
    engine = load_engine(f'cp2k {{"template": "{template}", "command": "{program}"}}')
    with pytest.raises(OSError, match="removed while CP2K ran"):
        engine.calculate(
            atoms, np.zeros(3), charge=0.0, with_forces=True, scratch=tmp_path, keep=True
        )


def test_cp2k_program_that_is_not_there(tmp_path):
    template = tmp_path / "water.inp"
    template.write_text(TEMPLATE)
    with pytest.raises(RunError, match="no program 'no-such-cp2k'"):
        load_engine(f'cp2k {{"template": "{template}", "command": "no-such-cp2k"}}')


@pytest.mark.slow
@pytest.mark.cp2k
@pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="no cp2k.psmp")
def test_cp2k_periodic_field_equals_berry_phase(tmp_path):
    template = tmp_path / "water.inp"
    template.write_text(TEMPLATE)
    atoms = WATER.copy()
    atoms.set_cell([[5.5, 0, 0], [0.5, 5.5, 0], [0, -0.3, 5.5]])
    atoms.pbc = True
    spec = f'cp2k {{"template": "{template}"}}'
    both, field = ("apt", "pgt"), 5e-3 * FIELD
    by_field, found = label(tmp_path, spec, atoms, "field", both, field=field)
    chosen = np.array([False, True, False])
    by_space, _ = label(tmp_path, spec, atoms, "space", both, chosen=chosen, field=field, step=0.02)
    weaker, _ = label(tmp_path, spec, atoms, "field", both, field=0.6 * field)
    assert antisymmetric(by_field.tensors["apt"]) > 0.03
    assert np.abs(by_field.tensors["apt"] - by_space.tensors["apt"])[1].max() < 2e-3
    # what the PGT's noise is, as measured: 0.0012 Å² at most, in both
    assert np.abs(by_field.tensors["pgt"] - weaker.tensors["pgt"]).max() < 3e-3
    assert np.abs(by_field.tensors["pgt"] - by_space.tensors["pgt"])[1].max() < 3e-3
    assert np.abs(by_field.tensors["pgt"]).max() > 1.0
    assert found["pgt_acoustic_sum"] < 0.01
    assert found["asymmetry"] < 0.01
    assert not list(Path(tmp_path).glob("*.wfn"))
    # forces feel the grid of the density, which does not move with the atoms: 0.005 eV/Å here
    noise = LabelTolerances(force=1e-2, apt=5e-3)
    check_label_engine(load_engine(spec), atoms, atom=1, tolerances=noise)
    template.write_text(TEMPLATE.replace("MAX_SCF 60", "MAX_SCF 3"))
    engine = load_engine(spec)
    with pytest.raises(PointFailure, match="SCF did not converge"):
        engine.calculate(
            atoms, np.zeros(3), charge=0.0, with_forces=True, scratch=tmp_path, keep=True
        )
