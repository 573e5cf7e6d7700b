"""A training job: from files to a model file, with log, picture and restart."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols

from aptnn_md._version import __version__
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.models.tensor_network import TensorNetwork, fresh_model
from aptnn_md.prediction.model_file import Checkpoint, load_checkpoint, model_path, save_checkpoint
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.progress import Progress
from aptnn_md.structures import total_charge
from aptnn_md.targets import TARGETS, targets_of
from aptnn_md.training.dataset import (
    LabelledFrame,
    elements_of,
    file_sha256,
    read_labelled,
    split,
)
from aptnn_md.training.evaluation import evaluate_targets
from aptnn_md.training.log import draw_learning_curves, log_table
from aptnn_md.training.trainer import EpochRecord, Trainer, TrainingSettings, with_epochs


@dataclass(frozen=True)
class TrainingJob:
    """What to train on what, and where to put it.

    Attributes
    ----------
    data : labelled frames, extxyz
    out : model file to write; log (.csv), learning curve (.png) and state stand beside it
    valid : frames for validation; without it ``valid_fraction`` of the frames of ``data``, and with
        a fraction of 0 nothing is held out and the last weights are kept
    target, network, network_settings : see :class:`~aptnn_md.models.tensor_network.TensorNetwork`
    keys, transpose : see :func:`~aptnn_md.training.dataset.read_labelled`
    start_from : model file or bundled name whose weights the training begins with; it must be of
        the same target and network. Several networks begin with its members in turn
    committee : networks to train, with seeds ``training.seed``, ``training.seed + 1``, ...
    training : of each network; ``max_minutes`` is for all of them together
    card : further entries of the model card, e.g. ``level_of_theory`` and ``licence``
    """

    data: Path
    out: Path
    valid: Path | None = None
    valid_fraction: float = 0.1
    target: str = "apt"
    network: str = "ace"
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    transpose: bool | None = None
    start_from: str = ""
    committee: int = 1
    training: TrainingSettings = field(default_factory=TrainingSettings)
    device: str = "cpu"
    card: Mapping[str, str] = field(default_factory=dict)

    @property
    def state_path(self) -> Path:
        """State of a job that has not ended."""
        return self.out.with_suffix(self.out.suffix + ".state")

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What a restarted job must have in common with the one it continues."""
        return {
            "data": file_sha256(self.data),
            "valid": file_sha256(self.valid) if self.valid else str(self.valid_fraction),
            "start_from": file_sha256(model_path(self.start_from)) if self.start_from else "",
            "target": self.target,
            "keys": dict(self.keys),
            "transpose": self.transpose,
            "network": self.network,
            "network_settings": dict(self.network_settings),
            "committee": self.committee,
            "training": asdict(self.training),
        }


def run_training(job: TrainingJob, restart: bool = False) -> Checkpoint:
    """Train, or go on with ``restart``, and write the model file.

    Raises
    ------
    InputError
        Data, settings or output that cannot be used; a state file that is there without
        ``restart``, is not there with it, or belongs to another job.
    """
    training, validation = _frames(job)
    job = replace(job, training=with_epochs(job.training, len(training)))
    start = load_checkpoint(job.start_from) if job.start_from else None
    elements = elements_of([*training, *validation])
    if start is not None:
        job, elements = _as_start(job, start, elements)
    config = TensorNetwork(job.network, elements, job.target, job.network_settings).settings
    finished, unfinished = _read_state(job, restart)
    for member in range(len(finished), job.committee):
        settings = replace(
            job.training,
            seed=job.training.seed + member,
            max_minutes=job.training.max_minutes / job.committee,
        )
        model = fresh_model(
            job.network, job.target, elements, dict(job.network_settings), settings.seed
        )
        if start is not None:
            model.load_state_dict(start.members[member % len(start.members)])
        trainer = Trainer(
            model.to(job.device), training, validation, settings, trained=start is not None
        )
        if unfinished is not None:
            trainer.load_state(unfinished)
            unfinished = None
        _train_member(job, trainer, finished)
        finished.append({"weights": trainer.weights(), "records": _plain(trainer.records)})
        _write_state(job, finished, None)
    checkpoint = Checkpoint(
        network=job.network,
        config=config,
        target=job.target,
        members=tuple(member["weights"] for member in finished),
    )
    card = _card(job, checkpoint, start, training, validation)
    save_checkpoint(job.out, replace(checkpoint, card=card))
    job.state_path.unlink(missing_ok=True)
    return load_checkpoint(job.out)


