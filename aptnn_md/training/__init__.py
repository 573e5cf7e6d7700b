"""From labelled frames to a model file, and how good it is."""
