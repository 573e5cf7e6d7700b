"""Potentials by name or file, MACE as an ASE calculator, and one interface for batches."""
