"""MACE model files by mace-torch's own calculator."""

from __future__ import annotations

from pathlib import Path

from ase.calculators.calculator import Calculator

from aptnn_md.models.devices import torch_device
from aptnn_md.models.quiet_mace import reading_mace


def mace_model(path: Path, device: str, dtype: str | None) -> Calculator:
    """mace-torch's own calculator of a model file as ``mace_run_train`` writes it.

    Such a file is a pickle, and reading it runs what is in it. The form without code is that of
    :mod:`aptnn_md.potentials.stored`.

    Raises
    ------
    RunError
        mace-torch is not installed.
    InputError
        Not a MACE model, or no such device.
    """
    torch_device(device)
    with reading_mace(path, "mace.calculators") as calculators:
        found: Calculator = calculators.MACECalculator(
            model_paths=str(path), device=device, default_dtype=dtype or ""
        )
    return found
