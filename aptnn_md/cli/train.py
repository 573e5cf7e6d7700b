"""``aptnn-md train``: a model from labelled frames."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptnn_md.cli import train_potential
from aptnn_md.cli.model_options import add_label_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.cli.toml_options import read_options
from aptnn_md.errors import InputError
from aptnn_md.settings import NewPath

if TYPE_CHECKING:
    from aptnn_md.training.settings import TrainingJob

HELP = """Train a network on frames whose atoms carry an array `apt` of nine columns (row = dipole,
column = displacement, e), with --target pgt `pgt` of 27 columns ([dipole, dipole, displacement],
Å²), with --target apt+pgt both, learned by one network with two heads. NaN marks missing labels,
and frames without any label are left out. --network dipole learns total dipoles (dipole="x y z" in
the comment line, e Å) with --target dipole, APTs, or both with --target dipole+apt, where a frame
may have either; it gives dipoles, and APTs that are their derivatives. --network polarizability
does the same with polarizabilities (nine numbers, Å³) and PGTs. Next to the model are a log
(.csv), the learning curve (.png) and, until all epochs are done, the state (.state), from which
--restart resumes a job that was killed, or, with more --max-minutes, one that its time limit ended.
Frames are joined to batches of about `batch_atoms` atoms (table [training]). Every option can also
be given in a TOML file (--config); the command line takes precedence.

--target potential trains a MACE potential instead, from energies (eV) and forces (eV/Å), which
`aptnn-md label` writes with the tensors: --out NAME.json is then what --potential takes, of a
committee with NAME-1.json, NAME-2.json, ... next to it. Compositions may differ and be periodic or
not; the same composition with two charges is refused, as the network sees none. --settings takes
layers, channels, max_ell, correlation, cutoff, n_radial and radial_width of the network, and steps,
batch_atoms, learning_rate, energy_weight, dtype and atomic_energies of the training.

--start-from begins with the weights of a trained model instead of random ones: with those of a
model that learned many labels of a cheap method, say, to continue with few of a better one."""

EXAMPLE = """  aptnn-md train --data train.extxyz --out model.pt --max-minutes 10
  aptnn-md train --config train.toml --committee 4
  aptnn-md train --data labelled.extxyz --target apt+pgt --out both.pt
  aptnn-md train --data molecules.extxyz --network dipole --target dipole --out dipole.pt
  aptnn-md train --data molecules.extxyz --network polarizability --target polarizability+pgt \\
    --out polarizability.pt
  aptnn-md train --data few-better-labels.extxyz --start-from model.pt --out better.pt
  aptnn-md train --data labelled.extxyz --target potential --out potential.json --committee 2

  train.toml:
    data = "train.extxyz"
    out = "model.pt"
    [training]
    epochs = 60
    [network]
    n_channels = 48
    [card]
    level_of_theory = "RPBE-D3\""""

TABLES = ("training", "network", "card")
TRAINING_OPTIONS = ("epochs", "max_minutes", "seed")
"""Settings of the training that are options of the command too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those left out are taken from --config, then from the defaults."""
    from aptnn_md.models.architectures import NETWORKS
    from aptnn_md.targets import TARGETS
    from aptnn_md.training.settings import TrainingJob, TrainingSettings

    add, job = parser.add_argument, TrainingJob
    add("--config", type=Path, metavar="TOML", help="file with options")
    add("--data", type=Path, help="labelled frames, extxyz")
    add("--valid", type=Path, help="frames for validation (default: a part of --data)")
    add(
        "--valid-fraction",
        type=checked(float),
        metavar="PART",
        help=f"that part (default {job.valid_fraction}; 0: none)",
    )
    targets = f"{', '.join(TARGETS)} or {'+'.join(TARGETS)}"
    of_dipole, of_other = "dipole, apt or dipole+apt", "polarizability, pgt or polarizability+pgt"
    add(
        "--target",
        help=f"what to learn: {targets}; with --network dipole {of_dipole}; with --network "
        f"polarizability {of_other}; or potential (default {job.target})",
    )
    add_label_options(parser)
    add("--out", type=checked(NewPath), help="model file to write")
    add(
        "--network",
        dest="network_name",
        choices=list(NETWORKS),
        help=f"architecture (default {job.network})",
    )
    add(
        "--settings",
        action="append",
        metavar="NAME=VALUE",
        help="of the network, e.g. n_channels=32, as in the table [network] of --config",
    )
    add("--start-from", metavar="MODEL", help="begin with the weights of this model")
    add(
        "--committee",
        type=checked(int),
        metavar="K",
        help=f"train K networks (default {job.committee})",
    )
    add("--epochs", type=checked(int), help="passes over the data (default: what suits its size)")
    add("--max-minutes", type=checked(float), help="end after this time of work, restarts included")
    add(
        "--seed",
        type=checked(int),
        help=f"of weights and order of frames (default {TrainingSettings.seed})",
    )
    add("--device", help=f"torch device (default {job.device})")
    add("--restart", action="store_true", help="resume a job that was stopped, if one was")


