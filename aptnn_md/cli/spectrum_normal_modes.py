"""``aptnn-md spectrum normal-modes``: harmonic infrared and Raman spectra."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_options
from aptnn_md.cli.mode_tensors import DEFAULT_MODEL, model_of_modes, tensors_of_modes
from aptnn_md.cli.model_options import add_charge_option
from aptnn_md.cli.settings_options import checked
from aptnn_md.errors import InputError
from aptnn_md.normal_modes.broadening import DEFAULT_LINE, SHAPES
from aptnn_md.provenance import command_line
from aptnn_md.targets import APT, PGT

if TYPE_CHECKING:
    from ase import Atoms

    from aptnn_md.arrays import FloatArray
    from aptnn_md.labels.importers.molecule import Molecule
    from aptnn_md.normal_modes import NormalModes
    from aptnn_md.prediction.interface import TensorModel

HELP = """\
Harmonic vibrations of a molecule, a cluster or a crystal at Γ: wavenumbers from a Hessian,
infrared intensities (km/mol) from polar tensors, and Raman activities (Å⁴/amu) and depolarisation
ratios from polarizability gradients if the model or the file has them. A committee of networks
also gives their errors, by those that are expected of its tensors. The Hessian comes from a file or
from differences of forces, which resume where they were interrupted when the command is repeated.
Gaussian's .fchk and ORCA's .hess of a frequency run hold structure, masses, Hessian and tensors:
given as START they need no option."""

EXAMPLE = """\
  aptnn-md spectrum normal-modes molecule.fchk
  aptnn-md spectrum normal-modes water.xyz --potential water-mace --relax --plot modes.png
  aptnn-md spectrum normal-modes POSCAR --hessian FORCE_CONSTANTS --model my.pt --out modes.csv
  aptnn-md spectrum normal-modes methanol.xyz --hessian h.npy --apt labelled.extxyz --plot m.png"""

LARGE_FORCE = 0.02
"""eV/Å: modes away from an energy minimum mean little."""

SAME_MASS = 1e-3
"""amu."""

SAME_WAVENUMBER = 1.0
"""cm⁻¹."""

SMALL_RIGID = 60.0
"""cm⁻¹ that translations and rotations may have by noise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of harmonic spectra."""
    add = parser.add_argument
    add(
        "start",
        metavar="START",
        help="structure, in any format of ASE, .fchk or .hess; of several the last one",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--potential",
        help="of the forces: as for aptnn-md md, so a MACE model file runs the code in it and "
        "NAME.json of weights does not; MACE in double precision",
    )
    source.add_argument(
        "--hessian",
        metavar="FILE",
        help="instead of forces: phonopy's FORCE_CONSTANTS, .npy (eV/Å²), .json of ASE's "
        "vibrations, .npz of this command, .fchk or .hess (default: START, if it is one of these)",
    )
    tensors = parser.add_mutually_exclusive_group()
    tensors.add_argument(
        "--model",
        help="file or bundled name (default: the tensors in START if it is .fchk or .hess, else "
        f"{DEFAULT_MODEL}); with a model that knows pgt, or with two models "
        "as in water-apt,water-pgt, Raman activities too",
    )
    tensors.add_argument(
        "--apt",
        metavar="FILE",
        help="instead of a model: any file that label --import reads, e.g. extxyz with the array "
        "apt, and pgt for Raman, or .npy",
    )
    add(
        "--pgt",
        metavar="FILE",
        help="polarizability gradients: extxyz with the array pgt, .fchk, .hess or .npy",
    )
    add_charge_option(parser)
    add("--relax", action="store_true", help="relax to the energy minimum first, at constant cell")
    add(
        "--fmax",
        type=checked(float),
        default=1e-3,
        metavar="F",
        help="largest force of the minimum, eV/Å (%(default)s)",
    )
    add(
        "--delta",
        type=checked(float),
        default=0.01,
        metavar="A",
        help="displacement, Å (%(default)s)",
    )
    add(
        "--checkpoint",
        metavar="FILE",
        help="forces so far; default: START's name with the suffix .hessian.npz, in this directory",
    )
    add("--device", default="cpu", help="where model and potential run (%(default)s)")
    spectrum_options.add_output_arguments(parser)
    add("--broadened", metavar="CSV", help="table of the broadened spectrum to write")
    add(
        "--width",
        type=checked(float),
        default=DEFAULT_LINE.width,
        metavar="CM",
        help="full width of the lines at half maximum, cm⁻¹ (%(default)s)",
    )
    add(
        "--shape",
        choices=SHAPES,
        default=DEFAULT_LINE.shape,
        help="of the lines (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Find the modes, print them, write what was asked for."""
    from aptnn_md import normal_modes as harmonic
    from aptnn_md.files import refuse_unwritable
    from aptnn_md.structure_files import read_structure
    from aptnn_md.structures import Mobility

    outputs = (arguments.out, arguments.broadened, arguments.plot)
    refuse_unwritable(*(None if path is None else Path(path) for path in outputs))
    line_shape = harmonic.LineShape(arguments.width, arguments.shape)
    molecule = harmonic.read_molecule(arguments.start)
    atoms = read_structure(arguments.start) if molecule is None else molecule.atoms
    model = model_of_modes(arguments, molecule)
    hessian = _hessian(arguments, atoms, molecule, model)
    mobility = Mobility.of(atoms)
    if not mobility.is_free:
        print(f"constraints: {mobility.summary()}")
    modes = harmonic.normal_modes(hessian, atoms.get_masses(), atoms.positions, atoms.pbc, mobility)
    volume = float(atoms.get_volume()) if atoms.pbc.all() else None
    tensors = tensors_of_modes(arguments, atoms, molecule, model)
    infrared = harmonic.infrared_modes(modes, tensors.apt, volume, tensors.members.get(APT.name))
    raman = (
        None
        if tensors.pgt is None
        else harmonic.raman_modes(modes, tensors.pgt, tensors.members.get(PGT.name))
    )
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    where = harmonic.wavenumber_grid(infrared, line_shape.width, wavenumbers)
    for line in harmonic.report_modes(infrared, raman):
        print(line)
    for note in _notes(modes):
        print(f"warning: {note}")
    own_hessian = not (arguments.potential or arguments.hessian)
    if molecule is not None and own_hessian:
        _compare_printed(arguments.start, modes, molecule)
    provenance = command_line()
    if arguments.out:
        harmonic.write_modes(arguments.out, infrared, atoms, provenance, raman)
        print(f"table: {arguments.out}")
    if arguments.broadened:
        harmonic.write_broadened(
            arguments.broadened, infrared, where, line_shape, atoms, provenance, raman
        )
        print(f"broadened spectrum: {arguments.broadened}")
    if arguments.plot:
        from aptnn_md.normal_modes.plot import draw_modes

        name = atoms.get_chemical_formula()
        draw_modes(arguments.plot, infrared, where, line_shape, name, raman)
        print(f"picture: {arguments.plot}")


