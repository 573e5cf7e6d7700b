"""The sum rule that a model is judged by is that of the frames' charge."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.evaluation import evaluate_targets


def test_residue_is_taken_from_the_total_charge():
    model = Predictor(random_checkpoint(), dtype="float64", total_charge=2.0)
    frames = [LabelledFrame(atoms, {"apt": model(atoms)}) for atoms in map(triclinic, range(2))]
    charged = evaluate_targets(model, frames, charge=2.0)["apt"]
    neutral = evaluate_targets(model, frames)["apt"]
    assert charged.rmse == neutral.rmse == pytest.approx(0.0, abs=1e-12)
    assert charged.sum_rule_model == pytest.approx(0.0, abs=1e-10)
    # 2 e on the diagonal, three of nine components
    assert neutral.sum_rule_model == pytest.approx(2.0 * np.sqrt(3 / 9), rel=1e-9)
    assert neutral.sum_rule_labels == pytest.approx(2.0 * np.sqrt(3 / 9), rel=1e-9)
