"""What the commands of a LAMMPS script say that its library does not: what the runner notes down.

Restart files: a stream must be on disk before one is written. Thermostats: the temperature. Pair
coefficients: the elements of types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aptnn_md.engines.lammps.state import FixInfo

_ONE_FILE, _TWO_FILES = "one file each time", "two files in turn"


class RestartTimes:
    """When LAMMPS writes restart files, by its commands ``restart``.

    Parameters
    ----------
    lmp : which evaluates variables
    """

    def __init__(self, lmp: Any) -> None:
        self.lmp = lmp
        self._every: dict[str, str] = {}
        self.pattern = ""

    def note(self, words: Sequence[str]) -> None:
        """Note a ``restart`` command, its variables substituted."""
        if len(words) < 2:
            return
        if words[1] == "0":
            self._every.clear()
            self.pattern = ""
            return
        names = [word for word in words[2:4] if word not in ("fileper", "nfile")]
        kind = _TWO_FILES if len(names) == 2 else _ONE_FILE
        self._every[kind] = words[1]
        if kind == _ONE_FILE and names:
            self.pattern = names[0]

    def written_at(self, step: int) -> bool:
        """Whether a restart file may be written at the end of a step."""
        # steps that a variable chooses are known to LAMMPS alone
        return any(not n.isdecimal() or step % int(n) == 0 for n in self._every.values())

    def write_now(self, step: int) -> str:
        """Write a restart file under the name that LAMMPS would give it; the name, or ""."""
        if not self.pattern:
            return ""
        pattern = self.pattern if "*" in self.pattern else f"{self.pattern}.*"
        name = pattern.replace("*", str(step))
        self.lmp.command(f"write_restart {name}")
        return name


class Thermostats:
    """Temperatures of the thermostats of a script."""

    def __init__(self) -> None:
        self._of_fix: dict[str, float | None] = {}

    def note(self, words: Sequence[str]) -> None:
        """Note a ``fix`` command, its variables substituted."""
        if len(words) > 3:
            self._of_fix[words[1]] = _temperature(words[3], list(words[4:]))

    def temperature(self, fixes: Sequence[FixInfo]) -> float | None:
        """The one temperature of the fixes that there are, K; None where there is none, or more."""
        found = {self._of_fix.get(fix.id) for fix in fixes} - {None}
        return found.pop() if len(found) == 1 else None


def _temperature(style: str, arguments: list[str]) -> float | None:
    """Target temperature of a fix, K, if it has one that is constant."""
    kind = style.partition("/")[0]
    if kind in ("nvt", "npt", "rigid") and "temp" in arguments:
        arguments = arguments[arguments.index("temp") + 1 :]
    elif kind == "temp":
        arguments = arguments[1:] if style.startswith("temp/rescale") else arguments
    elif kind not in ("langevin", "gjf"):
        return None
    try:
        begin, end = float(arguments[0]), float(arguments[1])
    except (IndexError, ValueError):
        return None
    return begin if begin == end > 0.0 else None
