"""torch-sim integrates many systems at once, and a reporter writes a stream for each of them."""
