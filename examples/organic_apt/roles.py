"""Frames of one role, training or test, from labelled files.

python roles.py ROLE OUT.extxyz LABELLED.extxyz...
"""

import sys
from pathlib import Path

import ase.io
from compact import text_of

role, out, *sources = sys.argv[1:]
frames = [a for source in sources for a in ase.io.read(source, ":") if a.info["role"] == role]
Path(out).write_text("".join(map(text_of, frames)), encoding="utf-8")