def _as_start(
    job: TrainingJob, start: Checkpoint, elements: tuple[int, ...]
) -> tuple[TrainingJob, tuple[int, ...]]:
    """The job with the network of the model that it begins with, and that model's elements."""
    for name, found, expected in (
        ("target", start.target, job.target),
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
    targets = tuple(target.name for target in targets_of(job.target))
    found = read_labelled(job.data, job.target, job.keys, job.transpose)
    frames = [frame for frame in found if frame.any_label]
    if job.valid is not None:
        held_out = read_labelled(job.valid, job.target, job.keys, job.transpose)
        return frames, [frame for frame in held_out if frame.any_label]
    if len(frames) < 2 and job.valid_fraction > 0.0:
        raise InputError(
            job.data, "frames", len(frames), "at least 2, or a validation file (--valid)"
        )
    training, validation = split(frames, job.valid_fraction, job.training.seed)
    for target in targets:
        if not any(frame.has_label(target).any() for frame in training):
            raise InputError(
                job.data, target, "labels in held-out frames only", "labels to train on (--valid)"
            )
    return training, validation


def _train_member(
    job: TrainingJob, trainer: Trainer, finished: Sequence[Mapping[str, Any]]
) -> None:
    title = "training"
    if job.committee > 1:
        title += f" network {len(finished) + 1} of {job.committee}"
    earlier = [member["records"] for member in finished]
    with Progress(100, title, "%") as progress:
        progress.update(int(100 * trainer.fraction))
        while not trainer.finished:
            record = trainer.run_epoch()
            _write_state(job, finished, trainer.state())
            records = [*earlier, _plain(trainer.records)]
            write_output(job.out.with_suffix(".csv"), log_table(records).encode())
            progress.update(int(100 * trainer.fraction) - progress.done, _note(record, job.target))
    draw_learning_curves(
        [*earlier, _plain(trainer.records)], job.out.with_suffix(".png"), _unit(job.target)
    )


def _unit(target: str) -> str:
    """Unit of an epoch's RMSEs; those of several targets are in units of their spreads."""
    return TARGETS[target].unit if target in TARGETS else "spread"


def _note(record: EpochRecord, target: str) -> str:
    """RMSEs of an epoch in one line."""
    parts = record.valid_by_target or record.valid_by_element
    note = f"epoch {record.epoch}: train {record.train:.4f}"
    if parts:
        inside = " ".join(f"{name} {value:.4f}" for name, value in parts.items())
        if record.valid_by_target:
            inside = " ".join(f"{t} {rmse:.4f} {TARGETS[t].unit}" for t, rmse in parts.items())
        note += f" valid {record.valid:.4f} ({inside})"
    return f"{note} {_unit(target)}"


# ---------------------------------------------------------------------- state and card


def _write_state(
    job: TrainingJob, finished: Sequence[Mapping[str, Any]], unfinished: Mapping[str, Any] | None
) -> None:
    buffer = io.BytesIO()
    state = {"job": job.fingerprint, "finished": list(finished), "unfinished": unfinished}
    torch.save(state, buffer)
    write_output(job.state_path, buffer.getvalue())


def _read_state(
    job: TrainingJob, restart: bool
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Finished members and the state of the one under way."""
    path = job.state_path
    if not path.exists():
        if restart:
            raise InputError(
                path, "training state", "no such file", "the state of a job to go on with"
            )
        _write_state(job, [], None)  # says at once whether the output can be written
        return [], None
    if not restart:
        raise InputError(path, "training state", "an unfinished job", "--restart, or no such file")
    try:
        state = torch.load(path, weights_only=True)
        earlier = state["job"]
    except Exception as error:
        raise InputError(
            path, "training state", "not a training state", "one to go on with"
        ) from error
    for key, value in job.fingerprint.items():
        if earlier.get(key) != value:
            raise InputError(path, key, value, f"{earlier.get(key)}, as the job began")
    return state["finished"], state["unfinished"]


def _plain(records: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    return [asdict(record) for record in records]


def _card(
    job: TrainingJob,
    checkpoint: Checkpoint,
    start: Checkpoint | None,
    training: Sequence[LabelledFrame],
    validation: Sequence[LabelledFrame],
) -> dict[str, Any]:
    predictor = Predictor(checkpoint, neutral=False)
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
        "start_from": (
            None if start is None else f"{Path(job.start_from).name} {start.sha256[:12]}"
        ),
        "validation_data": job.valid.name if job.valid else f"{len(validation)} frames held out",
        "training_rmse": _rmses(predictor, training),
        "validation_rmse": _rmses(predictor, validation) if validation else None,
        "training_settings": asdict(job.training),
        "package_version": __version__,
        **job.card,
    }


def _rmses(predictor: Predictor, frames: Sequence[LabelledFrame]) -> Any:
    """RMSE in the target's unit; of several targets one for each that has labels."""
    targets = [t for t in predictor.targets if any(f.has_label(t).any() for f in frames)]
    found = evaluate_targets(predictor, frames, targets)
    rmses = {target: evaluation.rmse for target, evaluation in found.items()}
    return _single(rmses) if len(predictor.targets) == 1 else rmses


def _single(values: dict[str, Any]) -> Any:
    """The value of a single target; of several all."""
    return next(iter(values.values())) if len(values) == 1 else values
