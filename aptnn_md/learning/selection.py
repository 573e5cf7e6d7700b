"""Which frames are labelled: those on which members disagree, far from each other, and some random.

The spread of a committee tells where labels are missing, not how large the error is, so it is
compared with its own moving average, and frames above a bound are left out: there the models know
so little that the structure itself is no longer a likely one. Among the frames that remain, each
next one is that farthest from all that are labelled or chosen already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.learning.descriptor import distances_to_nearest

MEMORY = 0.5
"""Weight of what was known before in a moving average."""


@dataclass(frozen=True)
class Spread:
    """How far members disagree, by what they disagree about.

    Attributes
    ----------
    values : name, e.g. ``"forces"`` or ``"apt"`` -> (n_frames,) largest spread on an atom
    """

    values: Mapping[str, FloatArray]

    def averages(self, before: Mapping[str, float]) -> dict[str, float]:
        """Moving averages: the median of these frames, and what it was before."""
        found: dict[str, float] = {}
        for name, values in self.values.items():
            now = float(np.median(values)) if len(values) else 0.0
            found[name] = MEMORY * before[name] + (1.0 - MEMORY) * now if name in before else now
        return found

    def relative(self, averages: Mapping[str, float]) -> FloatArray:
        """(n_frames,) largest ratio of a spread to its moving average."""
        ratios = [
            values / averages[name] if averages.get(name, 0.0) > 0.0 else np.zeros(len(values))
            for name, values in self.values.items()
        ]
        return np.asarray(np.max(ratios, axis=0))


@dataclass(frozen=True)
class Rule:
    """Limits between which a frame is worth a label.

    Attributes
    ----------
    threshold : least ratio of a spread to its moving average
    bound : largest spread of forces on an atom, eV/Å
    """

    threshold: float
    bound: float


def worth_a_label(
    spread: Spread, averages: Mapping[str, float], rule: Rule, allowed: AnyArray
) -> IntArray:
    """Numbers of the frames above the threshold and below the bound, the most uncertain first.

    Parameters
    ----------
    spread, averages : of the frames
    rule : the limits
    allowed : (n_frames,) of bool: whether bonds are intact
    """
    ratio = spread.relative(averages)
    inside = np.array(allowed, dtype=bool)
    if "forces" in spread.values:
        inside &= spread.values["forces"] <= rule.bound
    found = np.flatnonzero(inside & (ratio > rule.threshold))
    return np.asarray(found[np.argsort(-ratio[found], kind="stable")])


def farthest_points(candidates: FloatArray, known: FloatArray, n: int) -> list[int]:
    """Numbers of up to ``n`` candidates, each the farthest from what is known and chosen before.

    Parameters
    ----------
    candidates : (n_candidates, k)
    known : (m, k); without any, the first candidate begins
    """
    chosen: list[int] = []
    distance = distances_to_nearest(candidates, known)
    for _ in range(min(n, len(candidates))):
        best = int(np.argmax(distance))
        if distance[best] <= 0.0:
            break  # what is left is known already
        chosen.append(best)
        here = distances_to_nearest(candidates, candidates[best : best + 1])
        distance = np.minimum(distance, here)
        distance[chosen] = 0.0
    return chosen


def select(
    spread: Spread,
    averages: Mapping[str, float],
    rule: Rule,
    allowed: AnyArray,
    prints: tuple[FloatArray, FloatArray],
    n: int,
) -> list[int]:
    """Numbers of ``n`` frames to label, or fewer where fewer exist.

    Frames that :func:`worth_a_label` finds come first; where they are too few, the most uncertain
    of the others below the bound fill up.

    Parameters
    ----------
    spread, averages, rule, allowed : see :func:`worth_a_label`
    prints : fingerprints (n_frames, k) of the frames, and of what is labelled already
    """
    frames, known = prints
    wanted = worth_a_label(spread, averages, rule, allowed)
    chosen = [int(wanted[k]) for k in farthest_points(frames[wanted], known, n)]
    if len(chosen) < n:
        rest = worth_a_label(spread, averages, Rule(0.0, rule.bound), allowed)
        rest = rest[~np.isin(rest, chosen)][: 4 * (n - len(chosen))]
        there = np.concatenate([known, frames[chosen]]) if len(chosen) else known
        chosen += [int(rest[k]) for k in farthest_points(frames[rest], there, n - len(chosen))]
    return chosen


def draw_random(allowed: Sequence[bool] | AnyArray, n: int, rng: np.random.Generator) -> list[int]:
    """Numbers of ``n`` frames drawn at random among those that are allowed, each once."""
    pool = np.flatnonzero(np.asarray(allowed, dtype=bool))
    return sorted(int(k) for k in rng.choice(pool, size=min(n, len(pool)), replace=False))


def draw_of_each(
    allowed: Sequence[bool] | AnyArray, systems: Sequence[int], n: int, rng: np.random.Generator
) -> list[int]:
    """Numbers of ``n`` random frames, equally many of each system, and at least one.

    Parameters
    ----------
    allowed : (n_frames,) of bool
    systems : (n_frames,) number of each frame's system
    n : frames to draw; where systems are more, one of each
    rng : random numbers
    """
    numbers = sorted(set(systems))
    found: list[int] = []
    for k, number in enumerate(numbers):
        share = n * (k + 1) // len(numbers) - n * k // len(numbers)
        of_system = np.asarray(allowed, dtype=bool) & (np.asarray(systems) == number)
        found += draw_random(of_system, max(1, share), rng)
    return sorted(found)
