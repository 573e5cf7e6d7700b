"""The epochs of a training job as a table and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aptnn_md.files import write_output


def log_table(members: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """The epochs of all members as CSV; RMSEs in the target's unit (e for APTs).

    For several targets ``train_rmse`` and ``valid_rmse`` are relative to their spreads, and each
    target's own columns are in its unit.
    """
    text = io.StringIO()
    header = ["member", "epoch", "seconds", "learning_rate", "train_rmse", "valid_rmse"]
    first = members[0][0]
    parts = [
        (f"{name.replace('_by_target', '')}_rmse_{part}", name, part)
        for name in ("train_by_target", "valid_by_target")
        for part in first[name]
    ]
    parts += [(f"valid_rmse_{p}", "valid_by_element", p) for p in first["valid_by_element"]]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header + [column for column, _, _ in parts])
    for number, records in enumerate(members):
        for record in records:
            row = [record[key] for key in ("epoch", "seconds", "learning_rate", "train", "valid")]
            values = [record[name].get(part, float("nan")) for _, name, part in parts]
            writer.writerow([number, row[0], *(f"{value:.6g}" for value in row[1:] + values)])
    return text.getvalue()


def draw_learning_curves(
    members: Sequence[Sequence[Mapping[str, Any]]], path: Path, unit: str = "e"
) -> None:
    """Training and validation RMSE against the epoch, for each member."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for number, records in enumerate(members):
        epochs = [record["epoch"] for record in records]
        colour, many = f"C{number}", len(members) > 1
        suffix = f" {number + 1}" if many else ""
        for key, style, label in (("train", ":", "training"), ("valid", "-", "validation")):
            values = [record[key] for record in records]
            if np.isfinite(values).any():
                axes.plot(epochs, values, style, color=colour, label=label + suffix)
    axes.set(xscale="log", yscale="log", xlabel="epoch", ylabel=f"RMSE / {unit}")
    axes.grid(which="both", alpha=0.3)
    axes.legend(frameon=False, ncols=max(1, len(members) // 2))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_output(path, buffer.getvalue())
