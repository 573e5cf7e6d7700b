"""Potentials by name or file, and MACE as an ASE calculator."""
