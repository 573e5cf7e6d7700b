"""Networks that turn a graph into tensors of its atoms.

A network is built from a frozen configuration and has ``geometry(graph)``, which holds all that
does not depend on weights, and ``forward(geometry)`` -> (n_atoms, target_irreps.dim).
"""
