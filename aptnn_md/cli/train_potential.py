"""``aptnn-md train --target potential``: a MACE potential from frames with energies and forces."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from aptnn_md.training.potential import PotentialErrors, PotentialJob

TARGET = "potential"

_NOT_OPTIONS = {"keys", "settings", "card"}
_ALIEN = {
    "transpose": "labels without order of indices",
    "network_name": "nothing, as all potentials are MACE networks",
}
"""Options of the training of tensors that mean nothing here -> what is expected instead."""


def run(
    arguments: argparse.Namespace, options: dict[str, Any], tables: Mapping[str, dict[str, Any]]
) -> None:
    """Train, then print errors and files.

    Parameters
    ----------
    arguments : of the command line
    options, tables : of command line and TOML file together
    """
    from aptnn_md.training.potential import run_potential_training

    job = potential_job(arguments, options, tables)
    result = run_potential_training(job, restart=arguments.restart)
    held_out = "nothing held out"
    if result.validation is not None:
        held_out = f"held out {one_line(result.validation)}"
    print(
        f"{job.out}: {job.committee} network(s), training {one_line(result.training)}; {held_out}"
    )
    for number, ended in enumerate(result.endings, start=1):
        if "time limit" in ended:
            which = f"network {number}" if job.committee > 1 else "training"
            print(f"{which} was ended by {ended}")
    print(f"log {job.out.with_suffix('.csv')}, learning curve {job.out.with_suffix('.png')}")


def potential_job(
    arguments: argparse.Namespace, options: dict[str, Any], tables: Mapping[str, dict[str, Any]]
) -> PotentialJob:
    """The job that command line and TOML file describe together.

    Raises
    ------
    InputError
        Unknown keys, missing or impossible values.
    """
    from aptnn_md.settings import settings_from
    from aptnn_md.training.potential import PotentialJob, PotentialSettings

    source = str(arguments.config or "train")
    options = {name: value for name, value in options.items() if name != "target"}
    for name, expected in _ALIEN.items():
        if options.pop(name, None) is not None:
            raise InputError(source, name.removesuffix("_name"), "given", expected)
    values = {**tables["network"], **tables["training"]}
    given: dict[str, Any] = {"card": tables["card"]}
    for name in ("seed", "max_minutes"):
        if name in values:
            options[name] = values.pop(name)
    if "device" in options:
        values["device"] = options.pop("device")
    if "key" in options:
        given["keys"] = label_keys(options.pop("key"), source)
    given["settings"] = settings_from(PotentialSettings, values, source, "[training] and [network]")
    known = {field.name for field in fields(PotentialJob)} - _NOT_OPTIONS
    unknown = sorted(set(options) - known)
    if unknown:
        raise InputError(
            source, "key", ", ".join(unknown), f"keys among {', '.join(sorted(known))}"
        )
    return settings_from(PotentialJob, options, source, given=given)


def label_keys(texts: list[str], source: str) -> dict[str, str]:
    """``energy`` or ``forces`` -> name of the labels, from texts ``energy=NAME``."""
    keys = {}
    for text in texts:
        name, equals, key = text.partition("=")
        if name not in ("energy", "forces") or not equals or not key:
            raise InputError(source, "--key", repr(text), "energy=NAME or forces=NAME")
        keys[name] = key
    return keys


def one_line(errors: PotentialErrors) -> str:
    """RMSEs of energy and forces."""
    return (
        f"forces {errors.forces.rmse:.4f} eV/Å ({_percent(errors)} of their spread), "
        f"energy {1e3 * errors.energy:.2f} meV/atom"
    )


def _percent(errors: PotentialErrors) -> str:
    spread = errors.forces.spread
    return f"{100.0 * errors.forces.rmse / spread:.1f} %" if spread > 0.0 else "no part"


def table(errors: PotentialErrors) -> str:
    """The figures as text."""
    has_members = not math.isnan(errors.forces.member_spread)
    head = f"{'':16}{'RMSE':>10}{'MAE':>10}{'spread':>10}{'RMSE/spread':>14}"
    lines = [
        f"potential: {errors.n_frames} frames, forces on {errors.forces.n_atoms} atoms",
        f"energy, meV/atom: RMSE {1e3 * errors.energy:.3f}, largest mean error of a composition "
        f"{1e3 * errors.energy_offset:.3f}, RMSE without those {1e3 * errors.energy_relative:.3f}",
        "forces, eV/Å, by component:",
        head + (f"{'members':>10}" if has_members else ""),
    ]
    for name, part in {"all": errors.forces, **errors.by_element}.items():
        relative = 100.0 * part.rmse / part.spread if part.spread > 0.0 else float("nan")
        line = f"{name:16}{part.rmse:10.5f}{part.mae:10.5f}{part.spread:10.5f}{relative:12.1f} %"
        if has_members:
            line += f"{part.member_spread:10.5f}"
        lines.append(line)
    return "\n".join(lines)
