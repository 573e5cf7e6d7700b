"""``aptnn-md info``: what a model file, a potential, a stream or a spectrum is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptnn_md.cli.json_output import json_text

if TYPE_CHECKING:
    from aptnn_md.engines.ase.restart import DynamicsState
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.stream import StreamReader

HELP = """\
Say what a model file, a stored potential, something bundled, a stream, a directory of many runs, a
checkpoint of `md` or a spectrum is. NAME.model of mace-torch is a pickle, and reading it runs the
code in it. In Python a stream is aptnn_md.StreamReader(path), or aptnn_md.open_stream(path) as a
dataset of xarray."""

EXAMPLE = """  aptnn-md info water-apt
  aptnn-md info water-mace
  aptnn-md info run.zarr
  aptnn-md info --check run.zarr
  aptnn-md info ir.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "source",
        help="file, bundled name, stream or directory of many runs, checkpoint, or table of a "
        "spectrum",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--check", action="store_true", help="read all of it, and say only what was verified"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the description."""
    facts = (verify if arguments.check else describe)(arguments.source)
    if arguments.json:
        print(json_text(facts))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")


def describe(source: str) -> dict[str, Any]:
    """The facts that are known of ``source``, by name."""
    if Path(source).is_dir():
        from aptnn_md.stream.ensemble import is_ensemble

        return ensemble_facts(source) if is_ensemble(source) else stream_facts(source)
    if Path(source).suffix == ".csv":
        return spectrum_facts(source)
    if Path(source).suffix == ".npz":
        return checkpoint_facts(source)
    from aptnn_md.potentials.loading import BUNDLED
    from aptnn_md.prediction.mace_file import is_mace_file

    if source in BUNDLED or Path(source).suffix == ".json":
        return potential_facts(source)
    if is_mace_file(source):
        from aptnn_md.prediction.mace_dipoles import MACEDipoles

        return {"kind": "model (MACE)", "file": source, **MACEDipoles.from_file(source).facts()}
    return model_facts(source)


def verify(source: str) -> dict[str, Any]:
    """What was verified of ``source``, by name.

    Raises
    ------
    InputError
        It is damaged, or nothing that can be verified.
    """
    from aptnn_md.errors import InputError
    from aptnn_md.stream import check_stream
    from aptnn_md.stream.ensemble import is_ensemble, stream_paths

    if is_ensemble(source):
        runs = {run.name: check_stream(run)["data"] for run in stream_paths([source])}
        return {"kind": "ensemble", "path": source, **runs}
    if Path(source).is_dir():
        return {"kind": "stream", "path": source, **check_stream(source)}
    facts = describe(source)  # models and potentials are verified whenever they are read
    if "verified" not in facts:
        raise InputError(source, "--check", facts["kind"], "a stream, a model or a potential")
    return {name: facts[name] for name in ("kind", "file", "verified")}


