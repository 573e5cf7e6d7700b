"""The directory of a campaign: names of its files, and what it remembers of its settings.

::

    campaign.json      settings with which it began
    start.extxyz       the systems
    times.json         seconds that steps took
    frames.json        checksums of the files of structures
    report.md          what a person reads
    points/            single points of the engine
    first/             frames of the first dynamics and their labels
    cycle-00/ ...      models, new frames, labels, tests, runs and judgement of each cycle
    final/             models, runs and spectra of the end
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError, exception_text
from aptnn_md.files import PARTIAL, write_output
from aptnn_md.learning.documents import read_document, write_document
from aptnn_md.learning.programs import check_programs
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.progress import log
from aptnn_md.structure_files import read_structure, read_structures
from aptnn_md.structures import charge_of, total_charge

MAY_CHANGE = ("out", "cycles", "executor", "jobs", "device", "judging")
"""Settings that may be others when a campaign is resumed."""

OF_THE_END = ("forces.final_steps", "tensors.final_steps", "dynamics.final_runs")
"""Settings that may change until the end begins, which alone they are for."""

ADDED = {"dynamics.beads": 1}
"""Settings that earlier campaigns do not have, and what they were like."""

_WRITTEN = 1e-6
"""Of numbers in a file of structures."""

VERSION = 2
"""Of the files of a campaign: 2 has frames with forces only, and as many labels as are worth it."""

SYSTEM = "system"
"""Number of its system among the entries of a frame."""


@dataclass(frozen=True)
class Stage:
    """Files of the first frames, of a cycle, or of the end.

    Parameters
    ----------
    path : directory
    """

    path: Path

    @property
    def name(self) -> str:
        """Of the directory."""
        return self.path.name

    @property
    def title(self) -> str:
        """As people count: the directory ``cycle-00`` is cycle 1."""
        cycle, _, number = self.name.partition("-")
        return f"cycle {int(number) + 1}" if cycle == "cycle" else self.name

    @property
    def frames(self) -> Path:
        """Structures that are chosen for labels."""
        return self.path / "frames.extxyz"

    @property
    def forces(self) -> Path:
        """Frames of the first dynamics with energy and forces, but no labels."""
        return self.path / "forces.extxyz"

    @property
    def labelled(self) -> Path:
        """The same with labels."""
        return self.path / "labelled.extxyz"

    @property
    def training(self) -> Path:
        """All labelled frames on which the models of this stage are trained."""
        return self.path / "training.extxyz"

    @property
    def tensors(self) -> Path:
        """Model of the tensors."""
        return self.path / "tensors.pt"

    def potentials(self, n: int) -> list[Path]:
        """Members of the potential."""
        return [self.path / f"potential-{number}.json" for number in range(1, n + 1)]

    @property
    def potential(self) -> Path:
        """All members as one committee."""
        return self.path / "potential.json"

    def replicas(self, system: int) -> Path:
        """State of the replicas."""
        return self.path / f"replicas-{system}.npz"

    @property
    def averages(self) -> Path:
        """Moving averages of the spreads, and what was selected."""
        return self.path / "selection.json"

    @property
    def honest(self) -> Path:
        """The honest test."""
        return self.path / "honest.json"

    def harmonic(self, system: int) -> Path:
        """Lines of the models."""
        return self.path / f"harmonic-{system}.json"

    def equilibration(self, system: int, group: int = 0) -> Path:
        """State of the dynamics before a group of runs."""
        of_group = f"-{group + 1}" if group else ""
        return self.path / f"equilibration-{system}{of_group}.npz"

    def ring_polymers(self, system: int) -> Path:
        """Files of i-PI."""
        return self.path / f"ring-polymers-{system}"

    def runs(self, system: int) -> Path:
        """Streams."""
        return self.path / f"runs-{system}"

    def table(self, kind: str, system: str) -> Path:
        """A spectrum of a system, by name."""
        return self.path / f"{kind}-{system}.csv"

    @property
    def judgement(self) -> Path:
        """How good the models are, and what is missing."""
        return self.path / "judgement.json"


@dataclass(frozen=True)
class CampaignDirectory:
    """The files of a campaign.

    Parameters
    ----------
    path : directory
    """

    path: Path

    @property
    def settings(self) -> Path:
        """Settings with which it began."""
        return self.path / "campaign.json"

    @property
    def start(self) -> Path:
        """The systems."""
        return self.path / "start.extxyz"

    @property
    def times(self) -> Path:
        """Seconds that steps took."""
        return self.path / "times.json"

    @property
    def seals(self) -> Path:
        """Checksums of the files of structures."""
        return self.path / "frames.json"

    @property
    def report(self) -> Path:
        """What a person reads."""
        return self.path / "report.md"

    @property
    def points(self) -> Path:
        """Single points of the engine."""
        return self.path / "points"

    @property
    def first(self) -> Stage:
        """The first frames."""
        return Stage(self.path / "first")

    def cycle(self, number: int) -> Stage:
        """A cycle, counted from 0."""
        return Stage(self.path / f"cycle-{number:02d}")

    @property
    def final(self) -> Stage:
        """The end."""
        return Stage(self.path / "final")

    def engine_lines(self, system: int) -> Path:
        """Harmonic lines of the engine."""
        return self.path / "first" / f"harmonic-engine-{system}.json"

    def open(self, settings: CampaignSettings) -> list[Atoms]:
        """Begin or resume: check that it is the same campaign, and give its systems.

        Raises
        ------
        InputError
            Another campaign, or a start structure that cannot be used.
        """
        found = identity(settings)
        if self.settings.exists():
            if self._changed(found):
                write_document(self.settings, {"version": VERSION, **found})
            self._check_structures(settings)
        else:
            systems = [_system(settings, number) for number in range(len(settings.structures))]
            check_programs(settings, systems)
            write_frames(self.start, systems)
            write_document(self.settings, {"version": VERSION, **found})
        for left_over in self.path.glob(f"**/.*{PARTIAL}"):
            left_over.unlink(missing_ok=True)
        return read_structures(self.start)

    def _check_structures(self, settings: CampaignSettings) -> None:
        """Refuse start structures that are others than those that the campaign began with."""
        for number, before in enumerate(read_structures(self.start)):
            path = settings.structures[number]
            if not path.exists():
                continue
            now = _system(settings, number)
            same = np.array_equal(now.numbers, before.numbers) and all(
                np.allclose(a, b, atol=_WRITTEN)
                for a, b in zip(_numbers(now), _numbers(before), strict=True)
            )
            if not same:
                expected = "the structure that the campaign began with, or another --out"
                raise InputError(path, "structure", "another one", expected)

    def _changed(self, now: Mapping[str, Any]) -> bool:
        """Whether settings of the end are others than before; any others must be the same."""
        way_out = "the settings of a campaign, as they were written, or another --out"
        before = _flat(read_document(self.settings, "settings", way_out))
        version = before.get("version", 1)
        if version != VERSION:
            expected = (
                f"{VERSION}: this version of aptnn_md resumes no campaign of another one; its "
                "labels can be trained on (aptnn-md train), or begin again with another --out"
            )
            raise InputError(self.settings, "version", version, expected)
        before = ADDED | before
        changed = {name: v for name, v in _flat(now).items() if before.get(name) != v}
        may_change = () if self.final.path.exists() else OF_THE_END
        for name, value in changed.items():
            if name not in may_change:
                expected = f"{before.get(name)}, as when it began, or another --out"
                raise InputError(self.settings, name, value, expected)
        return bool(changed)


def identity(settings: CampaignSettings) -> dict[str, Any]:
    """What a resumed campaign must have in common with the one that began."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return {name: value for name, value in found.items() if name not in MAY_CHANGE}


