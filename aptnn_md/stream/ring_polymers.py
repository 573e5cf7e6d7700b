"""Whether a path-integral run has enough beads and short enough steps, by the header of its stream.

Two things are lost in silence, and by other amounts than most people expect:

* PILE, the thermostat of TRPMD and of path-integral sampling, does steady work on anharmonic bonds.
  It grows like Δt⁴ P²: for 8 beads and bonds to hydrogen it is twenty times smaller at 0.25 fs than
  at 0.5 fs, where the ring polymer of water drifts by meV per atom and ps.
* P beads have less kinetic energy than the quantum oscillator that they stand for. For the stretch
  of a bond to hydrogen at 300 K that is 69 % of it with 8 beads, and 97 % with 32.
"""

from __future__ import annotations

import math

import numpy as np

from aptnn_md.stream.header import StreamHeader
from aptnn_md.units import KELVIN_PER_WAVENUMBER

LONGEST_STEP = 0.3
"""fs, with PILE and hydrogen; it grows with the square root of the lightest mass."""

ENOUGH_KINETIC_ENERGY = 0.95
"""Share of the quantum kinetic energy of the fastest stretch that beads should have."""

WARNING = "WARNING: "
"""How a note begins that is more than information."""

_HYDROGEN = 1.008  # amu
_STRETCH = 3500.0  # cm⁻¹, of bonds to it
_HEAVY = 4.5  # amu; bonds of heavier atoms are slow and soft enough for usual steps and beads


def ring_polymer_notes(header: StreamHeader) -> tuple[str, ...]:
    """What a user of the stream of a path-integral run should know, one sentence each.

    Parameters
    ----------
    header : of the stream; where it says nothing of the ensemble, as a client's does not, the
        sentence on the time step is about the case that the thermostat is PILE
    """
    lightest = min((mass for masses in header.masses.values() for mass in masses), default=_HEAVY)
    if header.n_beads == 1 or lightest >= _HEAVY:
        return ()
    slower = math.sqrt(lightest / _HYDROGEN)
    notes = []
    if header.timestep > LONGEST_STEP * slower and ("PILE" in header.ensemble or _unknown(header)):
        known = "" if not _unknown(header) else ", if the thermostat is PILE"
        notes.append(
            f"{WARNING}a time step of {header.timestep:g} fs is long for ring polymers with light "
            f"atoms{known}: PILE does steady work on their bonds, which grows like Δt⁴; take "
            f"{0.25 * slower:.2g} fs, or see that the conserved quantity does not drift"
        )
    if header.temperature is not None:
        stretch = _STRETCH / slower
        share = kinetic_energy_share(header.n_beads, stretch, header.temperature)
        enough = header.n_beads
        while kinetic_energy_share(enough, stretch, header.temperature) < ENOUGH_KINETIC_ENERGY:
            enough *= 2
        if enough > header.n_beads:
            notes.append(
                f"{header.n_beads} beads at {header.temperature:g} K have {100 * share:.0f} % of "
                f"the quantum kinetic energy of a stretch at {stretch:.0f} cm⁻¹; {enough} would "
                f"have {100 * kinetic_energy_share(enough, stretch, header.temperature):.0f} %"
            )
    return tuple(notes)


def kinetic_energy_share(n_beads: int, wavenumber: float, temperature: float) -> float:
    """Mean kinetic energy of a harmonic oscillator's ring polymer over that of the oscillator.

    Σ_k ω²/(ω² + ω_k²) k_B T/2, with ω_k = 2 P k_B T/ħ sin(kπ/P), over ħω/4 coth(ħω/(2 k_B T)).

    Parameters
    ----------
    n_beads : P
    wavenumber : of the oscillator, cm⁻¹
    temperature : K
    """
    x = KELVIN_PER_WAVENUMBER * wavenumber / temperature
    springs = 2.0 * n_beads * np.sin(np.arange(n_beads) * math.pi / n_beads)
    beads = 0.5 * float(np.sum(x**2 / (x**2 + springs**2)))
    return beads / (0.25 * x / math.tanh(0.5 * x))


def _unknown(header: StreamHeader) -> bool:
    return not header.ensemble
