"""Test systems, oscillators and processes that several tests share."""
