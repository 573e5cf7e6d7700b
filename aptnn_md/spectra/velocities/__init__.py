"""Vibrational density of states from velocities."""
