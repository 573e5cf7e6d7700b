"""Models and structures that come with the package."""
