"""One room for each source of motion: positions, velocities of the same time, cell and step."""
