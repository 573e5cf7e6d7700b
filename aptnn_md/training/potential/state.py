"""The state file of the training of a committee of potentials."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.models.archive import file_content, read_archive

FORMAT = "aptnn_md.potential_training"
VERSION = 1

_EXPECTED = f"a training state ({FORMAT}, version {VERSION}); remove it to start again"


@dataclass
class PotentialState:
    """Networks of a job, finished or not, in the order of their seeds.

    Attributes
    ----------
    path : of the file
    job : what a resumed job must have in common with this one
    members : of each network that was begun ``configuration``, ``trainer``
        (:meth:`~aptnn_md.training.potential.trainer.PotentialTrainer.state`) and ``ended``, empty
        while it is in training
    """

    path: Path
    job: Mapping[str, Any]
    members: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> None:
        """Replace the file, whole or not at all."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "job": dict(self.job),
            "members": self.members,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_output(self.path, buffer.getvalue())

    def read(self, device: str) -> Mapping[str, Any]:
        """Take over what the file says, and return the job that it is of.

        Raises
        ------
        InputError
            It is damaged, or the state of another job.
        """
        content = file_content(self.path, _EXPECTED)
        state = read_archive(self.path, content, _EXPECTED, device=device)
        if not isinstance(state, dict) or (state.get("format"), state.get("version")) != (
            FORMAT,
            VERSION,
        ):
            raise InputError(self.path, "training state", "another file or version", _EXPECTED)
        if not isinstance(state.get("job"), dict) or not isinstance(state.get("members"), list):
            raise InputError(self.path, "training state", "other content", _EXPECTED)
        for key, value in self.job.items():
            if state["job"].get(key) != value:
                earlier = f"{state['job'].get(key)}, as when the job began"
                raise InputError(self.path, key, value, earlier)
        self.members = state["members"]
        job: Mapping[str, Any] = state["job"]
        return job

    @property
    def complete(self) -> bool:
        """Whether all networks had their whole schedules: more time would change nothing."""
        at_end = [bool(member["ended"]) and not member["by_clock"] for member in self.members]
        return len(at_end) == self.job["committee"] and all(at_end)


def has_ended(path: Path) -> bool:
    """Whether the job whose state this is came to its end; its time limit may have ended it."""
    state = PotentialState(path, {})
    try:
        job = state.read("cpu")
    except InputError:
        return False
    ended = [bool(member["ended"]) for member in state.members]
    return len(ended) == job["committee"] and all(ended)
