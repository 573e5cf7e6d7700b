"""Units and conventions, stated once; every other module links here.

=====================================  ====================================================
lengths, times, charge, mass           Å, fs, e, amu
temperature, energy                    K, eV
velocities, dipole rate Ṁ              Å/fs, e Å/fs
cell                                   rows are lattice vectors (as in ASE)
atomic polar tensor (APT)              ``apt[i, α, β] = ∂M_α/∂r_iβ``, e.
                                       **Row = dipole, column = displacement**
polarizability gradient tensor (PGT)   ``pgt[i, α, β, γ] = ∂a_αβ/∂r_iγ``, Å², with the
                                       polarizability volume a, Å³; symmetric in αβ
dipole rate                            ``Ṁ = Σᵢ apt[i] @ v[i]``
field force                            ``F[i] = apt[i].T @ E``, E in V/Å
wavenumber                             cm⁻¹; absorption coefficient cm⁻¹, neperian
molar absorption of a molecule         km/mol per cm⁻¹, neperian; its integral over
                                       wavenumbers km/mol
=====================================  ====================================================

Only the edges convert: ASE velocities × ``ase.units.fs`` are Å/fs; ASE's standard property
``born_effective_charges`` is the APT as it stands, (n_atoms, 3, 3); extxyz files hold it as
``apt``, (n_atoms, 9), and ``pgt``, (n_atoms, 27), row-major; i-PI's ``BEC`` is
``apt.transpose(0, 2, 1).reshape(-1, 3)``.
"""

from __future__ import annotations

import math

from scipy import constants as _si

BOLTZMANN_EV_PER_K: float = _si.k / _si.e
"""k_B, eV/K."""

AMU_A2_PER_FS2_EV: float = _si.atomic_mass * 1e10 / _si.e
"""1 amu Å²/fs² in eV."""

LIGHT_SPEED_CM_PER_FS: float = _si.c * 1e2 * 1e-15
"""c, cm/fs."""

WAVENUMBER_PER_ANGULAR_FREQUENCY: float = 1.0 / (2.0 * math.pi * LIGHT_SPEED_CM_PER_FS)
"""cm⁻¹ per rad/fs: ν̃ = ω/(2πc)."""

KELVIN_PER_WAVENUMBER: float = _si.h * _si.c * 1e2 / _si.k
"""hc/k_B, K per cm⁻¹: βħω = KELVIN_PER_WAVENUMBER ν̃ / T."""

PERMITTIVITY_TIMES_LIGHT_SPEED: float = _si.epsilon_0 * _si.c * 1e2
"""ε₀c for absorption in cm⁻¹: the conductivity σ(ω) = ε₀ c n(ω)α(ω) in S/m."""

PER_A3_IN_MOL_PER_LITRE: float = 1e27 / _si.N_A
"""1/Å³ in mol/L."""

IR_PREFACTOR: float = (
    # ∫dt ⟨Ṁ(0)·Ṁ(t)⟩ in (e Å/fs)² fs = e² Å²/fs -> SI: e² 1e-20 / 1e-15
    (_si.e**2 * 1e-20 / 1e-15) / (6.0 * _si.k * 1e-30 * _si.c * _si.epsilon_0) * 1e-2  # m⁻¹ -> cm⁻¹
)
"""1/(6 k_B c ε₀): n(ω)α(ω) [cm⁻¹] = IR_PREFACTOR / (T V) ∫dt e^{-iωt} ⟨Ṁ(0)·Ṁ(t)⟩, with T in K,
V in Å³ and the integral over all times in e² Å²/fs (Schienbein 2023, Eqs. 1 and 2)."""

F_SUM_PREFACTOR: float = (
    # ∫ nα dω = π/(2 V c ε₀) Σ q²/m; in wavenumbers ω = 2πcν̃, so ∫ nα dν̃ = that / (2πc)
    (1.0 / (4.0 * 1e-30 * _si.c**2 * _si.epsilon_0))
    * (_si.e**2 / _si.atomic_mass)
    * 1e-4  # m⁻² -> cm⁻²
)
"""∫₀^∞ n(ν̃)α(ν̃) dν̃ [cm⁻²] = F_SUM_PREFACTOR / V Σᵢ qᵢ²/mᵢ, with V in Å³, q in e and m in amu."""

KM_PER_MOL: float = (
    _si.N_A * _si.e**2 / (12.0 * _si.epsilon_0 * _si.c**2 * _si.atomic_mass) * 1e-3  # m -> km
)
"""Integrated molar absorption of a normal mode, km/mol = KM_PER_MOL |∂M/∂Q|², with ∂M/∂Q in
e/√amu: N_A e²/(12 ε₀ c² amu), the harmonic limit of the same formula as :data:`IR_PREFACTOR`."""

RAMAN_PREFACTOR: float = 2.0 * LIGHT_SPEED_CM_PER_FS * AMU_A2_PER_FS2_EV / BOLTZMANN_EV_PER_K
"""2c/k_B: Raman activity in each wavenumber [Å⁴/amu per cm⁻¹] = RAMAN_PREFACTOR / T
∫dt e^{-iωt} ⟨ȧ(0) ȧ(t)⟩, with T in K and the integral over all times in Å⁶/fs. Its integral over
wavenumbers from 0 on is Σ (∂a/∂Q)² of classical harmonic vibrations, whose ⟨Q̇²⟩ is k_B T."""

CROSS_SECTION_PREFACTOR: float = (
    # 16π⁴ h/(8π² c) with the polarizability volume: (4πε₀)² and π²/ε₀² make 16π⁴
    2.0 * math.pi**2 * _si.h / _si.c
    # Å⁴/amu, cm⁻⁴ and cm to SI, then m² to cm²
    * (1e-40 / _si.atomic_mass) * 1e8 * 1e-2 * 1e4
)  # fmt: skip
"""2π²h/c: dσ/dΩ [cm²/sr] = CROSS_SECTION_PREFACTOR (ν̃₀ − ν̃)⁴/(ν̃ (1 − e^{−βħω})) S/45 of a Raman
line at ν̃ (cm⁻¹) of the activity S (Å⁴/amu), laser at ν̃₀ (J. Neugebauer, M. Reiher, C. Kind and
B. A. Hess, J. Comput. Chem. 23, 895 (2002), in polarizability volumes)."""

PER_CM2_PER_KM_PER_MOL: float = 1e5 / (_si.N_A * 1e-24)  # cm/mol over cm³/mol of 1 Å³
"""∫ n(ν̃)α(ν̃) dν̃ [cm⁻²] = PER_CM2_PER_KM_PER_MOL A / V of one mode of intensity A (km/mol) in each
volume V (Å³)."""

MOLAR_IR_PREFACTOR: float = IR_PREFACTOR / PER_CM2_PER_KM_PER_MOL
"""N_A/(6 k_B c ε₀): molar absorption [km/mol per cm⁻¹] = MOLAR_IR_PREFACTOR / T
∫dt e^{-iωt} ⟨Ṁ(0)·Ṁ(t)⟩ of one molecule in a gas so thin that n = 1; T and the integral as for
:data:`IR_PREFACTOR`. The volume of each molecule, which the absorption coefficient is divided by,
cancels in the molar absorption."""

MOLAR_F_SUM_PREFACTOR: float = F_SUM_PREFACTOR / PER_CM2_PER_KM_PER_MOL
"""Integral of the molar absorption over all wavenumbers [km/mol] = MOLAR_F_SUM_PREFACTOR Σᵢ qᵢ²/mᵢ,
q in e and m in amu; 3 :data:`KM_PER_MOL`, each charge being free to move in three directions."""
