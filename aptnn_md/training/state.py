"""The state file of a training job: with it a killed job continues as if nothing had happened."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.models.archive import file_content, read_archive
from aptnn_md.prediction.model_file import model_path
from aptnn_md.progress import log
from aptnn_md.training.dataset import file_sha256
from aptnn_md.training.settings import TrainingJob
from aptnn_md.training.trainer import Trainer

FORMAT = "aptnn_md.training"
VERSION = 5


def fingerprint(job: TrainingJob) -> dict[str, Any]:
    """What a resumed job must have in common with the one it continues; it may have more time."""
    training = asdict(job.training)
    del training["max_minutes"]
    return {
        "data": file_sha256(job.data),
        "valid": file_sha256(job.valid) if job.valid else str(job.valid_fraction),
        "start_from": file_sha256(model_path(job.start_from)) if job.start_from else "",
        "target": job.target,
        "keys": dict(job.keys),
        "transpose": job.transpose,
        "network": job.network,
        "network_settings": dict(job.network_settings),
        "committee": job.committee,
        "training": training,
    }


@dataclass(frozen=True)
class StateFile:
    """Finished networks of a job and the state of the one in training.

    Attributes
    ----------
    path : of the file
    job : :func:`fingerprint` of the job
    device : where tensors are put on reading
    """

    path: Path
    job: Mapping[str, Any]
    device: str = "cpu"

    @classmethod
    def of(cls, job: TrainingJob) -> StateFile:
        """The state file of a job."""
        return cls(job.state_path, fingerprint(job), job.device)

    def write(
        self, finished: Sequence[Mapping[str, Any]], unfinished: Mapping[str, Any] | None
    ) -> None:
        """Replace the file, whole or not at all."""
        state = {
            "format": FORMAT,
            "version": VERSION,
            "job": dict(self.job),
            "finished": list(finished),
            "unfinished": unfinished,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_output(self.path, buffer.getvalue())

    def begin(self, restart: bool) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Finished networks and the state of the unfinished one, both empty for a new job.

        A new job replaces the state that one which ended has left. With ``restart`` a job begins
        where there is neither a state nor a model, so that one command begins and resumes.

        Raises
        ------
        InputError
            The state of an unfinished job without ``restart``, the model of one that has ended with
            it, a state that cannot be read or one of another job.
        """
        if not self.path.exists():
            model = self.path.with_suffix("")
            if restart and model.exists():
                found = f"no such file, but {model.name}: the job has ended"
                expected = "the state of a job to resume; without --restart a new one begins"
                raise InputError(self.path, "training state", found, expected)
            if restart:
                log.info("%s: no such file: a new job begins", self.path)
            self.write([], None)  # tells at once whether the output can be written
            return [], None
        if not restart:
            if not self._has_ended():
                expected = "--restart to resume it, or no such file"
                raise InputError(self.path, "training state", "an unfinished job", expected)
            self.write([], None)
            return [], None
        state = self._read()
        for key, value in self.job.items():
            if state["job"].get(key) != value:
                earlier = f"{state['job'].get(key)}, as when the job began"
                raise InputError(self.path, key, value, earlier)
        return state["finished"], state["unfinished"]

    def _has_ended(self) -> bool:
        """Whether the job whose state this is came to its end; its time limit may have ended it."""
        try:
            state = self._read()
        except InputError:
            return False
        return state["unfinished"] is None and len(state["finished"]) == state["job"]["committee"]

    def _read(self) -> dict[str, Any]:
        expected = f"a training state ({FORMAT}, version {VERSION}); remove it to start again"
        content = file_content(self.path, expected)
        try:
            state = read_archive(self.path, content, expected, device=self.device)
        except InputError as error:
            found = f"not a training state, or a damaged one: {error.found}"
            raise InputError(self.path, "training state", found, expected) from error
        if not isinstance(state, dict) or "job" not in state:
            raise InputError(self.path, "training state", "not a training state", expected)
        if (state.get("format"), state.get("version")) != (FORMAT, VERSION):
            found = "the state of another version of aptnn_md"
            expected += ", or end the job with that version, whose batches were other ones"
            raise InputError(self.path, "training state", found, expected)
        return state


class NetworksInTraining:
    """The networks of a job in the order of their seeds, and the file that keeps their states.

    Parameters
    ----------
    file : where they are kept
    restart : whether what is there is resumed
    """

    def __init__(self, file: StateFile, restart: bool) -> None:
        self._file = file
        self.finished, self._unfinished = file.begin(restart)

    def earlier(self, member: int) -> Mapping[str, Any] | None:
        """The state from which a network is resumed; None for a new one, and one at its end."""
        if member < len(self.finished):
            state: Mapping[str, Any] | None = self.finished[member]["state"]
            return state
        return self._unfinished

    def has_ended(self, member: int) -> bool:
        """Whether a network has had its whole schedule: more time would change nothing."""
        return member < len(self.finished) and self.finished[member]["state"] is None

    def keep(self, member: int, trainer: Trainer) -> None:
        """Write the state of a network that is in training."""
        if member < len(self.finished):
            self.finished[member] = _entry(trainer, trainer.state())
        else:
            self._unfinished = trainer.state()
        self._file.write(self.finished, self._unfinished)

    def end(self, member: int, trainer: Trainer) -> None:
        """Write a finished network, with its state if a time limit ended it."""
        if member == len(self.finished):
            self._unfinished = None
        state = trainer.state() if trainer.ending.by_clock else None
        self.finished[member : member + 1] = [_entry(trainer, state)]
        self._file.write(self.finished, self._unfinished)

    def records(self, member: int, trainer: Trainer) -> list[list[dict[str, Any]]]:
        """The epochs of all networks so far, of which one is in training."""
        records = [network["records"] for network in self.finished]
        records[member : member + 1] = [_plain(trainer)]
        return records

    def remove(self) -> None:
        """Remove the file, unless a network could be resumed with more time."""
        if all(network["state"] is None for network in self.finished):
            self._file.path.unlink(missing_ok=True)


def _entry(trainer: Trainer, state: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "weights": trainer.weights(),
        "records": _plain(trainer),
        "ended": str(trainer.ending),
        "state": state,
    }


def _plain(trainer: Trainer) -> list[dict[str, Any]]:
    return [asdict(record) for record in trainer.records]
