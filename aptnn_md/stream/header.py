"""What a stream says about its run: time step, estimators, groups, system, model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.errors import InputError
from aptnn_md.settings import check_settings
from aptnn_md.targets import TARGETS

FORMAT = "aptnn_md.stream"
VERSION = 2

RATES = ("instantaneous", "difference")
"""What the rates of a frame may be; see :class:`StreamHeader`."""

ROTATIONS = ("", "kept", "removed")
"""What may have become of the rotation of the whole system; see :class:`StreamHeader`."""

MOTIONS = ("translation", "libration", "vibration")
"""Motions of molecules, in the order of their temperatures: those of
:mod:`aptnn_md.atoms.motion`, which reading a stream does not need."""

# what must be the same on both sides of a restart; the two floats may be unknown on one side
_SAME = ("timestep", "stride", "rate", "estimators", "groups", "n_beads", "formula", "system")
_SAME_IF_KNOWN = ("temperature", "volume")


def array_units() -> dict[str, str]:
    """Unit of each array that a stream may hold; those of added targets, too."""
    units = {
        "conserved_energy": "eV",
        "coordinate_temperature": "K",
        "dipole_rate_beads": "e Å/fs",
        "extrapolation": "e",
        "f_sum": "e²/amu",
        "motion_temperature": "K",
        "spread_ratio": "1",
        "temperature": "K",
        "velocity": "Å/fs",
        "volume": "Å³",
    }
    for target in TARGETS.values():
        units |= dict.fromkeys((target.rate_name, f"{target.rate_name}_std"), target.rate_unit)
    return {"step": "1", "time": "fs"} | dict(sorted(units.items()))


@dataclass(frozen=True)
class StreamHeader:
    """The constants of a run.

    Parameters
    ----------
    timestep : MD time step, fs
    stride : MD steps between frames
    estimators : names of the estimators of Ṁ; the first one is the default when reading
    groups : labels of the groups of atoms whose Ṁ is kept apart; the total is their sum
    n_beads : number of path-integral beads
    formula : chemical formula, for human readers
    n_atoms : number of atoms
    masses : masses of each element, amu
    atom_numbers, atom_masses : of each atom, masses in amu; a stream with velocities has them
    atom_groups, atom_labels : group of each atom, counted from 0, and the groups' labels. Where
        ``groups`` are motions of groups of atoms these are the groups of atoms
    atom_freedom : directions in which each atom can move, 0 to 3, in a stream with velocities,
        less what rotation that was removed takes of each; empty where all can move in all, -1 where
        constraints between atoms leave it unknown
    motion_freedom : degrees of freedom of translation, libration and vibration of molecules, in a
        stream with their temperatures; 0 for a motion that the system does not have
    coordinates : kinds of bonds, angles, torsions and rotations, in a stream with their
        temperatures
    start_positions, start_cell : (n_atoms, 3) and (3, 3), Å, of the structure in which groups were
        found, if a restart could not know it otherwise
    system : digest of atomic numbers and masses in order; see :meth:`for_atoms`
    temperature : of the thermostat, K; None without one
    volume : of the cell where it is constant, Å³
    model, model_sha256 : name and digest of the model that gives the tensors; of several models,
        separated by commas
    potential, potential_sha256 : name and digest of the potential that moves the atoms, where it is
        a stored one; empty where the engine does not know it
    spread_factors : target -> error of an atom's tensor over the spread of the committee, as the
        model card has it (:mod:`aptnn_md.domain`); empty where it is not known
    rate : ``"instantaneous"``, or ``"difference"`` where frame n holds the increment of the
        dipole since the frame before divided by the time between them (stride times timestep):
        the mean of Ṁ over the interval that ends at the time of frame n
    run_id : of the trajectory; streams with the same one were written beside one run. Empty where
        it is unknown; see :mod:`aptnn_md.stream.run_id`
    ensemble : e.g. ``"NVT, Langevin, 10 /ps"``, for human readers
    rotation : of a molecule or cluster in open space as a whole: ``"kept"``, so that bands have
        their rotational envelopes, or ``"removed"``, with no angular momentum; empty where it is
        not known or there is none, as in a periodic system
    provenance : command line or script that made the stream
    notes : anything else
    thermostat_time : time constant of the thermostat, fs, within which it takes out what the
        integrator adds to the energy; None at constant energy, or where it is not known

    Raises
    ------
    InputError
        A number that is not positive and finite, or labels that are empty or not unique.
    """

    timestep: float
    stride: int = 1
    estimators: tuple[str, ...] = ("bead",)
    groups: tuple[str, ...] = ("all",)
    n_beads: int = 1
    formula: str = ""
    n_atoms: int = 0
    masses: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    atom_numbers: tuple[int, ...] = ()
    atom_masses: tuple[float, ...] = ()
    atom_groups: tuple[int, ...] = ()
    atom_labels: tuple[str, ...] = ()
    atom_freedom: tuple[float, ...] = ()
    motion_freedom: tuple[float, ...] = ()
    coordinates: tuple[str, ...] = ()
    start_positions: tuple[tuple[float, ...], ...] = ()
    start_cell: tuple[tuple[float, ...], ...] = ()
    system: str = ""
    temperature: float | None = None
    volume: float | None = None
    model: str = ""
    model_sha256: str = ""
    spread_factors: Mapping[str, float] = field(default_factory=dict)
    potential: str = ""
    potential_sha256: str = ""
    rate: str = "instantaneous"
    run_id: str = ""
    ensemble: str = ""
    rotation: str = ""
    provenance: str = ""
    notes: str = ""
    thermostat_time: float | None = None

    def __post_init__(self) -> None:
        for name in ("timestep", "temperature", "volume", "thermostat_time"):
            value = getattr(self, name)
            if value is not None:
                _check_positive(name, value)
                object.__setattr__(self, name, float(value))
        for name in ("stride", "n_beads"):
            value = getattr(self, name)
            if int(value) != value or value < 1:
                raise InputError("stream header", name, value, "a positive whole number")
            object.__setattr__(self, name, int(value))
        if self.rate not in RATES:
            raise InputError("stream header", "rate", repr(self.rate), " or ".join(RATES))
        if self.rotation not in ROTATIONS:
            expected = "kept, removed or nothing"
            raise InputError("stream header", "rotation", _shown(self.rotation), expected)
        for name in ("estimators", "groups"):
            object.__setattr__(self, name, _labels(name, getattr(self, name)))
        if any("/" in name or name.startswith((".", "__")) for name in self.estimators):
            raise InputError("stream header", "estimators", self.estimators, "names without '/'")

    @classmethod
    def for_atoms(cls, atoms: Any, **constants: Any) -> StreamHeader:
        """Header for a run of ``atoms``.

        Parameters
        ----------
        atoms : ase.Atoms; its numbers and masses identify the system, and its cell gives the
            volume where it is periodic in three directions
        constants : the other fields; they win over what ``atoms`` says
        """
        numbers, masses = np.asarray(atoms.numbers), np.asarray(atoms.get_masses())
        symbols = np.asarray(atoms.get_chemical_symbols())
        from_atoms: dict[str, Any] = {
            "formula": str(atoms.get_chemical_formula()),
            "n_atoms": len(atoms),
            "masses": {
                str(s): tuple(float(m) for m in np.unique(masses[symbols == s]))
                for s in np.unique(symbols)
            },
            "system": _digest(numbers, masses),
        }
        if bool(np.all(atoms.pbc)):
            from_atoms["volume"] = float(atoms.get_volume())
        return cls(**(from_atoms | constants))

    def describes(self, estimator: str | None) -> bool:
        """Whether what a stream says of its tensors (``f_sum``, the members and the spread of a
        committee) holds for this estimator: for the first one (None). The potential's own dipole
        has no tensors, and those at a centroid are others than the mean of the beads."""
        return estimator in (None, self.estimators[0])

    def to_attributes(self) -> dict[str, Any]:
        """Attributes of the Zarr group, as JSON takes them."""
        from aptnn_md._version import __version__

        return {
            "format": FORMAT,
            "version": VERSION,
            "package_version": __version__,
            "units": array_units(),
            "index_order": _index_order(),
            **asdict(self),
        }

    @classmethod
    def from_attributes(cls, where: object, attributes: Mapping[str, Any]) -> StreamHeader:
        """Header of the stream at ``where`` from its attributes.

        Raises
        ------
        InputError
            Another format, a version that is not known, or a field that is not valid.
        """
        cls.check_format(where, attributes)
        known = {f.name for f in fields(cls)}
        fields_of_atoms = [name for name in known if name.startswith("atom_")]
        try:
            values = {name: value for name, value in attributes.items() if name in known}
            for name in ("estimators", "groups"):
                values[name] = tuple(values[name])
            for name in (*fields_of_atoms, "motion_freedom", "coordinates"):
                values[name] = tuple(values.get(name, ()))
            for name in ("start_positions", "start_cell"):
                values[name] = tuple(tuple(vector) for vector in values.get(name, ()))
            values["spread_factors"] = dict(values.get("spread_factors", {}))
            values["masses"] = {s: tuple(m) for s, m in values.get("masses", {}).items()}
            header = cls(**values)
            check_settings(header)
        except InputError as error:
            raise InputError(where, error.field, error.found, error.expected) from error
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise InputError(where, "attributes", error, "the fields of a stream") from error
        return header

    @staticmethod
    def check_format(where: object, attributes: Mapping[str, Any]) -> None:
        """Refuse attributes of another format, or of a version that is not known.

        Raises
        ------
        InputError
            They are.
        """
        found = attributes.get("format")
        if found != FORMAT:
            raise InputError(where, "format", _shown(found), f"'{FORMAT}'")
        version = attributes.get("version")
        if type(version) is not int or not 1 <= version <= VERSION:
            from aptnn_md._version import __version__

            expected = f"at most {VERSION}, the version aptnn_md {__version__} knows"
            raise InputError(where, "format version", _shown(version), expected)

    def check_same_run(self, where: object, found: StreamHeader, here: str = "in this run") -> None:
        """Refuse to use the stream at ``where``, whose header is ``found``, together with this one,
        which is ``here``.

        Raises
        ------
        InputError
            Time step, stride, estimators, groups, beads, system, model, potential, temperature,
            volume or rotation differ.
        """
        for name in _SAME:
            mine, theirs = getattr(self, name), getattr(found, name)
            same = math.isclose(mine, theirs) if name == "timestep" else mine == theirs
            if not same and name == "system":
                found_atoms = "other atoms, another order of them or other masses"
                raise InputError(where, name, found_atoms, f"those of {self.formula} {here}")
            if not same:
                raise InputError(where, name, _shown(theirs), f"{_shown(mine)}, as {here}")
        for name in _SAME_IF_KNOWN:
            mine, theirs = getattr(self, name), getattr(found, name)
            known = mine is not None and theirs is not None
            if known and not math.isclose(mine, theirs, rel_tol=1e-6):
                raise InputError(where, name, theirs, f"{mine}, as {here}")
        if self.rotation and found.rotation and self.rotation != found.rotation:
            raise InputError(where, "rotation", found.rotation, f"{self.rotation}, as {here}")
        potentials = {self.potential_sha256, found.potential_sha256} - {""}
        if len(potentials) > 1:
            mine, theirs = (f"{h.potential} ({h.potential_sha256[:12]})" for h in (self, found))
            raise InputError(where, "potential", theirs, f"{mine}, as {here}")
        # a file may be renamed, so the name counts only where there is no digest
        name = "model_sha256" if self.model_sha256 and found.model_sha256 else "model"
        mine, theirs = getattr(self, name), getattr(found, name)
        if mine != theirs:
            raise InputError(where, name, _shown(theirs), f"{_shown(mine)}, as {here}")


def _index_order() -> str:
    """Axes of the rates, for human readers; components other than x, y, z are listed."""
    texts = []
    for target in TARGETS.values():
        text = f"{target.rate_name}/<estimator>[frame, group, {target.rate_axis}]"
        if target.rate_axis != "axis":
            text += f", {target.rate_axis}s {', '.join(target.rate_components)}"
        texts.append(text)
    return "; ".join(texts)


def _digest(numbers: ArrayLike, masses: ArrayLike) -> str:
    sha = hashlib.sha256(np.asarray(numbers, dtype="<i8").tobytes())
    sha.update(np.round(np.asarray(masses, dtype="<f8"), 6).tobytes())
    return sha.hexdigest()


def _check_positive(name: str, value: Any) -> None:
    try:
        good = math.isfinite(value) and value > 0
    except TypeError:
        good = False
    if not good:
        raise InputError("stream header", name, _shown(value), "a positive number")


def _labels(name: str, value: Any) -> tuple[str, ...]:
    labels = (value,) if isinstance(value, str) else tuple(str(label) for label in value)
    if not labels or "" in labels or len(set(labels)) != len(labels):
        raise InputError("stream header", name, labels, "one or more different labels")
    return labels


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
