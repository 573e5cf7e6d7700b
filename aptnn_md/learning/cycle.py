"""One cycle: train, sample, select, label, test, judge; and the end, which takes longer.

Each step leaves a file and does nothing where that exists, so a cycle that was killed simply runs
through all steps again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.errors import RunError
from aptnn_md.learning import harmonic, steps
from aptnn_md.learning.balance import Balance
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import (
    CampaignDirectory,
    Stage,
    read_frames,
    system_names,
    write_frames,
)
from aptnn_md.learning.engine_potential import EngineCalculator
from aptnn_md.learning.first_dynamics import bonds_of_systems, sample_first
from aptnn_md.learning.harmonic import ENGINE, HarmonicCheck, Lines
from aptnn_md.learning.honest import HonestTest, honest_test_of_systems
from aptnn_md.learning.judgement import (
    Judgement,
    SpectrumErrors,
    unknown_potential_errors,
    what_is_missing,
)
from aptnn_md.learning.judging import (
    equilibrated,
    kinds_of,
    model_lines,
    run_dynamics,
)
from aptnn_md.learning.labelling import label_frames
from aptnn_md.learning.measured import Measured
from aptnn_md.learning.replicas import Replica
from aptnn_md.learning.runs import BrokenRunsError
from aptnn_md.learning.sampling import (
    ORIGIN,
    RANDOM,
    Choice,
    choose,
    draw_last,
    sample_replicas,
)
from aptnn_md.learning.seals import FrameSeals
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.learning.spectrum_errors import spectrum_errors
from aptnn_md.learning.stage_models import StageModels, join_potential
from aptnn_md.learning.training_tasks import (
    ForceTask,
    TensorTask,
    run_tasks,
    tasks_of,
)
from aptnn_md.progress import log
from aptnn_md.spectra.output.plot_errors import draw_error_parts
from aptnn_md.targets import TARGETS
from aptnn_md.training.dataset import read_labelled

Timer = Callable[[str], None]
"""Called with the name of a step that begins."""


@dataclass(frozen=True, eq=False)
class Work:
    """What all steps of a campaign need.

    Attributes
    ----------
    settings, directory : of the campaign
    systems : start structures
    begins : told the name of each step before it
    seconds : that steps took until now
    seals : checksums of the frames
    """

    settings: CampaignSettings
    directory: CampaignDirectory
    systems: Sequence[Atoms]
    begins: Timer
    seconds: Mapping[str, float]
    seals: FrameSeals

    def first_frames(self) -> None:
        """Frames of the engine's dynamics, their labels, and the engine's harmonic lines."""
        stage = self.directory.first
        self.begins(steps.FIRST_FRAMES)
        sample_first(stage, self.settings, self.systems)
        self.begins(steps.FIRST_LABELS)
        self._label(stage)
        self.begins(steps.FIRST_MODES)
        for number in range(len(self.systems)):
            self.engine_lines(number)

    @functools.cached_property
    def bonds(self) -> list[BondGraph]:
        """Of each system, as the first dynamics leaves them."""
        return bonds_of_systems(self.directory.first, self.settings, self.systems)

    def cycle(self, number: int) -> Judgement:
        """A cycle, counted from 0."""
        stage = self.directory.cycle(number)
        before = self.directory.cycle(number - 1) if number else None
        seed = self.settings.seed + 100_003 * (number + 1)
        self.begins(steps.step_of_cycle(number, steps.TRAINING))
        self._gather(stage, number)
        self._train(tasks_of(stage, self.settings, before, self._forces), stage)
        models = StageModels.of(stage, self.settings)
        self.begins(steps.step_of_cycle(number, steps.SAMPLING))
        replicas = sample_replicas(stage, self.settings, self.bonds, models, seed)
        if not stage.frames.exists():
            earlier = Choice.read(before.averages) if before else None
            labels = self._n_labels(number)
            choose(stage, self.settings, replicas, models.tensors, earlier, seed, labels)
        self.begins(steps.step_of_cycle(number, steps.LABELLING))
        self._label(stage)
        self.begins(steps.step_of_cycle(number, steps.TEST))
        self._test(stage, models)
        self.begins(steps.step_of_cycle(number, steps.DYNAMICS))
        if not stage.judgement.exists():
            work = (self.settings.dynamics.runs, seed + 1)
            self._judge(stage, models, before, replicas, work)
        return Judgement.read(stage.judgement)

    def end(self, n_cycles: int) -> Judgement:
        """Training from random weights and longer, an honest test, dynamics and spectra.

        Parameters
        ----------
        n_cycles : that were made
        """
        stage, n_runs = self.directory.final, self.settings.dynamics.final_runs
        last = self.directory.cycle(n_cycles - 1)
        self.begins(steps.FINAL_TRAINING)
        self._set_stale_end_aside(n_cycles)
        self._gather(stage, n_cycles)
        self._train(tasks_of(stage, self.settings, None, self._forces, final=True), stage)
        models = StageModels.of(stage, self.settings)
        self.begins(steps.FINAL_TEST)
        if not stage.judgement.exists():
            seed = self.settings.seed + 2
            replicas = equilibrated(stage, self.settings, self.bonds, models, n_runs, seed)
            if draw_last(stage, replicas, self._n_random(last), seed):
                self._label(stage)
                self._test(stage, models)
            self.begins(steps.FINAL_DYNAMICS)
            self._judge(stage, models, last, replicas, (n_runs, seed))
        return Judgement.read(stage.judgement)

    def engine_lines(self, number: int) -> Lines | None:
        """Harmonic lines of the engine; None where they are not wanted or cost too much."""
        system, settings = self.systems[number], self.settings
        wanted = settings.learns_potential and settings.judging.harmonic == ENGINE
        # they take as many single points as labels of N frames
        too_large = system.pbc.any() and len(system) > settings.sampling.first_frames
        if not wanted or too_large:
            return None
        path = self.directory.engine_lines(number)
        if not path.exists():
            calculator = EngineCalculator(settings.engine)
            checkpoint = path.with_suffix(".npz")
            try:
                hessian, positions = harmonic.relaxed_hessian(system, calculator, checkpoint)
            except RunError as error:
                raise RunError(
                    f"normal modes of the engine: {error}; without them: harmonic = "
                    '"members" in [judging]'
                ) from error
            minimum = system.copy()
            minimum.positions = positions
            labelled = path.with_suffix(".extxyz")
            label_frames([minimum], settings, self.directory.points, labelled)
            (frame,) = read_labelled(labelled, settings.target)
            tensors = {name: frame.labels[name] for name in settings.properties}
            lines = harmonic.lines_of(minimum, hessian, tensors)
            harmonic.write_lines(path, {ENGINE: lines})
        return harmonic.read_lines(path)[ENGINE]

    def measured(self, stage: Stage, number: int, kind: str) -> Measured | None:
        """Spectrum of a system from the runs of a stage; None where there are none."""
        runs = stage.runs(number)
        if not (runs / "ensemble.json").exists():
            return None
        return Measured.of(runs, kind, self.settings.dynamics.resolution)

    def _train(self, tasks: Sequence[TensorTask | ForceTask], stage: Stage) -> None:
        run_tasks(tasks, self.settings)
        join_potential(stage, self.settings)

    def _n_random(self, stage: Stage) -> int:
        """Frames of the honest test of a cycle."""
        return sum(atoms.info.get(ORIGIN) == RANDOM for atoms in read_frames(stage.frames))

    @property
    def _forces(self) -> Path:
        """Frames of the first dynamics that have forces only."""
        return self.directory.first.forces

    def _label(self, stage: Stage) -> None:
        if not stage.labelled.exists():
            frames = read_frames(stage.frames)
            label_frames(frames, self.settings, self.directory.points, stage.labelled)

    def _n_labels(self, number: int) -> tuple[int, str]:
        """Frames that a cycle labels, and why."""
        balance = Balance.of(self.seconds, number, len(self._labels(number)))
        rule = balance.text(self.settings.sampling)
        log.info("cycle %d: %s", number + 1, rule)
        return balance.n_labels(self.settings.sampling), rule

    def _gather(self, stage: Stage, n_cycles: int) -> None:
        """All labels before a stage in one file."""
        if stage.training.exists():
            return
        write_frames(stage.training, self._labels(n_cycles))

    def _labels(self, n_cycles: int) -> list[Atoms]:
        """Labelled frames of the first dynamics and of the first ``n_cycles`` cycles."""
        stages = [self.directory.first, *(self.directory.cycle(n) for n in range(n_cycles))]
        frames = [atoms for each in stages for atoms in read_frames(each.labelled)]
        return [atoms for atoms in frames if _has_labels(atoms)]

    def _test(self, stage: Stage, models: StageModels) -> None:
        if stage.honest.exists():
            return
        frames = read_labelled(stage.labelled, self.settings.target)
        random = [frame for frame in frames if frame.atoms.info.get(ORIGIN) == RANDOM]
        potential = models.potential if self.settings.learns_potential else None
        known = read_labelled(stage.training, self.settings.target)
        names = system_names(self.settings)
        found = honest_test_of_systems(models.tensors, potential, random, known, names)
        found.write(stage.honest)

    def _judge(
        self,
        stage: Stage,
        models: StageModels,
        before: Stage | None,
        replicas: Sequence[Sequence[Replica]],
        work: tuple[int, int],
    ) -> None:
        try:
            broken = run_dynamics(stage, self.settings, self.bonds, models, replicas, work)
        except BrokenRunsError as error:
            if self._is_final(stage):
                raise
            log.warning("%s", error)
            text = f"dynamics: {error}"
            Judgement((), math.nan, work[0], (text,)).write(stage.judgement)
            return
        found: list[SpectrumErrors] = []
        shifts: list[float] = []
        for number in range(len(self.systems)):
            check = self._harmonic_check((stage, before), number, models)
            shifts.append(check.shift)
            for kind in kinds_of(self.settings):
                found.append(self._errors((stage, before), (number, kind), check))
        known = [shift for shift in shifts if not math.isnan(shift)]
        shift = max(known) if known else math.nan
        without = [replace(each, final_statistical=0.0) for each in found]
        missing, of_models = (
            self._missing(stage, before, spectra, (shift, broken)) for spectra in (found, without)
        )
        unknown: tuple[str, ...] = ()
        if self.settings.learns_potential:
            unknown = unknown_potential_errors(system_names(self.settings), shifts)
        missing, of_models = (*missing, *unknown), (*of_models, *unknown)
        judged = Judgement(tuple(found), shift, broken, missing, models_good=not of_models)
        judged.write(stage.judgement)

    def _harmonic_check(
        self, stages: tuple[Stage, Stage | None], number: int, models: StageModels
    ) -> HarmonicCheck:
        """Lines of a system by the models of a stage, and of the engine."""
        if not self.settings.learns_potential:
            return HarmonicCheck()
        engine = self.engine_lines(number)
        lines = model_lines(stages[0], number, self.bonds[number], models, engine)
        honest = self._honest(*stages).of(system_names(self.settings)[number])
        return HarmonicCheck(lines, engine, honest.members_factor)

    def _errors(
        self,
        stages: tuple[Stage, Stage | None],
        which: tuple[int, str],
        check: HarmonicCheck,
    ) -> SpectrumErrors:
        """Errors of a spectrum, of a system and kind; those of the end are drawn, too."""
        stage, before = stages
        number, kind = which
        name = system_names(self.settings)[number]
        measured = self.measured(stage, number, kind)
        earlier = self.measured(before, number, kind) if before else None
        assert measured is not None
        blocks = earlier.blocks if earlier else None
        found, parts = spectrum_errors((name, kind), measured, check, blocks, self.settings)
        if self._is_final(stage):
            measured.write(stage.table(kind, name))
            picture = self.directory.path / f"errors-{kind}-{name}.png"
            limits = self.settings.judging.wavenumbers
            draw_error_parts(picture, parts, measured.spectrum.ordinate, limits)
        return found

    def _missing(
        self,
        stage: Stage,
        before: Stage | None,
        found: Sequence[SpectrumErrors],
        dynamics: tuple[float, int],
    ) -> tuple[str, ...]:
        honest = self._honest(stage, before)
        resolution, judging = self.settings.dynamics.resolution, self.settings.judging
        return what_is_missing(found, honest, *dynamics, resolution, judging)

    def _honest(self, stage: Stage, before: Stage | None) -> HonestTest:
        """The honest test of a stage: the end has none where no replica came to its end."""
        tested = before if before and not stage.honest.exists() else stage
        return HonestTest.read(tested.honest)

    def _is_final(self, stage: Stage) -> bool:
        return stage.path == self.directory.final.path

    def _set_stale_end_aside(self, n_cycles: int) -> None:
        """Rename an end that was begun after fewer cycles: it would miss labels."""
        stage = self.directory.final
        if not stage.training.exists():
            return
        n_before = len(read_frames(stage.training))
        if n_before == len(self._labels(n_cycles)):
            return
        aside = stage.path.with_name(f"{stage.name}-{n_before}-labels")
        log.info("%s was begun with %d labels; it is now %s", stage.path, n_before, aside)
        self.seals.forget(stage)
        stage.path.rename(aside)


def _has_labels(atoms: Atoms) -> bool:
    """Whether a frame was labelled; those that failed have NaN."""
    arrays = [atoms.arrays[name] for name in TARGETS if name in atoms.arrays]
    return bool(arrays) and all(np.isfinite(array).all() for array in arrays)
