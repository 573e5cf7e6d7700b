"""i-PI: dipole rates of its simulations, and clients for servers of its protocol.

The only part of the package that imports i-PI. i-PI works in atomic units with cell vectors in
columns; what leaves this subpackage is in the units of :mod:`aptnn_md.units`.
"""
