"""Groups merged by parts of their labels."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.errors import InputError
from aptnn_md.spectra.sources.merging import merge_groups

MOTIONS = ("translation", "libration", "vibration")
MOLECULES = tuple(f"{name} {m}" for name in ("H2O-1", "H2O-2", "CH4-1", "Cl") for m in MOTIONS)


@pytest.mark.parametrize(
    ("labels", "rules", "expected"),
    [
        (MOLECULES, ["motion"], MOTIONS * 4),
        (MOLECULES, ["group"], ["H2O-1"] * 3 + ["H2O-2"] * 3 + ["CH4-1"] * 3 + ["Cl"] * 3),
        (MOLECULES, ["kind"], ["H2O"] * 6 + ["CH4"] * 3 + ["Cl"] * 3),
        (MOLECULES, ["all"], ["all"] * 12),
        (("translation", "vibration"), ["motion"], ["translation", "vibration"]),
        (("translation", "vibration"), ["kind"], ["all", "all"]),
        (("O", "H", "Cl"), ["kind"], ["O", "H", "Cl"]),
        (("O", "H", "Cl"), ["water=[OH]"], ["water", "water", "Cl"]),
        (
            ("H2O libration", "Na translation", "Cl translation", "x y"),
            ["cage=* translation", "x=x*"],
            ["H2O libration", "cage", "cage", "x"],
        ),
    ],
)
def test_new_labels(labels: tuple[str, ...], rules: list[str], expected: list[str]) -> None:
    merge = merge_groups(labels, rules)
    assert [merge.labels[k] for k in merge.index] == list(expected)
    assert len(set(merge.labels)) == len(merge.labels)


def test_rates_are_summed() -> None:
    rates = np.random.default_rng(0).normal(size=(50, 12, 3))
    merged = merge_groups(MOLECULES, ["kind"])(rates)
    np.testing.assert_allclose(merged[:, 0], rates[:, :6].sum(axis=1))
    np.testing.assert_allclose(merged[:, 2], rates[:, 9:].sum(axis=1))
    np.testing.assert_allclose(merged.sum(axis=1), rates.sum(axis=1))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["motion"], "groups: merge motion: found 'O', expected labels that end with a motion"),
        (["water"], "groups: merge: found 'water', expected motion, group, kind, all, or NAME="),
        (["motion", "kind"], "groups: merge: found 'motion'"),
        (["=O"], "groups: merge: found '=O'"),
        (
            ["ions=Na*"],
            r"merge ions=Na\*: found no group that matches, expected a pattern .* one of O, H",
        ),
    ],
)
def test_bad_rules(rules: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        merge_groups(("O", "H"), rules)
