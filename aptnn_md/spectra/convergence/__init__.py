"""Whether runs that go on are long enough: errors of their spectra as they grow."""
