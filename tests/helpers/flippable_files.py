"""Small files of every kind that a run, a job or a user keeps, and what is made of them.

Each function makes files in a directory; what uses them works on a copy where it would change them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aptnn_md.engines.ase.ensemble_state import EnsembleState
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.errors import RunError
from aptnn_md.files import write_output
from aptnn_md.learning import runs as module_of_runs
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.potential.state import PotentialState
from aptnn_md.training.state import StateFile, fingerprint
from helpers import campaigns, increment_streams, short_runs
from helpers.flips import Flippable
from helpers.processes import FORK
from helpers.systems import random_checkpoint, triclinic


def model(directory: Path) -> Flippable:
    """A model file: tensors of a structure."""
    path, atoms = directory / "model.pt", triclinic(1)
    write_model_file(path, random_checkpoint())
    return Flippable([path], lambda: Predictor.from_file(path, neutral=False)(atoms).tobytes())


def stream(directory: Path) -> Flippable:
    """All files of a stream: its header and arrays."""
    short_runs.md(directory)
    path = directory / "stream"
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return Flippable(files, lambda: short_runs.stream_content(path))


def training_state(directory: Path) -> Flippable:
    """The state of a job whose second network is in training: all tensors and numbers."""
    short_runs.prepare_training(directory)
    job = short_runs.training_job(directory)
    _train_until_the_second(directory)
    state = StateFile(job.state_path, fingerprint(job))
    finished, unfinished = state.begin(restart=True)
    assert len(finished) == 1
    assert unfinished
    return Flippable([job.state_path], lambda: short_runs.plain(state.begin(restart=True)))


class _Enough(BaseException):
    """Ends a training that no handler is to rescue."""


def _train_until_the_second(directory: Path) -> None:
    # the first is empty; then three epochs and the end of the first network
    left = [None] * 6

    def write(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        left.pop()
        if not left:
            raise _Enough

    original = StateFile.write
    with patch.object(StateFile, "write", write), suppress(_Enough):
        short_runs.train(directory)


def checkpoint(directory: Path) -> Flippable:
    """A checkpoint of MD: the state to resume from."""
    short_runs.md(directory)
    path = directory / "run.npz"
    return Flippable([path], lambda: short_runs.plain(vars(DynamicsState.read(path))))


def ensemble(directory: Path) -> Flippable:
    """The file of an ensemble: which runs there are."""
    short_runs.ensemble(directory)
    path = directory / "runs"
    return Flippable([path / "ensemble.json"], lambda: short_runs.ensemble_content(path))


def ensemble_checkpoint(directory: Path) -> Flippable:
    """A checkpoint of an ensemble in the middle of a run: the states to resume from."""
    short_runs.ensemble(directory)
    path = directory / "run.npz"
    state = EnsembleState.read(path)
    replace(state, run=state.chain).write(path)

    def content() -> object:
        found = EnsembleState.read(path)
        assert found.run is not None
        states = [short_runs.plain(vars(each)) for each in (found.chain, found.run)]
        return found.n_done, states

    return Flippable([path], content)


def trail(directory: Path) -> Flippable:
    """The trail of a client that was killed: the stream of the run's continuation.

    The server resumes from a step that was answered; a client that does not know it refuses.
    """
    steps = increment_streams.paths(1, 9)
    return _trail(directory, steps[:7], [(beads, None) for beads in steps[6:]], ("steps", "last"))


def trail_of_beads(directory: Path) -> Flippable:
    """The same of a client that was killed between the beads of a step."""
    steps = increment_streams.paths(2, 9)
    rest = [(steps[7], (1,)), (steps[8], None)]
    return _trail(directory, [*steps[:7], steps[7][:1]], rest, ("beads",))


def _trail(
    directory: Path, before: list[Any], rest: list[Any], names: tuple[str, ...]
) -> Flippable:
    original, copy = directory / "original", directory / "copy"
    process = FORK.Process(target=_stream_and_die, args=(original, before))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    def resumed() -> object:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        stream = increment_streams.new(copy / "s", len(before[0]), groups="element")
        try:
            for beads, order in rest:
                increment_streams.feed(stream, beads, order)
        finally:
            stream.close()
        return short_runs.stream_content(copy / "s")

    return Flippable([original / "s.trail" / name for name in names], resumed)


def _stream_and_die(directory: Path, steps: list[Any]) -> None:
    directory.mkdir()
    increment_streams.feed_all(directory / "s", steps, n_committed=4, groups="element")
    os.kill(os.getpid(), signal.SIGKILL)


def point(directory: Path) -> Flippable:
    """Files of a frame's single points: the labelled file."""
    short_runs.label(directory)
    files = sorted((directory / "out.extxyz.work").glob("*/*.json"))
    assert len(files) == 2 * 7

    def labelled() -> object:
        out = directory / "out.extxyz"
        out.unlink(missing_ok=True)
        short_runs.label(directory)
        if "label_status=failed" in out.read_text():
            raise RunError(f"{files[0].parent.name}: a frame failed, as the file says")
        return out.read_bytes()

    return Flippable(files[:1], labelled)


