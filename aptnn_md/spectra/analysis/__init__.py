"""What is read from spectra: bands, optical constants, differences, convergence."""
