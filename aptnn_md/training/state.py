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
from aptnn_md.training.dataset import file_sha256
from aptnn_md.training.settings import TrainingJob

FORMAT = "aptnn_md.training"
VERSION = 2


def fingerprint(job: TrainingJob) -> dict[str, Any]:
    """What a resumed job must have in common with the one it continues."""
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
        "training": asdict(job.training),
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

        Raises
        ------
        InputError
            A state file without ``restart``, none with it, one that cannot be read or one of
            another job.
        """
        if not self.path.exists():
            if restart:
                expected = "the state of a job to resume; without --restart a new one begins"
                raise InputError(self.path, "training state", "no such file", expected)
            self.write([], None)  # tells at once whether the output can be written
            return [], None
        if not restart:
            expected = "--restart to resume it, or no such file"
            raise InputError(self.path, "training state", "an unfinished job", expected)
        state = self._read()
        for key, value in self.job.items():
            if state["job"].get(key) != value:
                earlier = f"{state['job'].get(key)}, as when the job began"
                raise InputError(self.path, key, value, earlier)
        return state["finished"], state["unfinished"]

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
            raise InputError(self.path, "training state", found, expected)
        return state
