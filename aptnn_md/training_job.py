"""A training job: from files to a model file, with log, picture and restart."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols

from aptnn_md import __version__
from aptnn_md.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from aptnn_md.dataset import LabelledFrame, elements_of, file_sha256, read_labelled, split
from aptnn_md.errors import InputError
from aptnn_md.evaluation import evaluate
from aptnn_md.files import write_output
from aptnn_md.models.tensor_model import TensorModel, fresh_model
from aptnn_md.predictor import Predictor
from aptnn_md.progress import Progress
from aptnn_md.training import EpochRecord, Trainer, TrainingSettings, with_epochs


@dataclass(frozen=True)
class TrainingJob:
    """What to train on what, and where to put it.

    Attributes
    ----------
    data : labelled frames, extxyz
    out : model file to write; log (.csv), learning curve (.png) and state stand beside it
    valid : frames for validation; without it ``valid_fraction`` of the frames of ``data``, and with
        a fraction of 0 nothing is held out and the last weights are kept
    target, network, network_settings : see :class:`~aptnn_md.models.tensor_model.TensorModel`
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
    committee: int = 1
    training: TrainingSettings = field(default_factory=TrainingSettings)
    device: str = "cpu"
    card: Mapping[str, str] = field(default_factory=dict)

    @property
    def state_path(self) -> Path:
        """State of a job that has not ended."""
        return self.out.with_suffix(self.out.suffix + ".state")

    def fingerprint(self) -> dict[str, Any]:
        """What a restarted job must have in common with the one it continues."""
        return {
            "data": file_sha256(self.data),
            "valid": file_sha256(self.valid) if self.valid else str(self.valid_fraction),
            "target": self.target,
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
    elements = elements_of([*training, *validation])
    config = TensorModel(job.network, elements, job.target, job.network_settings).settings
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
        trainer = Trainer(model.to(job.device), training, validation, settings)
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
    card = _card(job, checkpoint, training, validation)
    save_checkpoint(job.out, replace(checkpoint, card=card))
    job.state_path.unlink(missing_ok=True)
    return load_checkpoint(job.out)


def _frames(job: TrainingJob) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    frames = read_labelled(job.data, job.target)
    if job.valid is not None:
        return frames, read_labelled(job.valid, job.target)
    if len(frames) < 2 and job.valid_fraction > 0.0:
        raise InputError(
            job.data, "frames", len(frames), "at least 2, or a validation file (--valid)"
        )
    return split(frames, job.valid_fraction, job.training.seed)


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
            progress.update(int(100 * trainer.fraction) - progress.done, _note(record))
    draw_learning_curves([*earlier, _plain(trainer.records)], job.out.with_suffix(".png"))


def _note(record: EpochRecord) -> str:
    """RMSEs of an epoch in one line."""
    note = f"epoch {record.epoch}: train {record.train:.4f}"
    if record.valid_by_element:
        by_element = record.valid_by_element.items()
        elements = " ".join(f"{name} {value:.4f}" for name, value in by_element)
        note += f" valid {record.valid:.4f} ({elements})"
    return f"{note} e"


# ---------------------------------------------------------------------- state, log and card


def _write_state(
    job: TrainingJob, finished: Sequence[Mapping[str, Any]], unfinished: Mapping[str, Any] | None
) -> None:
    buffer = io.BytesIO()
    state = {"job": job.fingerprint(), "finished": list(finished), "unfinished": unfinished}
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
    for key, value in job.fingerprint().items():
        if earlier.get(key) != value:
            raise InputError(path, key, value, f"{earlier.get(key)}, as the job began")
    return state["finished"], state["unfinished"]


def _plain(records: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    return [asdict(record) for record in records]


def log_table(members: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """The epochs of all members as CSV; RMSEs in the target's unit (e for APTs)."""
    text = io.StringIO()
    elements = list(members[0][0]["valid_by_element"])
    writer = csv.writer(text, lineterminator="\n")
    header = ["member", "epoch", "seconds", "learning_rate", "train_rmse", "valid_rmse"]
    writer.writerow(header + [f"valid_rmse_{name}" for name in elements])
    for number, records in enumerate(members):
        for record in records:
            row = [record[key] for key in ("epoch", "seconds", "learning_rate", "train", "valid")]
            by_element = [record["valid_by_element"].get(name, float("nan")) for name in elements]
            writer.writerow([number, row[0], *(f"{value:.6g}" for value in row[1:] + by_element)])
    return text.getvalue()


def draw_learning_curves(members: Sequence[Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Training and validation RMSE against the epoch, for each member."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for number, records in enumerate(members):
        epochs = [record["epoch"] for record in records]
        colour, many = f"C{number}", len(members) > 1
        suffix = f" {number + 1}" if many else ""
        for key, style, label in (("train", ":", "training"), ("valid", "-", "validation")):
            values = [record[key] for record in records]
            if np.isfinite(values).any():
                axes.plot(epochs, values, style, color=colour, label=label + suffix)
    axes.set(xscale="log", yscale="log", xlabel="epoch", ylabel="RMSE / e")
    axes.grid(which="both", alpha=0.3)
    axes.legend(frameon=False, ncols=max(1, len(members) // 2))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_output(path, buffer.getvalue())


def _card(
    job: TrainingJob,
    checkpoint: Checkpoint,
    training: Sequence[LabelledFrame],
    validation: Sequence[LabelledFrame],
) -> dict[str, Any]:
    predictor = Predictor(checkpoint, neutral=False)
    return {
        "elements": [chemical_symbols[z] for z in predictor.elements],
        "cutoff": predictor.cutoff,
        "training_data": job.data.name,
        "training_data_sha256": file_sha256(job.data),
        "training_frames": len(training),
        "training_atoms": int(sum(frame.labelled.sum() for frame in training)),
        "validation_data": job.valid.name if job.valid else f"{len(validation)} frames held out",
        "training_rmse": evaluate(predictor, training).rmse,
        "validation_rmse": evaluate(predictor, validation).rmse if validation else None,
        "training_settings": asdict(job.training),
        "package_version": __version__,
        **job.card,
    }
