"""Running a training job: from files to a model file, with log, picture and restart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.data import chemical_symbols

from aptnn_md._version import __version__
from aptnn_md.errors import InputError
from aptnn_md.files import refuse_overwriting, write_output
from aptnn_md.models.devices import torch_device
from aptnn_md.models.tensor_network import TensorNetwork, fresh_model, load_weights
from aptnn_md.prediction.model_file import ModelFile, read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.progress import Progress
from aptnn_md.structure_labels import DIPOLE, POLARIZABILITY
from aptnn_md.structures import total_charge
from aptnn_md.training.calibration import calibration
from aptnn_md.training.dataset import (
    LabelledFrame,
    elements_of,
    file_sha256,
    read_labelled,
    split,
)
from aptnn_md.training.evaluation import evaluate_targets
from aptnn_md.training.frame_evaluation import evaluate_dipoles, evaluate_polarizabilities
from aptnn_md.training.holding_out import refuse_known, refuse_unlearned
from aptnn_md.training.learned import OF_FRAMES, unit_of
from aptnn_md.training.log import draw_learning_curves, log_table
from aptnn_md.training.records import EpochRecord
from aptnn_md.training.settings import TrainingJob, with_epochs
from aptnn_md.training.state import NetworksInTraining, StateFile
from aptnn_md.training.trainer import Trainer

log = logging.getLogger(__name__)


def run_training(job: TrainingJob, restart: bool = False) -> ModelFile:
    """Train, or resume with ``restart``, and write the model file.

    A network that the time limit ended before its last epoch is named in the log and in the model
    card (``"training_ended"``).

    Raises
    ------
    InputError
        Data, settings or output that cannot be used; a state file without ``restart``, none with
        it, or one of another job.
    RunError
        Training diverged.
    """
    torch_device(job.device)
    refuse_overwriting(job.out, job.data, job.valid)
    training, validation = _frames(job)
    if not job.start_from:  # that model may know elements that are not learned here
        _refuse_unlearned(job, training, validation)
    job = replace(job, training=with_epochs(job.training, [len(frame.atoms) for frame in training]))
    start = read_model_file(job.start_from) if job.start_from else None
    elements = elements_of([*training, *validation])
    if start is not None:
        job, elements = _as_start(job, start, elements)
    config = TensorNetwork(job.network, elements, job.tensors, job.network_settings).settings
    networks = NetworksInTraining(StateFile.of(job), restart)
    for member in range(job.committee):
        if not networks.has_ended(member):
            trainer = _trainer(job, member, elements, start, (training, validation))
            earlier = networks.earlier(member)
            if earlier is not None:
                trainer.load_state(earlier)
            _train_member(job, trainer, networks, member)
    model_file = ModelFile(
        network=job.network,
        config=config,
        target=job.tensors,
        members=tuple(network["weights"] for network in networks.finished),
    )
    ended = [network["ended"] for network in networks.finished]
    card = {**_card(job, model_file, start, training, validation), "training_ended": ended}
    write_model_file(job.out, replace(model_file, card=card))
    networks.remove()
    return read_model_file(job.out)


def _trainer(
    job: TrainingJob,
    member: int,
    elements: tuple[int, ...],
    start: ModelFile | None,
    frames: tuple[Sequence[LabelledFrame], Sequence[LabelledFrame]],
) -> Trainer:
    """A committee member with its first weights."""
    settings = replace(
        job.training,
        seed=job.training.seed + member,
        max_minutes=job.training.max_minutes / job.committee,
    )
    model = fresh_model(
        job.network, job.tensors, elements, dict(job.network_settings), settings.seed
    )
    if start is not None:
        load_weights(model, start.members[member % len(start.members)], job.start_from)
    return Trainer(model.to(job.device), *frames, settings, trained=start is not None)


def _as_start(
    job: TrainingJob, start: ModelFile, elements: tuple[int, ...]
) -> tuple[TrainingJob, tuple[int, ...]]:
    """The job with the network of the model that it starts from, and that model's elements."""
    for name, found, expected in (
        ("target", start.target, job.tensors),
        ("network", start.network, job.network),
    ):
        if found != expected:
            raise InputError(job.start_from, name, found, f"{expected}, as the job says")
    known = tuple(start.config["elements"])
    unknown = sorted(set(elements) - set(known))
    if unknown:
        names = ", ".join(chemical_symbols[z] for z in unknown)
        expected = f"a model that knows {names}, which the frames have"
        raise InputError(job.start_from, "elements", [chemical_symbols[z] for z in known], expected)
    settings = {
        name: value
        for name, value in start.config.items()
        if name not in ("elements", "target_irreps")
    }
    for name, value in job.network_settings.items():
        if settings.get(name) != value:
            raise InputError(job.start_from, name, settings.get(name), f"{value}, as the job says")
    return replace(job, network_settings=settings), known


def _frames(job: TrainingJob) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """Training and validation frames; frames without any label are left out."""
    found = read_labelled(job.data, job.target, job.keys, job.transpose)
    frames = [frame for frame in found if frame.any_label]
    if job.valid is not None:
        held_out = read_labelled(job.valid, job.target, job.keys, job.transpose)
        validation = [frame for frame in held_out if frame.any_label]
        refuse_known(job.data, _structures(frames), job.valid, _structures(validation))
        return frames, validation
    training, validation = split(frames, job.valid_fraction, job.training.seed)
    if not training:
        raise InputError(
            job.data,
            "frames",
            len(frames),
            "at least 2 structures, --valid with other frames, or --valid-fraction 0",
        )
    for target in job.target.split("+"):
        if not any(frame.has(target) for frame in training):
            raise InputError(
                job.data, target, "labels in held-out frames only", "labels to train on (--valid)"
            )
    return training, validation