def read_frames(path: Path) -> list[Atoms]:
    """All structures of a file of :func:`write_frames`, or of labelled ones, with their results.

    Raises
    ------
    InputError
        The file is damaged.
    """
    try:
        return list(ase.io.iread(path, index=":", format="extxyz"))
    except OSError:
        raise
    except Exception as error:  # ASE's reader raises whatever its parsing runs into
        expected = "frames of a campaign; remove it to make them again"
        raise InputError(path, "frames", exception_text(error), expected) from error


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write structures as extxyz, whole or not at all."""
    text = io.StringIO()
    for atoms in frames:
        ase.io.write(text, atoms, format="extxyz")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, text.getvalue().encode())


def system_names(settings: CampaignSettings) -> list[str]:
    """A name for each system: that of its file, with a number where two have the same."""
    stems = [path.stem for path in settings.structures]
    if len(set(stems)) == len(stems):
        return stems
    return [f"{stem}-{number}" for number, stem in enumerate(stems, start=1)]


def _numbers(atoms: Atoms) -> tuple[FloatArray, ...]:
    """What makes a system, but for the elements."""
    charge = np.asarray(charge_of(atoms, 0.0), dtype=np.float64)
    return atoms.positions, atoms.cell.array, atoms.get_masses(), charge


def _system(settings: CampaignSettings, number: int) -> Atoms:
    path = settings.structures[number]
    read = read_structure(path)
    charge = total_charge(read, settings.charge, "charge, --charge")
    if path.exists() and (n_frames := len(read_structures(path))) > 1:
        log.warning(
            "%s: of its %d structures the last one is the system; %s@0, %s@1, ... are the others",
            *(path, n_frames, path, path),
        )
    if read.constraints:
        found = ", ".join(sorted({type(each).__name__ for each in read.constraints}))
        raise InputError(path, "constraints", found, "none: learn moves all atoms")
    atoms = Atoms(read.numbers, read.positions, cell=read.cell, pbc=read.pbc)
    if read.has("masses"):
        atoms.set_masses(read.get_masses())
    if charge or settings.charge is not None:
        atoms.info["charge"] = charge
    atoms.info[SYSTEM] = number
    return atoms


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of tables by names like ``sampling.labels``, beside those of no table."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            found[name] = value
    return found
