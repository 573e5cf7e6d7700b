"""A spectrum as one page for a browser: curves with error bands, bands, parts, provenance.

The page is one file that loads nothing from anywhere, so that it can be sent to a colleague. It
contains the table that ``--out`` writes, byte by byte; the curves are drawn from it, and a button
saves it.
"""
