"""What is known of the atoms: neighbours, molecules, groups, motions, and the rates of a frame."""
