"""``aptnn-md train``: a model from labelled frames."""

from __future__ import annotations

import argparse
import math
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptnn_md.cli.model_options import add_label_options
from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from aptnn_md.training.job import TrainingJob

HELP = """Train a network on frames whose atoms carry an array `apt` of nine columns (row = dipole,
column = displacement, e), with --target pgt `pgt` of 27 columns ([dipole, dipole, displacement],
Å²), with --target apt+pgt both, learned by one network with two heads. NaN marks what has no label,
and frames without any are left out. Beside the model stand a log (.csv), the learning
curve (.png) and, until the job has ended, its state (.state), from which --restart goes on.
Every option can also stand in a TOML file given with --config; the command line wins.

--start-from begins with the weights of a trained model instead of random ones: of one that learned
many labels of a cheap method, say, to go on with few of a better one."""

EXAMPLE = """  aptnn-md train --data train.extxyz --out model.pt --max-minutes 10
  aptnn-md train --config train.toml --committee 4
  aptnn-md train --data labelled.extxyz --target apt+pgt --out both.pt
  aptnn-md train --data few-better-labels.extxyz --start-from model.pt --out better.pt

  train.toml:
    data = "train.extxyz"
    out = "model.pt"
    [training]
    epochs = 60
    [network]
    n_channels = 48
    [card]
    level_of_theory = "RPBE-D3\""""

TOP_LEVEL = (
    "data",
    "valid",
    "valid_fraction",
    "target",
    "key",
    "transpose",
    "out",
    "network_name",
    "start_from",
    "committee",
    "device",
)
TABLES = ("training", "network", "card")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those left out are taken from --config, then from the defaults."""
    parser.add_argument("--config", type=Path, metavar="TOML", help="file with options")
    parser.add_argument("--data", type=Path, help="labelled frames, extxyz")
    parser.add_argument(
        "--valid", type=Path, help="frames for validation (default: a part of --data)"
    )
    parser.add_argument("--valid-fraction", type=float, help="that part (default 0.1; 0: none)")
    parser.add_argument(
        "--target", choices=["apt", "pgt", "apt+pgt"], help="what to learn (default apt)"
    )
    add_label_options(parser)
    parser.add_argument("--out", type=Path, help="model file to write")
    parser.add_argument(
        "--network",
        dest="network_name",
        choices=["ace", "simple"],
        help="architecture (default ace)",
    )
    parser.add_argument(
        "--start-from", metavar="MODEL", help="begin with the weights of this model"
    )
    parser.add_argument("--committee", type=int, metavar="K", help="train K networks (default 1)")
    parser.add_argument(
        "--epochs", type=int, help="passes over the data (default: what suits its size)"
    )
    parser.add_argument("--max-minutes", type=float, help="end after this time if that is sooner")
    parser.add_argument("--seed", type=int, help="of weights and order of frames (default 0)")
    parser.add_argument("--device", help="torch device (default cpu)")
    parser.add_argument("--restart", action="store_true", help="go on with a job that was stopped")


def run(arguments: argparse.Namespace) -> None:
    """Train and say where everything is."""
    from aptnn_md.training.job import run_training

    job = make_job(arguments)
    checkpoint = run_training(job, restart=arguments.restart)
    card = checkpoint.card
    held_out = card["validation_rmse"]
    print(
        f"{job.out}: {job.committee} network(s), "
        f"training RMSE {_with_units(card['training_rmse'], job.target)}, "
        + ("nothing held out" if held_out is None else "validation RMSE ")
        + ("" if held_out is None else _with_units(held_out, job.target))
    )
    print(f"log {job.out.with_suffix('.csv')}, learning curve {job.out.with_suffix('.png')}")


def _with_units(rmse: float | dict[str, float], target: str) -> str:
    """The figure of a model card, of several targets each with its name."""
    from aptnn_md.targets import TARGETS

    if not isinstance(rmse, dict):
        return f"{rmse:.4f} {TARGETS[target].unit}"
    return " and ".join(f"{value:.4f} {TARGETS[t].unit} ({t})" for t, value in rmse.items())


def make_job(arguments: argparse.Namespace) -> TrainingJob:
    """The job that command line and TOML file describe together.

    Raises
    ------
    InputError
        Unknown keys, missing or impossible values.
    """
    from aptnn_md.structure_labels import parse_keys
    from aptnn_md.training.job import TrainingJob
    from aptnn_md.training.trainer import TrainingSettings

    source = str(arguments.config or "train")
    options, tables = _read_config(arguments.config)
    for key in TOP_LEVEL:
        if getattr(arguments, key) is not None:
            options[key] = getattr(arguments, key)
    for key in ("epochs", "max_minutes", "seed"):
        if getattr(arguments, key) is not None:
            tables["training"][key] = getattr(arguments, key)
    for key in ("data", "out"):
        if key not in options:
            raise InputError(source, key, "nothing", f"a file (--{key})")
    known = {f.name for f in fields(TrainingSettings)}
    _refuse_unknown(source, "[training]", tables["training"], known)
    network = options.pop("network_name", "ace")
    keys = parse_keys(options.pop("key", []))
    for key in ("data", "valid", "out"):
        if key in options:
            options[key] = Path(options[key])
    job = TrainingJob(
        **options,
        keys=keys,
        network=network,
        network_settings=tables["network"],
        training=TrainingSettings(**tables["training"]),
        card=tables["card"],
    )
    _check_values(source, job)
    return job


def _read_config(path: Path | None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
    if path is None:
        return {}, tables
    try:
        options = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(path, "file", error.strerror, "a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(path, "file", str(error), "a TOML file") from error
    for name in TABLES:
        tables[name] = options.pop(name, {})
        if not isinstance(tables[name], dict):
            raise InputError(path, name, repr(tables[name]), f"a table [{name}]")
    _refuse_unknown(str(path), "key", options, set(TOP_LEVEL))
    return options, tables


def _refuse_unknown(source: str, field: str, given: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise InputError(
            source, field, ", ".join(unknown), f"keys among {', '.join(sorted(known))}"
        )


def _check_values(source: str, job: TrainingJob) -> None:
    settings = job.training
    for name, value, least in (
        ("committee", job.committee, 1),
        ("epochs", settings.epochs, 0),
        ("batch_size", settings.batch_size, 1),
    ):
        if value < least:
            raise InputError(source, name, value, f"at least {least}")
    if not settings.max_minutes > 0.0:
        raise InputError(source, "max_minutes", settings.max_minutes, "more than 0")
    if not 0.0 <= job.valid_fraction < 1.0:
        raise InputError(source, "valid_fraction", job.valid_fraction, "at least 0, less than 1")
    if not settings.pgt_weight > 0.0:
        raise InputError(source, "pgt_weight", settings.pgt_weight, "more than 0")
    if math.isnan(settings.learning_rate) or settings.learning_rate <= 0.0:
        raise InputError(source, "learning_rate", settings.learning_rate, "more than 0")
    if job.out.suffix in {".csv", ".png"}:
        raise InputError(source, "out", job.out, "a name for a model file, e.g. model.pt")
