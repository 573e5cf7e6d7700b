"""Motion that was stored before: trajectories of any program, and series of dipoles."""
