"""Whether runs are long enough yet: errors of their spectra as they grow."""
