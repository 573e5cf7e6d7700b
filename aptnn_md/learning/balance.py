"""How many frames a cycle labels: as many as are worth the time that its training takes.

With a reference that answers in a hundredth of a second it would be a waste to train for a minute
on twenty labels more; with one that takes a minute for each, it would be a waste to wait for two
hundred. So a cycle labels at least ``labels`` frames, and as many more as can be labelled in a
share of the time that its own training took, by what labels were measured to cost until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aptnn_md.learning.settings import SamplingSettings
from aptnn_md.learning.steps import FIRST_LABELS, LABELLING, TRAINING, step_of_cycle


@dataclass(frozen=True)
class Balance:
    """Measured costs, by the clock.

    Attributes
    ----------
    label : of one label, s; None where it is not known
    training : of the training of the cycle, s; None where it is not known
    """

    label: float | None
    training: float | None

    @classmethod
    def of(cls, seconds: Mapping[str, float], number: int, n_labelled: int) -> Balance:
        """Costs that are known before the labels of a cycle.

        Parameters
        ----------
        seconds : that steps took
        number : of the cycle, from 0
        n_labelled : frames that were labelled before
        """
        steps = [FIRST_LABELS, *(step_of_cycle(n, LABELLING) for n in range(number))]
        known = [seconds[step] for step in steps if step in seconds]
        complete = len(known) == len(steps) and n_labelled > 0 and sum(known) > 0.0
        label = sum(known) / n_labelled if complete else None
        return cls(label, seconds.get(step_of_cycle(number, TRAINING)))

    def n_labels(self, sampling: SamplingSettings) -> int:
        """Frames that a cycle labels."""
        if self.label is None or self.training is None:
            return sampling.labels
        affordable = int(sampling.label_share * self.training / self.label)
        return max(sampling.labels, min(affordable, sampling.most_labels))

    def text(self, sampling: SamplingSettings) -> str:
        """The rule with its numbers, in one sentence."""
        if self.label is None or self.training is None or not sampling.label_share:
            return f"{sampling.labels} frames are labelled"
        return (
            f"a label takes {self.label:.2g} s, the training took {self.training:.0f} s: "
            f"{self.n_labels(sampling)} frames are labelled, as many as take "
            f"{sampling.label_share:g} of that time, but at least {sampling.labels} and at most "
            f"{max(sampling.labels, sampling.most_labels)}"
        )