def _refuse_unlearned(
    job: TrainingJob, training: Sequence[LabelledFrame], validation: Sequence[LabelledFrame]
) -> None:
    """See :func:`~aptnn_md.training.holding_out.refuse_unlearned`."""
    structures = _structures([*training, *validation])
    for name in job.target.split("+"):
        learned: set[int] = set()
        for frame in training:
            if frame.has(name):
                of_frame = name in OF_FRAMES
                numbers = frame.atoms.numbers
                learned |= set((numbers if of_frame else numbers[frame.has_label(name)]).tolist())
        refuse_unlearned(job.data, name, learned, structures)


def _structures(frames: Sequence[LabelledFrame]) -> list[Atoms]:
    return [frame.atoms for frame in frames]


def _train_member(
    job: TrainingJob, trainer: Trainer, networks: NetworksInTraining, member: int
) -> None:
    """Train a network to its end."""
    title = "training"
    if job.committee > 1:
        title += f" network {member + 1} of {job.committee}"

    def write_log() -> None:
        table = log_table(networks.records(member, trainer))
        write_output(job.out.with_suffix(".csv"), table.encode())

    if trainer.finished:
        write_log()  # killed between the state of its last epoch and the log
    with Progress(100, title, "%") as progress:
        progress.update(int(100 * trainer.fraction))
        while not trainer.finished:
            record = trainer.run_epoch()
            networks.keep(member, trainer)
            write_log()
            progress.update(int(100 * trainer.fraction) - progress.done, _note(record, job.target))
    draw_learning_curves(
        networks.records(member, trainer), job.out.with_suffix(".png"), _unit(job.target)
    )
    networks.end(member, trainer)
    ending = trainer.ending
    if ending.by_clock:
        log.warning(
            "%s ended by %s; resume it with --restart --max-minutes %.3g for all of them",
            *(title, ending, ending.minutes_needed * job.committee),
        )


def _unit(target: str) -> str:
    """Unit of an epoch's RMSEs; for several targets their spreads are the units."""
    return "spread" if "+" in target else unit_of(target)


def _note(record: EpochRecord, target: str) -> str:
    """RMSEs of an epoch in one line."""
    parts = record.valid_by_target or record.valid_by_element
    note = f"epoch {record.epoch}: train {record.train:.4f}"
    if parts:
        inside = " ".join(f"{name} {value:.4f}" for name, value in parts.items())
        if record.valid_by_target:
            inside = " ".join(f"{t} {rmse:.4f} {unit_of(t)}" for t, rmse in parts.items())
        note += f" valid {record.valid:.4f} ({inside})"
    return f"{note} {_unit(target)}"


# ---------------------------------------------------------------------- model card


def _card(
    job: TrainingJob,
    model_file: ModelFile,
    start: ModelFile | None,
    training: Sequence[LabelledFrame],
    validation: Sequence[LabelledFrame],
) -> dict[str, Any]:
    predictor = Predictor(model_file, neutral=False, device=job.device)
    n_labelled = {
        target: int(sum(frame.has_label(target).sum() for frame in training))
        for target in predictor.targets
    }
    return {
        "elements": [chemical_symbols[z] for z in predictor.elements],
        "cutoff": predictor.cutoff,
        "training_data": job.data.name,
        "training_data_sha256": file_sha256(job.data),
        "training_frames": len(training),
        "charges": sorted({total_charge(frame.atoms) for frame in training}),
        "training_atoms": _single(n_labelled),
        **_frames_of_card(job, training),
        "start_from": (
            None if start is None else f"{Path(job.start_from).name} {start.sha256[:12]}"
        ),
        "validation_data": job.valid.name if job.valid else f"{len(validation)} frames held out",
        "training_rmse": _rmses(predictor, training),
        "validation_rmse": _rmses(predictor, validation) if validation else None,
        **calibration(Predictor(model_file, device=job.device), training, validation),
        "training_settings": asdict(job.training),
        "package_version": __version__,
        **job.card,
    }


def _frames_of_card(job: TrainingJob, training: Sequence[LabelledFrame]) -> dict[str, Any]:
    """What the card of a model says besides whose network learns labels of frames."""
    plurals = {DIPOLE: "dipoles", POLARIZABILITY: "polarizabilities"}
    if job.network not in plurals:
        return {}
    return {
        "learned_from": job.target,
        f"training_{plurals[job.network]}": sum(frame.has(job.network) for frame in training),
    }


def _rmses(predictor: Predictor, frames: Sequence[LabelledFrame]) -> Any:
    """RMSE in the target's unit; for several targets one for each that has labels."""
    targets = [t for t in predictor.targets if any(f.has(t) for f in frames)]
    found = evaluate_targets(predictor, frames, targets) if targets else {}
    rmses = {target: evaluation.rmse for target, evaluation in found.items()}
    if predictor.gives_dipoles:
        of_dipoles = evaluate_dipoles(predictor, frames)
        return rmses if of_dipoles is None else {DIPOLE: of_dipoles.rmse, **rmses}
    if predictor.gives_polarizabilities:
        of_frames = evaluate_polarizabilities(predictor, frames)
        return rmses if of_frames is None else {POLARIZABILITY: of_frames.rmse, **rmses}
    return _single(rmses) if len(predictor.targets) == 1 else rmses


def _single(values: dict[str, Any]) -> Any:
    """The value of a single target, or the dictionary of several."""
    return next(iter(values.values())) if len(values) == 1 else values
