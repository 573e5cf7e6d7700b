"""Checks for what users add: networks, models, engines and electronic-structure programs.

Each is one function that raises an ``AssertionError`` which says what is wrong, to be called from
a test; the package's own tests call the same ones.
"""
