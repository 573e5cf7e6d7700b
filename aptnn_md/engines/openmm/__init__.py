"""OpenMM runs, and a reporter of its application layer writes the dipole rate to a stream."""