def potential_facts(source: str) -> dict[str, Any]:
    """Model card and configuration of a stored potential."""
    from aptnn_md.bundled import bundled_path
    from aptnn_md.potentials.loading import BUNDLED
    from aptnn_md.potentials.stored import check_sizes, read_potential
    from aptnn_md.potentials.stored_committee import is_committee

    path = bundled_path(f"{source}.json") if source in BUNDLED else Path(source)
    if is_committee(path):
        return potential_committee_facts(path)
    header, weights = read_potential(path)
    check_sizes(path, header["configuration"], weights)
    verified = "CRC-32 of all members, SHA-256 of the weights"
    verified += "" if header["version"] == 1 else ", SHA-256 of the header"
    return {
        "kind": "potential (MACE)",
        "file": str(path),
        "sha256_of_weights": header["weights_sha256"],
        "verified": verified,
        "units": {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³"},
        "numbers": sum(value.numel() for value in weights.values()),
        **header["card"],
        "walls": header.get("walls", []),
        "configuration": header["configuration"],
    }


def potential_committee_facts(path: Path) -> dict[str, Any]:
    """Card and members of a committee of stored potentials."""
    from aptnn_md.potentials.stored_committee import read_committee

    committee = read_committee(path)
    members = {member.name: potential_facts(str(member)) for member in committee.members}
    first = next(iter(members.values()))
    return {
        "kind": f"committee of {len(members)} potentials (MACE)",
        "file": str(path),
        "verified": f"SHA-256 of the header; of the members {first['verified']}",
        "units": first["units"],
        **committee.card,
        "members": {name: facts["sha256_of_weights"] for name, facts in members.items()},
        "configuration": first["configuration"],
    }


def checkpoint_facts(source: str) -> dict[str, Any]:
    """Where a run, or an ensemble of runs, of ``md`` stands."""
    from aptnn_md.engines.ase.ensemble_state import FORMAT as ENSEMBLE
    from aptnn_md.engines.ase.ensemble_state import EnsembleState
    from aptnn_md.engines.ase.restart import DynamicsState, checkpoint_format

    facts = {"file": source, "verified": "CRC-32 of all members"}
    if checkpoint_format(source) != ENSEMBLE:
        state = DynamicsState.read(source)
        kind = "checkpoint of the equilibration" if state.equilibration else "checkpoint of a run"
        return {"kind": kind, **facts, **_point_of_run(state)}
    ensemble = EnsembleState.read(source)
    facts["complete_runs"] = str(ensemble.n_done)
    if ensemble.run is not None:
        kind = "checkpoint of an ensemble, in a run"
        return {"kind": kind, **facts, **_point_of_run(ensemble.run)}
    kind = "checkpoint of an ensemble, between two runs"
    return {"kind": kind, **facts, **_point_of_run(ensemble.chain)}


def _point_of_run(state: DynamicsState) -> dict[str, Any]:
    from ase import Atoms, units

    atoms = Atoms(state.numbers, momenta=state.momenta)
    timestep = state.timestep / units.fs
    return {
        "atoms": atoms.get_chemical_formula(),
        "integrator": state.integrator,
        "timestep": f"{timestep:.6g} fs",
        "step": state.step,
        "time": f"{1e-3 * state.step * timestep:.6g} ps",
        "kinetic_energy": f"{atoms.get_kinetic_energy():.6g} eV",
    }


def model_facts(source: str) -> dict[str, Any]:
    """Architecture, weights, model card and SHA-256 of a model that can be used as it is."""
    from aptnn_md.prediction.model_file import model_path, read_model_file
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.targets import targets_of

    model = read_model_file(source)
    predictor = Predictor(model)  # refuses weights that are not those of the network
    verified = "CRC-32 of all members"
    if model.content_sha256:
        verified += f", SHA-256 of the content {model.content_sha256}"
    else:
        verified += "; no SHA-256 of the content in this file, which is of version 1"
    n_weights = sum(value.numel() for value in model.members[0].values())
    return {
        "kind": "model",
        "file": str(model_path(source)),
        "sha256": model.sha256,
        "verified": verified,
        "target": model.target,
        "units": {target.name: target.unit for target in targets_of(model.target)}
        | ({"dipole": "e Å"} if predictor.gives_dipoles else {})
        | ({"polarizability": "Å³"} if predictor.gives_polarizabilities else {}),
        "network": model.network,
        "members": len(model.members),
        "numbers_per_member": n_weights,
        "charges": "not in the model card",
        **calibration_facts(predictor),
        **model.card,
        "network_settings": dict(model.config),
    }


def calibration_facts(predictor: Predictor) -> dict[str, str]:
    """What the spread of a committee says, in a line."""
    from ase.data import atomic_numbers

    from aptnn_md.domain import LARGE_ATOM_ERROR, LARGE_ERROR, UNCALIBRATED
    from aptnn_md.prediction.watch import domain_of
    from aptnn_md.targets import TARGETS

    domain = domain_of(predictor)
    if domain is None:
        return {"calibration": UNCALIBRATED} if len(predictor.networks) > 1 else {}
    lines = []
    for target, of_elements in domain.known.items():
        limits = domain.limits(target, [atomic_numbers[symbol] for symbol in of_elements])
        pairs = zip(of_elements, limits, strict=True)
        text = ", ".join(f"{symbol} {limit:.2g}" for symbol, limit in pairs)
        known = f"an environment is unknown above a spread of {text} {TARGETS[target].unit}"
        factor, error = domain.factors.get(target), ""
        if factor is not None:
            large = f"{100.0 * LARGE_ERROR:g} % of the tensors' size"
            of_atom = f"{100.0 * LARGE_ATOM_ERROR:g} % for one atom"
            error = f"error of an atom = {factor:.2f} x spread, large above {large} ({of_atom}); "
        lines.append(f"{TARGETS[target].title}: {error}{known}")
    return {"calibration": "; ".join(lines)}


def outside_facts(streams: Sequence[StreamReader]) -> dict[str, str]:
    """How many frames are outside of what the committee of the model knows."""
    import numpy as np

    from aptnn_md.domain import SPREAD_RATIO, UNJUDGED

    arrays = [stream.read(SPREAD_RATIO) for stream in streams]
    found = [values for values in arrays if values is not None and len(values)]
    if not found:
        of_committee = any(name.endswith("_std") for one in streams for name in one.arrays)
        return {"outside": UNJUDGED} if of_committee else {}
    ratios = np.concatenate(found)
    n_outside = int((ratios > 1.0).sum())
    share = f"{n_outside} of {len(ratios)} frames ({100.0 * n_outside / len(ratios):.2g} %)"
    largest = f"spread_ratio up to {ratios.max():.3g}"
    return {"outside": f"{share} are unlike those of the training, {largest}"}


def stream_facts(source: str) -> dict[str, Any]:
    """Header and extent of a stream."""
    from dataclasses import asdict

    from aptnn_md.stream import StreamReader
    from aptnn_md.stream.ring_polymers import ring_polymer_notes

    stream = StreamReader(source)
    facts: dict[str, Any] = {"kind": "stream", "path": source, "frames": stream.n_frames}
    if stream.n_frames:
        facts["steps"] = f"{int(stream.step[0])} to {int(stream.step[-1])}"
        facts["picoseconds"] = float(stream.time[-1] - stream.time[0]) / 1000.0
    facts |= outside_facts([stream])
    notes = {f"note {n}": text for n, text in enumerate(ring_polymer_notes(stream.header), start=1)}
    header = _header_facts(asdict(stream.header))
    of_energy = _energy_facts([source], stream.temperature)
    return {**facts, "arrays": ", ".join(stream.arrays), **of_energy, **header, **notes}


def ensemble_facts(source: str) -> dict[str, Any]:
    """Extent of an ensemble, and the header that its runs share."""
    from dataclasses import asdict

    from aptnn_md.stream import StreamReader
    from aptnn_md.stream.ensemble import Ensemble, complete_runs, stream_paths

    ensemble, complete = Ensemble.read(source), complete_runs(source)
    first = StreamReader(stream_paths([source])[0])
    length = (ensemble.n_frames - 1) * first.spacing / 1000.0
    header = _header_facts(asdict(first.header))
    header.pop("run_id", None)
    return {
        "kind": "ensemble",
        "path": source,
        "runs": f"{len(complete)} complete, {ensemble.n_runs} planned",
        "picoseconds": f"{len(complete) * length:.6g} in runs of {length:.6g}",
        "arrays": ", ".join(first.arrays),
        **_energy_facts(complete, first.temperature),
        **outside_facts([StreamReader(path) for path in stream_paths([source])]),
        **header,
    }


def _energy_facts(paths: Sequence[str | Path], temperature: float | None) -> dict[str, Any]:
    """Drift of the conserved energy of streams that have it, and a warning where it matters."""
    from aptnn_md.spectra.analysis.energy_drift import drift_of_streams

    drift = drift_of_streams(paths)
    if drift is None:
        return {}
    facts = {"drift of the conserved energy": str(drift)}
    alarm = None if temperature is None else drift.alarm(temperature)
    return facts if alarm is None else facts | {f"WARNING ({alarm.name})": alarm.text}


def _header_facts(header: dict[str, Any]) -> dict[str, Any]:
    # numbers of single atoms and empty fields tell nothing
    of_atoms = ("atom_numbers", "atom_masses", "atom_groups", "atom_freedom")
    left_out = (*of_atoms, "start_positions", "start_cell")
    return {
        name: value
        for name, value in header.items()
        if name not in left_out and value not in ("", (), None)
    }


def spectrum_facts(source: str) -> dict[str, Any]:
    """Header and columns of a table by ``aptnn-md spectrum``."""
    from aptnn_md.spectra import read_table

    columns, header = read_table(source)
    facts: dict[str, Any] = {"kind": "spectrum", "file": source}
    facts |= {f"{number}": line for number, line in enumerate(header, start=1)}
    rows = len(next(iter(columns.values())))
    return {**facts, "rows": rows, "columns": ", ".join(columns)}
