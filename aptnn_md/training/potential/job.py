"""Training potentials: from frames to stored potentials, with log, picture and restart."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.data import chemical_symbols

from aptnn_md._version import __version__
from aptnn_md.errors import InputError
from aptnn_md.files import refuse_overwriting, write_output
from aptnn_md.models.devices import torch_device
from aptnn_md.potentials.loading import load_potential, stored_path
from aptnn_md.potentials.stored import header_of, write_potential
from aptnn_md.potentials.stored_committee import is_committee, read_committee, write_committee
from aptnn_md.progress import Progress
from aptnn_md.training.holding_out import held_out, refuse_known, refuse_unlearned
from aptnn_md.training.log import draw_learning_curves, log_table
from aptnn_md.training.potential.evaluation import PotentialErrors, potential_errors
from aptnn_md.training.potential.frames import (
    EnergyFrame,
    charges_of,
    digest_of,
    energy_frames,
    read_energy_frames,
)
from aptnn_md.training.potential.network import first_network, trained_network
from aptnn_md.training.potential.reference import named
from aptnn_md.training.potential.settings import PotentialJob, PotentialSettings
from aptnn_md.training.potential.state import PotentialState, has_ended
from aptnn_md.training.potential.trainer import PotentialTrainer

log = logging.getLogger(__name__)

SAVED_EVERY = 20.0
"""Seconds between two writings of the state."""


@dataclass(frozen=True)
class PotentialResult:
    """What a training gave.

    Attributes
    ----------
    path : of the potential, or of the committee
    members : files of the networks
    training, validation : errors of the potential, of a committee those of its mean
    endings : how the training of each network ended
    """

    path: Path
    members: tuple[Path, ...]
    training: PotentialErrors
    validation: PotentialErrors | None
    endings: tuple[str, ...]


def train_potential(
    frames: Sequence[Atoms],
    settings: PotentialSettings,
    out: str | os.PathLike[str],
    seed: int,
    start_from: str | os.PathLike[str] | None = None,
    max_minutes: float = math.inf,
) -> Path:
    """Train one network on all frames that have an energy or forces, and store it.

    A call after a kill resumes by the state next to ``out``; where ``out`` is there, nothing
    happens.

    Parameters
    ----------
    frames : structures with labels (:func:`~aptnn_md.training.potential.frames.energy_frames`)
    settings : see :class:`~aptnn_md.training.potential.settings.PotentialSettings`
    out : ``NAME.json`` to write; weights go to ``NAME.pt``
    seed : of initial weights and order of frames
    start_from : stored potential to begin with, instead of random weights
    max_minutes : the schedule ends after this time of work; then no two trainings are equal

    Returns
    -------
    ``out``
    """
    out = Path(out)
    if out.exists():
        return out
    start = os.fspath(start_from) if start_from is not None else ""
    job = PotentialJob(
        data=Path("frames"),
        out=out,
        valid_fraction=0.0,
        start_from=start,
        seed=seed,
        max_minutes=max_minutes,
        settings=settings,
    )
    _Training(job, energy_frames(frames), [], restart=_state_path(out).exists()).run()
    return out


def run_potential_training(job: PotentialJob, restart: bool = False) -> PotentialResult:
    """Train a potential or a committee, or resume with ``restart``, and store it.

    A training that the time limit ended keeps its state, so that it can be resumed with more.

    Raises
    ------
    InputError
        Data, settings or output that cannot be used; the state of an unfinished job without
        ``restart``, none with it, or one of another job.
    RunError
        Training diverged.
    """
    refuse_overwriting(job.out.with_suffix(".pt"), job.data, job.valid)
    refuse_overwriting(job.out, job.data, job.valid)
    frames = read_energy_frames(job.data, job.keys)
    if job.valid is not None:
        training, validation = frames, read_energy_frames(job.valid, job.keys)
        refuse_known(job.data, _structures(training), job.valid, _structures(validation))
    else:
        training, validation = _split(job, frames)
    learned = {int(z) for frame in training for z in frame.atoms.numbers}
    refuse_unlearned(
        job.data, "energies and forces", learned, _structures([*training, *validation])
    )
    return _Training(job, training, validation, restart).run()


def _split(
    job: PotentialJob, frames: Sequence[EnergyFrame]
) -> tuple[list[EnergyFrame], list[EnergyFrame]]:
    chosen = held_out(_structures(frames), job.valid_fraction, job.seed)
    if len(chosen) == len(frames):
        expected = "at least 2 structures, --valid with other frames, or --valid-fraction 0"
        raise InputError(job.data, "frames", len(frames), expected)
    training = [frame for k, frame in enumerate(frames) if k not in chosen]
    return training, [frames[k] for k in sorted(chosen)]


def _structures(frames: Sequence[EnergyFrame]) -> list[Atoms]:
    return [frame.atoms for frame in frames]


def _state_path(out: Path) -> Path:
    return out.with_suffix(out.suffix + ".state")


class _Training:
    """The work of a job on its frames."""

    def __init__(
        self,
        job: PotentialJob,
        training: Sequence[EnergyFrame],
        validation: Sequence[EnergyFrame],
        restart: bool,
    ) -> None:
        torch_device(job.settings.device)
        self.job, self.training, self.validation = job, training, validation
        numbers = [frame.atoms.numbers for frame in (*training, *validation)]
        self.elements = sorted({int(z) for of_frame in numbers for z in of_frame})
        self.starts = _starts(job.start_from)
        self.state = PotentialState(_state_path(job.out), self._fingerprint())
        self._begin(restart)

    def _fingerprint(self) -> dict[str, Any]:
        settings = asdict(self.job.settings)
        settings["atomic_energies"] = dict(settings["atomic_energies"])
        return {
            "data": digest_of(self.training),
            "valid": digest_of(self.validation),
            "start_from": [digest for _, digest in self.starts],
            "committee": self.job.committee,
            "seed": self.job.seed,
            "settings": {k: v for k, v in settings.items() if k != "device"},
        }

    def _begin(self, restart: bool) -> None:
        path = self.state.path
        if restart:
            if not path.exists():
                expected = "the state of a job to resume; without --restart a new one begins"
                raise InputError(path, "training state", "no such file", expected)
            self.state.read(self.job.settings.device)
            return
        if path.exists() and not has_ended(path):
            expected = "--restart to resume it, or no such file"
            raise InputError(path, "training state", "an unfinished job", expected)
        self.state.write()  # tells at once whether the output can be written

    def run(self) -> PotentialResult:
        for member in range(self.job.committee):
            known = self.state.members[member : member + 1]
            if known and known[0]["ended"] and not known[0]["by_clock"]:
                continue
            self._train(member, known[0] if known else None)
        result = self._store()
        if self.state.complete:
            self.state.path.unlink(missing_ok=True)
        return result

    def _trainer(
        self, member: int, earlier: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], PotentialTrainer]:
        job, seed = self.job, self.job.seed + member
        if self.starts:
            start, _ = self.starts[member % len(self.starts)]
            configuration, network = trained_network(
                start, job.settings, self.training, self.elements
            )
        else:
            configuration, network = first_network(job.settings, self.training, self.elements, seed)
        minutes = job.max_minutes / job.committee
        trainer = PotentialTrainer(
            network, self.training, self.validation, job.settings, seed, minutes
        )
        if earlier is not None:
            trainer.load_state(earlier["trainer"])
        return configuration, trainer

    def _train(self, member: int, earlier: Mapping[str, Any] | None) -> None:
        configuration, trainer = self._trainer(member, earlier)
        title = "training"
        if self.job.committee > 1:
            title += f" network {member + 1} of {self.job.committee}"
        saved = time.monotonic()
        with Progress(100, title, "%") as progress:
            progress.update(int(100 * trainer.fraction))
            while not trainer.finished:
                record = trainer.run_round()
                progress.update(int(100 * trainer.fraction) - progress.done, _note(record))
                if time.monotonic() - saved > SAVED_EVERY:
                    self._keep(member, configuration, trainer, ended="")
                    saved = time.monotonic()
        self._keep(member, configuration, trainer, ended=str(trainer.ending))
        if trainer.ending.by_clock:
            minutes = trainer.ending.minutes_needed * self.job.committee
            log.warning(
                "%s ended by %s; resume it with --restart --max-minutes %.3g for all of them",
                *(title, trainer.ending, minutes),
            )

    def _keep(
        self, member: int, configuration: dict[str, Any], trainer: PotentialTrainer, ended: str
    ) -> None:
        result = trainer.result(configuration) if ended else None
        entry = {
            "configuration": result.configuration if result else configuration,
            "weights": result.weights if result else {},
            "errors": result.errors if result else {},
            "trainer": trainer.state(),
            "ended": ended,
            "by_clock": bool(ended) and trainer.ending.by_clock,
        }
        self.state.members[member : member + 1] = [entry]
        self.state.write()
        write_output(self.job.out.with_suffix(".csv"), log_table(self._records()).encode())

    def _records(self) -> list[list[dict[str, Any]]]:
        return [member["trainer"]["records"] for member in self.state.members]

    # ------------------------------------------------------------------ results

    def _store(self) -> PotentialResult:
        """Write potentials, the committee last, so that it never names what is not there."""
        out, members = self.job.out, self.state.members
        files = [out]
        if len(members) > 1:
            files = [out.with_name(f"{out.stem}-{k + 1}.json") for k in range(len(members))]
        card = self._card()
        for number, (file, member) in enumerate(zip(files, members, strict=True)):
            write_potential(
                file,
                member["configuration"],
                member["weights"],
                {**card, **self._errors_of(member), "seed": self.job.seed + number},
            )
        if len(members) > 1:
            write_committee(out, files, {**card, "seed": self.job.seed})
        draw_learning_curves(self._records(), out.with_suffix(".png"), "(eV/Å)")
        potential = load_potential(
            out, device=self.job.settings.device, dtype=self.job.settings.dtype
        )
        return PotentialResult(
            out,
            tuple(files),
            potential_errors(potential, self.training),
            potential_errors(potential, self.validation) if self.validation else None,
            tuple(member["ended"] for member in members),
        )

    def _errors_of(self, member: Mapping[str, Any]) -> dict[str, Any]:
        """Errors of a network in its last record, for its card."""
        last = member["trainer"]["records"][-1]
        return {
            "training_ended": member["ended"],
            "training_rmse": member["errors"],
            "validation_rmse": last["valid_by_target"] or None,
        }

    def _card(self) -> dict[str, Any]:
        job, first = self.job, self.state.members[0]["configuration"]
        (energies,) = first["atomic_energies"]
        return {
            "elements": [chemical_symbols[z] for z in self.elements],
            "training_data": job.data.name,
            "training_data_sha256": digest_of(self.training),
            "training_frames": len(self.training),
            "validation_frames": len(self.validation),
            "charges": charges_of(self.training),
            "atomic_energies": named(energies, first["atomic_numbers"]),
            "start_from": [f"{Path(name).name} {digest[:12]}" for name, digest in self.starts],
            "training_settings": _plain(asdict(job.settings)),
            "package_version": __version__,
            **job.card,
        }


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in settings.items()}


def _starts(start_from: str) -> list[tuple[str, str]]:
    """Files of the potentials to begin with, and their digests."""
    if not start_from:
        return []
    path = stored_path(start_from)
    files = read_committee(path).members if is_committee(path) else (path,)
    return [(str(file), str(header_of(file)["weights_sha256"])) for file in files]


def _note(record: Any) -> str:
    """Errors in one line."""
    parts = record.valid_by_target or record.train_by_target
    which = "held out" if record.valid_by_target else "training"
    return (
        f"epoch {record.epoch}: {which} forces {parts['forces']:.4f} eV/Å, "
        f"energy {1e3 * parts['energy']:.2f} meV/atom"
    )
