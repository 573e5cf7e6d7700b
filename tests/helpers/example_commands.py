"""Commands of examples, run in a copy of their directory with the programs of this environment."""

import os
import subprocess
import sys
from pathlib import Path


def run_command(
    directory: Path, *words: str, timeout: float | None = 900.0, **variables: str
) -> str:
    """What a command that must succeed prints; ``variables`` are of its environment."""
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        cwd=directory,
        env=os.environ | {"PATH": binaries} | variables,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
