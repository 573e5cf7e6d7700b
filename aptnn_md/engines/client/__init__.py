"""A client for any server of the i-PI protocol: forces, tensors, and increments of the dipole."""
