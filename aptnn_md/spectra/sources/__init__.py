"""From stream files to the runs and signals that a spectrum is estimated from."""
