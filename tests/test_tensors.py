import numpy as np
from scipy.spatial.transform import Rotation

from aptnn_md.tensors import (
    VOIGT,
    acoustic_sum,
    from_voigt,
    irreducible_parts,
    project_total_charge,
    to_voigt,
)

TENSORS = np.random.default_rng(0).normal(size=(5, 3, 3))


def test_parts_add_up_and_have_their_symmetry():
    parts = irreducible_parts(TENSORS)
    assert np.allclose(sum(parts.values()), TENSORS, atol=1e-15)
    assert np.allclose(parts["1e"], -np.swapaxes(parts["1e"], 1, 2))
    assert np.allclose(parts["2e"], np.swapaxes(parts["2e"], 1, 2))
    assert np.allclose(np.trace(parts["2e"], axis1=1, axis2=2), 0.0)


def test_parts_do_not_mix_under_rotation():
    rotation = Rotation.from_rotvec([0.3, -1.0, 0.7]).as_matrix()
    rotated = irreducible_parts(rotation @ TENSORS @ rotation.T)
    for name, part in irreducible_parts(TENSORS).items():
        assert np.allclose(rotated[name], rotation @ part @ rotation.T, atol=1e-14)


def test_projection_gives_the_total_charge():
    for charge in (0.0, -2.0):
        projected = project_total_charge(TENSORS, charge)
        assert np.allclose(projected.sum(axis=0), charge * np.eye(3), atol=1e-14)
        assert np.abs(acoustic_sum(projected, charge)).max() < 1e-14
        # the same tensor was taken from every atom
        assert np.allclose((TENSORS - projected).std(axis=0), 0.0, atol=1e-15)


def test_voigt_components_are_those_of_ases_stress():
    from ase.stress import full_3x3_to_voigt_6_stress

    symmetric = TENSORS + np.swapaxes(TENSORS, 1, 2)
    assert np.array_equal(to_voigt(symmetric), full_3x3_to_voigt_6_stress(symmetric))
    assert np.array_equal(from_voigt(to_voigt(symmetric)), symmetric)
    # the symmetric part of what is not symmetric, in any number of dimensions
    assert np.allclose(to_voigt(TENSORS.reshape(5, 1, 3, 3)), 0.5 * to_voigt(symmetric)[:, None])
    assert np.array_equal([symmetric[2][pair] for pair in VOIGT], to_voigt(symmetric[2]))
