"""MACE model files as mace-torch writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase.calculators.calculator import Calculator

from aptnn_md.models.devices import torch_device
from aptnn_md.models.quiet_mace import reading_mace
from aptnn_md.potentials.dense_mace import DenseMACE
from aptnn_md.potentials.mace import MACEPotential


def mace_model(path: Path, device: str, dtype: str | None) -> Calculator:
    """The potential of a model file as ``mace_run_train`` writes it.

    Such a file is a pickle, and reading it runs what is in it. The form without code is that of
    :mod:`aptnn_md.potentials.stored`.

    Returns
    -------
    A :class:`~aptnn_md.potentials.mace.MACEPotential` where the network can be evaluated on tables
    of neighbours, which is several times as fast and takes the beads of a path integral in one
    call; else mace-torch's own calculator.

    Raises
    ------
    RunError
        mace-torch is not installed.
    InputError
        Not a MACE model, or no such device.
    """
    torch_device(device)
    with reading_mace(path, "mace.calculators") as calculators:
        theirs: Any = calculators.MACECalculator(
            model_paths=str(path), device=device, default_dtype=dtype or ""
        )
    network = theirs.models[0]
    numbers = [int(z) for z in network.atomic_numbers]
    if numbers != sorted(numbers) or DenseMACE.of(network) is None:
        found: Calculator = theirs
        return found
    precision = str(next(network.parameters()).dtype).removeprefix("torch.")
    return MACEPotential(network, name=path.stem, device=device, dtype=precision)