def _hessian(
    arguments: argparse.Namespace,
    atoms: Atoms,
    molecule: Molecule | None,
    model: TensorModel | None,
) -> FloatArray:
    """The Hessian; ``atoms`` is moved to the positions that it belongs to. What ``model`` does not
    know is refused before it is made."""
    from aptnn_md import normal_modes as harmonic
    from aptnn_md.potentials.loading import load_potential
    from aptnn_md.prediction.interface import check_elements
    from aptnn_md.structures import total_charge

    if arguments.hessian:
        return _hessian_of_file(arguments, atoms)
    if not arguments.potential:
        if molecule is None:
            expected = "--potential, --hessian, or a START with a Hessian (.fchk, .hess)"
            raise InputError("options", "--hessian", "nothing", expected)
        return harmonic.hessian_of(arguments.start, molecule)
    atoms.calc = load_potential(arguments.potential, device=arguments.device, dtype="float64")
    total_charge(atoms, arguments.total_charge)  # refuses those that differ, before the work
    if model is not None:
        check_elements(model, atoms)
    checkpoint = Path(arguments.checkpoint or f"{Path(arguments.start).stem}.hessian.npz")
    found = harmonic.finite_difference_hessian(
        atoms,
        delta=arguments.delta,
        relax=arguments.fmax if arguments.relax else None,
        checkpoint=checkpoint,
        potential=arguments.potential,
    )
    atoms.positions = found.positions
    print(f"Hessian: {checkpoint}, asymmetry up to {found.asymmetry:.2g} eV/Å²")
    print(f"largest force: {found.largest_force:.2g} eV/Å")
    if found.largest_force > LARGE_FORCE:
        print("warning: this is not an energy minimum, so the modes mean little; --relax finds one")
    return found.matrix


def _hessian_of_file(arguments: argparse.Namespace, atoms: Atoms) -> FloatArray:
    """The Hessian of ``--hessian``; masses in that file are taken where ``atoms`` has none."""
    from aptnn_md import normal_modes as harmonic

    hessian = harmonic.read_hessian(arguments.hessian, atoms)
    binary = Path(arguments.hessian).suffix in (".npy", ".npz", ".json")
    other = None if binary else harmonic.read_molecule(arguments.hessian)
    if other is None or not other.atoms.has("masses"):
        return hessian
    masses = other.atoms.get_masses()
    if not atoms.has("masses"):
        atoms.set_masses(masses)
        print(f"masses: those of {arguments.hessian}")
    elif abs(masses - atoms.get_masses()).max() > SAME_MASS:
        print(f"warning: masses of {arguments.hessian} differ; those of {arguments.start} are used")
    return hessian


def _compare_printed(path: str, modes: NormalModes, molecule: Molecule) -> None:
    """Compare the wavenumbers with those that the program printed, if it did."""
    import numpy as np

    printed = molecule.wavenumbers
    if printed is None or len(printed) != len(modes):
        return
    difference = float(abs(np.sort(printed) - np.sort(modes.wavenumber)).max())
    print(f"wavenumbers printed in {path}: within {difference:.3f} cm⁻¹")
    if difference > SAME_WAVENUMBER:
        print("warning: that is far; are masses or units of the file not those expected?")


def _notes(modes: NormalModes) -> list[str]:
    notes = []
    if modes.imaginary:
        notes.append(f"{modes.imaginary} imaginary mode(s): this is not an energy minimum")
    rigid = float(abs(modes.rigid).max(initial=0.0))
    if rigid > SMALL_RIGID:
        notes.append(
            f"the Hessian gives rigid motions up to {rigid:.0f} cm⁻¹ before they are projected out"
        )
    return notes
