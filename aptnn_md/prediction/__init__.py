"""Trained models as functions of structures: one interface, its adapters, and model files."""
