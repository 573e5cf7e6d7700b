"""Potentials by name or file, and MACE behind the interface of an ASE calculator."""
