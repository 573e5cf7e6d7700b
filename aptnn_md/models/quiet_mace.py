"""mace-torch, imported without its chatter and without lasting settings."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from aptnn_md.errors import InputError, RunError, exception_text


@contextlib.contextmanager
def quiet_mace() -> Iterator[None]:
    """Import or load something of mace-torch without its chatter and its lasting settings.

    mace-torch 0.3 prints about optional accelerators, logs through the root logger and, when its
    calculators are imported, lets ``torch.load`` run code for the whole process.
    """
    import torch

    import aptnn_md.models.e3nn_compat  # noqa: F401  (mace imports e3nn)

    setting = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before, dtype = os.environ.get(setting), torch.get_default_dtype()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            os.environ[setting] = "1"
            yield
    finally:
        logging.disable(disabled)
        torch.set_default_dtype(dtype)
        if before is None:
            os.environ.pop(setting, None)
        else:
            os.environ[setting] = before


@contextlib.contextmanager
def reading_mace(path: Path, module: str) -> Iterator[ModuleType]:
    """A module of mace-torch to read a file with, as :func:`quiet_mace`; errors are in words.

    Parameters
    ----------
    path : of the file, for messages
    module : full name

    Raises
    ------
    RunError
        mace-torch is not installed.
    InputError
        Whatever the pickle in a wrong file makes happen.
    """
    with quiet_mace():
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            raise RunError(
                f'{path}: MACE models need mace-torch: pip install "aptnn_md[mace]" ({error})'
            ) from error
        try:
            yield found
        except Exception as error:
            raise InputError(path, "file", exception_text(error), "a MACE model") from error
