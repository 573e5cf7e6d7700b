"""Infrared absorption from dipole rates."""
