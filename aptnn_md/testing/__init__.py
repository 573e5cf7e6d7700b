"""Checks for what users add: networks, models, engines and electronic-structure programs."""
