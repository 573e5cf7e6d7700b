"""How the error of a network falls with the number of labelled clusters.

    python learning_curve.py clusters.extxyz [target] [steps]

The clusters come in order of the frames they were cut from: the last 60 are the test, from frames
that the training never sees; the first 25, 50, 100 and 200 of the others, in random order, are for
training, each with the same number of optimiser steps (1600). Writes curve.csv and curve.png and,
for each number, the model and its figures. Resumes where it was stopped.
"""

import json
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
from matplotlib.figure import Figure

SIZES = (25, 50, 100, 200)
N_TEST = 60

clusters = [c for c in ase.io.read(sys.argv[1], ":") if c.info["label_status"] == "ok"]
target = sys.argv[2] if len(sys.argv) > 2 else "pgt"
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 1600
test, rest = clusters[-N_TEST:], clusters[:-N_TEST]
apart = {c.info["source_frame"] for c in test}
rest = [c for c in rest if c.info["source_frame"] not in apart]
order = np.random.default_rng(0).permutation(len(rest))
ase.io.write("test.extxyz", test)
rows = []
for size in SIZES:
    data = f"train-{size}.extxyz"
    ase.io.write(data, [rest[k] for k in order[:size]])
    model, figures = Path(f"{target}-{size}.pt"), Path(f"{target}-{size}.json")
    if not figures.exists():
        train = ["train", "--data", data, "--target", target, "--out", model]
        train += ["--valid-fraction", "0", "--epochs", str(steps // size)]
        train += ["--restart"] if Path(f"{model}.state").exists() else []
        subprocess.run(["aptnn-md", *train], check=True)
        evaluate = ["aptnn-md", "evaluate", "--model", model, "--data", "test.extxyz", "--json"]
        figures.write_bytes(subprocess.run(evaluate, check=True, stdout=subprocess.PIPE).stdout)
    errors = json.loads(figures.read_text())
    for name, found in errors.items() if "+" in target else [(target, errors)]:
        rows.append((name, size, found["rmse"], found["spread"], found["relative"], found["unit"]))
        print("{}: {:4d} clusters, RMSE {:.4f}, spread {:.4f}, relative {:.4f}".format(*rows[-1]))

with open("curve.csv", "w") as table:
    print("target,clusters,rmse,spread,relative_rmse", file=table)
    for row in rows:
        print(*row[:-1], sep=",", file=table)
figure = Figure(figsize=(4.8, 3.6), layout="constrained")
axes = figure.add_subplot()
for name in dict.fromkeys(row[0] for row in rows):
    axes.plot(SIZES, [100 * row[4] for row in rows if row[0] == name], "o-", label=name.upper())
axes.set(xscale="log", yscale="log", xlabel="labelled clusters", ylabel="RMSE / spread, %")
axes.set_xticks(SIZES, [str(size) for size in SIZES])
axes.minorticks_off()
axes.set_yticks([5, 10, 20, 30], ["5", "10", "20", "30"])
axes.grid(alpha=0.3)
axes.legend(frameon=False)
figure.savefig("curve.png", dpi=150)
