"""Existing labels: readers for files of other programs."""
