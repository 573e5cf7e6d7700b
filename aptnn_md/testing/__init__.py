"""Checks for those who add something: a model, an engine, a source of labels.

Each is a function that raises ``AssertionError`` with what is wrong; this package's own tests use
them.
"""