def replicas(directory: Path) -> Flippable:
    """The state of replicas at their end: their frames."""
    campaigns.replicas_of(directory)
    return Flippable([directory / "r.npz"], lambda: campaigns.replicas_of(directory))


def runs(directory: Path) -> Flippable:
    """The state of runs that were interrupted: their streams when they are resumed."""
    original, copy = directory / "original", directory / "copy"
    process = FORK.Process(target=_run_and_die, args=(original,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    def resumed() -> object:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        campaigns.make_some_runs(copy)
        return campaigns.runs_content(copy)

    return Flippable([original / "runs" / "state.npz"], resumed)


def _run_and_die(directory: Path) -> None:
    original, left = write_output, [None] * 2

    def write(path: Path, data: bytes) -> None:
        original(path, data)
        left.pop()
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(module_of_runs, "write_output", write)  # noqa: B010
    campaigns.make_some_runs(directory)


def frames_of_campaign(directory: Path) -> Flippable:
    """Structures of a campaign, whose checksum is in another file."""
    campaigns.documents(directory)
    path = directory / "out" / "start.extxyz"
    return Flippable([path], lambda: campaigns.checked_start(directory))


def document(name: str) -> Callable[[Path], Flippable]:
    """A JSON file of a campaign: what is read from it."""

    def made(directory: Path) -> Flippable:
        return Flippable([directory / name], campaigns.documents(directory)[name])

    return made


def potential_state(directory: Path) -> Flippable:
    """The state of the training of potentials whose second network is in training."""
    campaigns.prepare_potential(directory)
    left = [None] * 5

    def write(state: PotentialState) -> None:
        original(state)
        left.pop()
        if not left:
            raise _Enough

    original = PotentialState.write
    with patch.object(PotentialState, "write", write), suppress(_Enough):
        campaigns.train_potential(directory)
    path = directory / "p.json.state"

    def content() -> object:
        state = PotentialState(path, {})
        job = state.read("cpu")
        return repr(job), short_runs.plain(state.members)

    return Flippable([path], content)


FLIPPABLE: dict[str, Callable[[Path], Flippable]] = {
    "model": model,
    "stream": stream,
    "training state": training_state,
    "checkpoint": checkpoint,
    "ensemble": ensemble,
    "checkpoint of an ensemble": ensemble_checkpoint,
    "trail": trail,
    "beads of a trail": trail_of_beads,
    "point": point,
    "replicas": replicas,
    "runs": runs,
    **{f"{name} of a campaign": document(name) for name in campaigns.DOCUMENTS},
    "frames of a campaign": frames_of_campaign,
}

if importlib.util.find_spec("mace") is not None:
    FLIPPABLE["state of a potential"] = potential_state
