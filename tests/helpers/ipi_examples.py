"""Examples of i-PI, copied and shortened."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.paths import ROOT


def run_example(name, directory, steps, from_steps):
    """Copy it with what it refers to, shorten it, run its script; what it prints."""
    shutil.copytree(ROOT / "drivers", directory / "drivers")
    example = directory / "examples" / name
    shutil.copytree(ROOT / "examples" / name, example)
    text = (example / "input.xml").read_text()
    assert f"<total_steps>{from_steps}</total_steps>" in text
    short = text.replace(f"<total_steps>{from_steps}<", f"<total_steps>{steps}<")
    (example / "input.xml").write_text(short)
    # the short run has too few frames for a spectrum
    script = (example / "run.sh").read_text().splitlines()
    kept = [line for line in script if not line.startswith("aptnn-md spectrum")]
    (example / "run.sh").write_text("\n".join(kept) + "\n")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["./run.sh"], cwd=example, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return example, done.stdout
