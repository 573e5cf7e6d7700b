"""Raman scattering from polarizability rates."""
