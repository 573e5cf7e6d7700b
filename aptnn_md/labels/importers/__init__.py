"""Labels that exist already: readers of the files of other programs."""