def run(arguments: argparse.Namespace) -> None:
    """Train, then print errors and files."""
    options, tables = _options(arguments)
    if options.get("target") == train_potential.TARGET:
        train_potential.run(arguments, options, tables)
        return
    job = _tensor_job(arguments, options, tables)

    from aptnn_md.training.job import run_training

    model_file = run_training(job, restart=arguments.restart)
    card = model_file.card
    held_out = card["validation_rmse"]
    print(
        f"{job.out}: {job.committee} network(s), "
        f"training RMSE {_with_units(card['training_rmse'], job.target)}, "
        + ("nothing held out" if held_out is None else "validation RMSE ")
        + ("" if held_out is None else _with_units(held_out, job.target))
    )
    for number, ended in enumerate(card["training_ended"], start=1):
        if "time limit" in ended:
            which = f"network {number}" if job.committee > 1 else "training"
            print(f"{which} was ended by {ended}")
    print(f"log {job.out.with_suffix('.csv')}, learning curve {job.out.with_suffix('.png')}")


def _with_units(rmse: float | dict[str, float], target: str) -> str:
    """The figure of a model card; for several targets each with its name."""
    from aptnn_md.training.learned import unit_of

    if not isinstance(rmse, dict):
        return f"{rmse:.4f} {unit_of(target)}"
    return " and ".join(f"{value:.4f} {unit_of(t)} ({t})" for t, value in rmse.items())


def make_job(arguments: argparse.Namespace) -> TrainingJob:
    """The job that command line and TOML file describe together.

    Raises
    ------
    InputError
        Unknown keys, missing or impossible values.
    """
    return _tensor_job(arguments, *_options(arguments))


def _options(
    arguments: argparse.Namespace,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Options and tables of command line and TOML file together, by their names there."""
    from aptnn_md.callables import keyword_arguments
    from aptnn_md.training.settings import TrainingJob

    source = str(arguments.config or "train")
    if arguments.config is None:
        options, tables = dict[str, Any](), {name: dict[str, Any]() for name in TABLES}
    else:
        options, tables = read_options(arguments.config, TABLES)
        for name in set(TRAINING_OPTIONS) & set(options):
            tables["training"].setdefault(name, options.pop(name))
    # the name of the network is network_name in files, where network is a table
    names = {field.name for field in fields(TrainingJob)} | {"network_name", "key"}
    names -= {"network", "network_settings", "training", "card", "keys"}
    unknown = sorted(set(options) - names)
    if unknown:
        expected = f"keys among {', '.join(sorted(names | set(TABLES)))}"
        raise InputError(source, "key", ", ".join(unknown), expected)
    options |= {
        name: value
        for name, value in vars(arguments).items()
        if name in names and value is not None
    }
    for name in TRAINING_OPTIONS:
        if getattr(arguments, name) is not None:
            tables["training"][name] = getattr(arguments, name)
    for text in arguments.settings or ():
        tables["network"] |= keyword_arguments("--settings", text)
    return options, tables


def _tensor_job(
    arguments: argparse.Namespace, options: dict[str, Any], tables: dict[str, dict[str, Any]]
) -> TrainingJob:
    """The job of a model of tensors."""
    from aptnn_md.settings import settings_from
    from aptnn_md.structure_labels import parse_keys
    from aptnn_md.training.settings import TrainingJob, TrainingSettings

    source = str(arguments.config or "train")
    if "key" in options:
        options["keys"] = parse_keys(options.pop("key"))
    if "network_name" in options:
        options["network"] = options.pop("network_name")
    for name in ("data", "out"):
        if name not in options:
            raise InputError(source, name, "nothing", f"a file (--{name})")
    training = settings_from(
        TrainingSettings, _with_weights(tables["training"]), source, "[training]"
    )
    parts = {"network_settings": tables["network"], "card": tables["card"], "training": training}
    return settings_from(TrainingJob, options, source, given=parts)


def _with_weights(training: dict[str, Any]) -> dict[str, Any]:
    """The table [training], with ``pgt_weight = 0.5`` as another spelling of ``weights.pgt``."""
    from aptnn_md.structure_labels import DIPOLE
    from aptnn_md.targets import TARGETS

    spelled = {f"{target}_weight": target for target in (*TARGETS, DIPOLE)}
    weights = {spelled[name]: value for name, value in training.items() if name in spelled}
    rest = {name: value for name, value in training.items() if name not in spelled}
    if weights and isinstance(rest.get("weights", {}), dict):
        rest["weights"] = {**rest.get("weights", {}), **weights}
    return rest
