"""Tensors in the extras of i-PI."""

import json

import helpers.toy_molecules as toy
import numpy as np
import pytest

from aptnn_md.engines.client import extras
from aptnn_md.errors import InputError

TENSORS = np.random.default_rng(5).normal(size=(2, 3, 3, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_every_bit_of_a_tensor_arrives(dtype):
    sent = TENSORS.astype(dtype).transpose(0, 1, 3, 2)
    received = extras.decode_tensor(json.loads(json.dumps(extras.encode_tensor(sent))))
    assert received.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(received, sent)


def test_all_beads_are_read_as_ipi_hands_them_over():
    made = [extras.tensor_extras({"apt": TENSORS * k}, "water-apt", "ab12") for k in range(1, 5)]
    handed = {key: [json.loads(extras.to_text(m))[key] for m in made] for key in made[0]}
    assert handed[extras.MODEL_KEY][0] == "water-apt ab12"
    beads = extras.read_tensor_extras(handed)["apt"]
    np.testing.assert_array_equal(beads, np.stack([TENSORS * k for k in range(1, 5)]))
    with pytest.raises(InputError, match="aptnn_md_apt: found only dipole, raw, expected"):
        extras.read_tensor_extras({"raw": [""], "dipole": [[0, 0, 0]]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2 <f8 1 AAAAAAAAAAA=", "version: found 2, expected 1"),
        ("1 <i4 1 AAAA", "type <i4"),
        ("1 <f8 2 AAAAAAAAAAA=", "reshape"),
        ("1 <f8 1 AAAA!", "base64"),
        ("no tensor", "expected version, type, shape and base64"),
    ],
)
def test_other_texts_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        extras.decode_tensor(text)


def test_integers_are_refused():
    with pytest.raises(InputError, match="float32 or float64"):
        extras.encode_tensor(np.arange(3))


def test_driven_extras_have_the_index_order_of_ipi():
    positions = toy.structure(2).positions
    apt = toy.polar_tensors(positions)
    field = np.array([0.1, -0.3, 0.2])
    sent = json.loads(extras.to_text(extras.driven_extras(apt, np.array([1.0, 2.0, 3.0]))))
    # i-PI makes forces of it as Z @ E, in the order of its flat coordinates
    forces = (np.array(sent["BEC"]) @ field).reshape(-1, 3)
    step = 1e-5
    for atom in range(len(positions)):
        for axis in range(3):
            moved = positions.copy()
            moved[atom, axis] += step
            plus = toy.dipole(moved) @ field
            moved[atom, axis] -= 2 * step
            minus = toy.dipole(moved) @ field
            assert forces[atom, axis] == pytest.approx((plus - minus) / (2 * step), abs=1e-8)
    np.testing.assert_allclose(sent["dipole"], np.array([1.0, 2.0, 3.0]) * 1.8897261246, rtol=1e-9)
    assert extras.to_text({}) == ""
