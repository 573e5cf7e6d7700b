"""Tensors for the intensities of ``aptnn-md spectrum normal-modes``: of files, or by a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.targets import APT, PGT, mean_of_members

if TYPE_CHECKING:
    from ase import Atoms

    from aptnn_md.arrays import FloatArray
    from aptnn_md.labels.importers.molecule import Molecule
    from aptnn_md.prediction.interface import TensorModel

DEFAULT_MODEL = "water-apt"


@dataclass(frozen=True, eq=False)
class ModeTensors:
    """What intensities come from.

    Attributes
    ----------
    apt, pgt : (n_atoms, 3, 3), e, and (n_atoms, 3, 3, 3), Å²
    members : target -> (n_members, n_atoms, *shape), of a committee, whose deviations are the
        errors to be expected
    """

    apt: FloatArray
    pgt: FloatArray | None
    members: Mapping[str, FloatArray] = field(default_factory=dict)


def model_of_modes(arguments: argparse.Namespace, molecule: Molecule | None) -> TensorModel | None:
    """The model that gives the tensors; None where a file does."""
    if arguments.apt or (molecule is not None and arguments.model is None):
        return None
    from aptnn_md.prediction.loading import as_model

    return as_model(
        arguments.model or DEFAULT_MODEL,
        device=arguments.device,
        dtype="float64",
        total_charge=arguments.total_charge,
    )


def tensors_of_modes(
    arguments: argparse.Namespace,
    atoms: Atoms,
    molecule: Molecule | None,
    model: TensorModel | None,
) -> ModeTensors:
    """APTs, and PGTs if the file or model has them; ``model`` is that of :func:`model_of_modes`."""
    from aptnn_md import normal_modes as harmonic
    from aptnn_md.normal_modes.reading import has_target

    pgt_file = arguments.pgt
    if arguments.apt:
        apt = harmonic.read_polar_tensors(arguments.apt, atoms)
        if pgt_file is None and has_target(arguments.apt, PGT):
            pgt_file = arguments.apt
        return ModeTensors(apt, _gradients(pgt_file, atoms))
    if model is None:
        assert molecule is not None
        tensors = molecule.labels.tensors
        if APT.name not in tensors:
            expected = "those of a frequency run, or --apt FILE, or --model NAME"
            raise InputError(arguments.start, "dipole derivatives", "none", expected)
        pgt = tensors.get(PGT.name) if pgt_file is None else _gradients(pgt_file, atoms)
        return ModeTensors(tensors[APT.name], pgt)
    found = _of_model(model, atoms)
    if pgt_file is None:
        return found
    members = {APT.name: found.members[APT.name]} if APT.name in found.members else {}
    return replace(found, pgt=_gradients(pgt_file, atoms), members=members)


def _of_model(model: TensorModel, atoms: Atoms) -> ModeTensors:
    """Those of a model, and of the members of a committee."""
    from aptnn_md.normal_modes.committee import widened
    from aptnn_md.prediction.watch import domain_of, watch_of

    (tensors,) = model.evaluate([atoms])
    domain, watch = domain_of(model), watch_of(model, atoms.numbers)
    if watch is not None:
        watch.largest(tensors)
    factors = {} if domain is None else domain.factors
    several = {target: found for target, found in tensors.items() if len(found) > 1}
    if several.keys() - factors.keys():
        log.warning(
            "the committee of model %s is not calibrated: its errors are the bare spread of its "
            "networks, which is usually smaller than the error",
            model.name,
        )
    members = {
        target: widened(found, factors.get(target, 1.0)) for target, found in several.items()
    }
    mean = mean_of_members(tensors)
    return ModeTensors(mean[APT.name], mean.get(PGT.name), members)


def _gradients(path: str | None, atoms: Atoms) -> FloatArray | None:
    from aptnn_md import normal_modes as harmonic

    return None if path is None else harmonic.read_polarizability_gradients(path, atoms)
