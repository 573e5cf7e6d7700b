"""Examples of i-PI, copied and shortened."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.paths import ROOT


def run_example(name, directory, steps, from_steps, changes=()):
    """Copy it with what it refers to, shorten it, run its script; what it prints.

    ``changes`` are other files, what is in them and what takes its place.
    """
    shutil.copytree(ROOT / "drivers", directory / "drivers")
    example = directory / "examples" / name
    shutil.copytree(ROOT / "examples" / name, example)
    total = "<total_steps>{}</total_steps>"
    shorter = ("input.xml", total.format(from_steps), total.format(steps))
    for file, old, new in (shorter, *changes):
        text = (example / file).read_text()
        assert old in text
        (example / file).write_text(text.replace(old, new))
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
