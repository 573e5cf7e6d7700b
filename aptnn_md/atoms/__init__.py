"""What is known of the atoms: neighbours, molecules, partitions into groups and motions, rates."""
