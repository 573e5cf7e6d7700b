"""One model file with the members of several: python joined.py OUT.pt MODEL.pt..."""

import sys
from dataclasses import replace
from pathlib import Path

from aptnn_md.prediction.model_file import read_model_file, write_model_file

out, *sources = sys.argv[1:]
files = [read_model_file(source) for source in sources]
members = tuple(member for file in files for member in file.members)
write_model_file(Path(out), replace(files[0], members=members))
