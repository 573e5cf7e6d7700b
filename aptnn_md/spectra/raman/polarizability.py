"""Coordinates of a symmetric tensor in which its two invariants are sums of squares.

The scattering of molecules that turn freely depends on two invariants of the polarizability
(or of its rate) a only: the square of the mean polarizability, ā² = (a_xx + a_yy + a_zz)²/9, and
the anisotropy

    γ² = ½[(a_xx − a_yy)² + (a_yy − a_zz)² + (a_zz − a_xx)²] + 3(a_xy² + a_yz² + a_zx²)

(D. A. Long, The Raman Effect, Wiley 2002). So with coordinates u = A a

    u₀² = 45 ā²,    u₁² + ... + u₅² = γ²,

and a correlation of invariants is a sum of correlations of coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.tensors import VOIGT

COMPONENTS = tuple("".join("xyz"[k] for k in pair) for pair in VOIGT)
"""Names of the components xx, yy, zz, yz, xz, xy in the order of :data:`VOIGT`."""

ISOTROPIC_COORDINATES, ANISOTROPIC_COORDINATES = (0,), (1, 2, 3, 4, 5)
"""Coordinates whose squares make 45 ā² and γ²."""

ROOT_45 = math.sqrt(45.0)
"""What single components are multiplied by, so that of freely turning molecules xx is VV, xy VH."""

_ROOT_3, _HALF = math.sqrt(3.0), 0.5 * math.sqrt(3.0)
_INVARIANTS = np.array(
    [
        [ROOT_45 / 3.0, ROOT_45 / 3.0, ROOT_45 / 3.0, 0, 0, 0],
        [-0.5, -0.5, 1.0, 0, 0, 0],
        [_HALF, -_HALF, 0, 0, 0, 0],
        [0, 0, 0, _ROOT_3, 0, 0],
        [0, 0, 0, 0, _ROOT_3, 0],
        [0, 0, 0, 0, 0, _ROOT_3],
    ]
)


def component_index(name: str) -> int:
    """Place of a component in :data:`COMPONENTS`; either order of its axes.

    Raises
    ------
    InputError
        An unknown component.
    """
    for written in (name, name[::-1]):
        if written in COMPONENTS:
            return COMPONENTS.index(written)
    raise InputError("spectrum", "component", repr(name), f"one of {', '.join(COMPONENTS)}")


def coordinates(tensors: AnyArray, components: Sequence[str] = ()) -> FloatArray:
    """Coordinates u of symmetric tensors, followed by √45 times some components.

    Parameters
    ----------
    tensors : (..., 6) in the order of :data:`COMPONENTS`
    components : names of those that are wanted one by one

    Returns
    -------
    (..., 6 + n_components)
    """
    single = [ROOT_45 * np.eye(6)[component_index(name)] for name in components]
    return np.asarray(tensors @ np.array([*_INVARIANTS, *single]).T)
