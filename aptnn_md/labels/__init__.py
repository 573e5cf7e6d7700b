"""Reference labels from electronic structure: polar tensors and polarizability gradients.

Index order and units are those of :mod:`aptnn_md.units`: ``apt[i, α, β] = ∂M_α/∂r_iβ``, e, and
``pgt[i, α, β, γ] = ∂a_αβ/∂r_iγ``, Å², with the polarizability volume a, Å³. Fields are in V/Å and
the energy in a field E is E₀ − M·E − ½ E·α·E.

:mod:`~aptnn_md.labels.schemes` says which single points give a label and puts them together,
:mod:`~aptnn_md.labels.job` runs them, each once, with one of the engines.
"""

from aptnn_md.labels.engines.interface import Engine, load_engine
from aptnn_md.labels.importers.options import ImportOptions
from aptnn_md.labels.importers.reading import read_labels
from aptnn_md.labels.job import ImportJob, LabelJob, import_labels, run_labels
from aptnn_md.labels.labelled_file import FrameToLabel, Summary
from aptnn_md.labels.points import PointFailure, PointResult

__all__ = [
    "Engine",
    "FrameToLabel",
    "ImportJob",
    "ImportOptions",
    "LabelJob",
    "PointFailure",
    "PointResult",
    "Summary",
    "import_labels",
    "load_engine",
    "read_labels",
    "run_labels",
]
