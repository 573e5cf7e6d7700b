"""ASE: calculator, streaming observer and molecular dynamics with checkpoints."""
