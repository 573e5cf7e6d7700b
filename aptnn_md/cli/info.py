"""``aptnn-md info``: what a model file, a potential, a stream or a spectrum is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HELP = "Say what a model file, a stored potential, something bundled, a stream or a spectrum is."

EXAMPLE = """  aptnn-md info water-apt
  aptnn-md info water-mace
  aptnn-md info run.zarr
  aptnn-md info ir.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("source", help="file, bundled name, stream, or table of a spectrum")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the description."""
    facts = describe(arguments.source)
    if arguments.json:
        print(json.dumps(facts, indent=2, default=str))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")


def describe(source: str) -> dict[str, Any]:
    """The facts that are known of ``source``, by name."""
    from aptnn_md.potentials.loading import BUNDLED

    if Path(source).is_dir():
        return stream_facts(source)
    if source in BUNDLED or Path(source).suffix == ".json":
        return potential_facts(source)
    if Path(source).suffix == ".csv":
        return spectrum_facts(source)
    return model_facts(source)


def potential_facts(source: str) -> dict[str, Any]:
    """Model card and configuration of a stored potential."""
    from aptnn_md.bundled import bundled_path
    from aptnn_md.potentials.loading import BUNDLED
    from aptnn_md.potentials.mace import read_potential

    path = bundled_path(f"{source}.json") if source in BUNDLED else Path(source)
    header, weights = read_potential(path)
    return {
        "kind": "potential (MACE)",
        "file": str(path),
        "sha256_of_weights": header["weights_sha256"],
        "numbers": sum(value.numel() for value in weights.values()),
        **header["card"],
        "walls": header.get("walls", []),
        "configuration": header["configuration"],
    }


def model_facts(source: str) -> dict[str, Any]:
    """Architecture, weights, model card and SHA-256 of a model."""
    from aptnn_md.prediction.model_file import model_path, read_model_file

    model = read_model_file(source)
    n_weights = sum(value.numel() for value in model.members[0].values())
    return {
        "kind": "model",
        "file": str(model_path(source)),
        "sha256": model.sha256,
        "target": model.target,
        "network": model.network,
        "members": len(model.members),
        "numbers_per_member": n_weights,
        **model.card,
        "network_settings": dict(model.config),
    }


def stream_facts(source: str) -> dict[str, Any]:
    """Header and extent of a stream."""
    from dataclasses import asdict

    from aptnn_md.stream import StreamReader

    stream = StreamReader(source)
    facts: dict[str, Any] = {"kind": "stream", "path": source, "frames": stream.n_frames}
    if stream.n_frames:
        facts["steps"] = f"{int(stream.step[0])} to {int(stream.step[-1])}"
        facts["picoseconds"] = float(stream.time[-1] - stream.time[0]) / 1000.0
    # numbers of single atoms and empty fields tell nothing
    of_atoms = ("atom_numbers", "atom_masses", "atom_groups", "atom_freedom")
    left_out = (*of_atoms, "start_positions", "start_cell")
    header = {
        name: value
        for name, value in asdict(stream.header).items()
        if name not in left_out and value not in ("", (), None)
    }
    return {**facts, "arrays": ", ".join(stream.arrays), **header}


def spectrum_facts(source: str) -> dict[str, Any]:
    """Header and columns of a table by ``aptnn-md spectrum``."""
    from aptnn_md.spectra import read_table

    columns, header = read_table(source)
    facts: dict[str, Any] = {"kind": "spectrum", "file": source}
    facts |= {f"{number}": line for number, line in enumerate(header, start=1)}
    rows = len(next(iter(columns.values())))
    return {**facts, "rows": rows, "columns": ", ".join(columns)}
