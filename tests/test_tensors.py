import numpy as np
from scipy.spatial.transform import Rotation

from aptnn_md.tensors import (
    VOIGT,
    acoustic_sum,
    cross,
    from_voigt,
    gradient_parts,
    irreducible_parts,
    project_total_charge,
    project_translation,
    to_voigt,
)

TENSORS = np.random.default_rng(0).normal(size=(5, 3, 3))
GRADIENTS = np.random.default_rng(1).normal(size=(40, 3, 3, 3))
GRADIENTS = GRADIENTS + np.swapaxes(GRADIENTS, 1, 2)


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


def test_vector_products_are_those_of_numpy():
    for one, other in (
        (TENSORS, TENSORS[::-1]),
        (TENSORS[:, None, 0], TENSORS),
        (TENSORS, TENSORS[0, 0]),
    ):
        np.testing.assert_array_equal(cross(one, other), np.cross(one, other))


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


def test_parts_of_gradients_add_up_and_are_irreducible():
    parts = gradient_parts(GRADIENTS)
    assert np.allclose(sum(parts.values()), GRADIENTS, atol=1e-14)
    ranks = {
        name: np.linalg.matrix_rank(part.reshape(40, 27), tol=1e-10) for name, part in parts.items()
    }
    assert ranks == {"1o isotropic": 3, "1o anisotropic": 3, "2o": 5, "3o": 7}
    for name, part in parts.items():
        assert np.allclose(part, np.swapaxes(part, 1, 2), atol=1e-14)
        for other in parts.values():
            if other is not part:
                assert np.abs(part.reshape(40, 27).T @ other.reshape(40, 27)).max() > 1e-3
                overlap = np.einsum("nabc,nabc->n", part, other)
                assert np.abs(overlap).max() < 1e-12, name
    assert np.abs(np.einsum("naac->nc", GRADIENTS - parts["1o isotropic"])).max() < 1e-13
    for name in ("2o", "3o"):
        assert np.abs(np.einsum("naac->nc", parts[name])).max() < 1e-13
        assert np.abs(np.einsum("nabb->na", parts[name])).max() < 1e-13
    assert np.allclose(parts["3o"], np.moveaxis(parts["3o"], 3, 1), atol=1e-14)


def test_parts_of_gradients_do_not_mix_under_rotation():
    rotation = -Rotation.from_rotvec([0.3, -1.0, 0.7]).as_matrix()

    def turned(pgt):
        return np.einsum("ax,by,cz,nxyz->nabc", rotation, rotation, rotation, pgt)

    rotated = gradient_parts(turned(GRADIENTS))
    for name, part in gradient_parts(GRADIENTS).items():
        assert np.allclose(rotated[name], turned(part), atol=1e-13)


def test_projected_gradients_do_not_feel_a_translation():
    projected = project_translation(GRADIENTS)
    assert np.abs(projected.sum(axis=0)).max() < 1e-13
    assert np.allclose((GRADIENTS - projected).std(axis=0), 0.0, atol=1e-14)
