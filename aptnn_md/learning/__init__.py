"""Learning potentials and tensors of a system by itself: sample, label, train, judge."""
