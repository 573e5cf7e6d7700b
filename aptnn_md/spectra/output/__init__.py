"""What tables, pictures and NetCDF files of all spectra share."""
