"""Electronic-structure codes that give single points, one in a module."""
