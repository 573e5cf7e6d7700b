"""From signals to spectral densities with errors: windows, blocks, correlations."""
