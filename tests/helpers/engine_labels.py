"""Labels of a structure by an engine, point by point, without a job around it."""

import numpy as np

from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.labels.schemes import Scheme


def engine_labels(scratch, spec, atoms, kind, properties=("apt",), chosen=None, **settings):
    """Labels of the chosen atoms; field, step and linearity are the scheme's."""
    engine = load_engine(spec)
    chosen = np.ones(len(atoms), bool) if chosen is None else chosen
    field, step = settings.pop("field", engine.field), settings.pop("step", engine.step)
    scheme = Scheme(kind, properties, field, step, settings.pop("linearity", False))
    points = {
        point: engine.calculate(
            point.place(atoms),
            np.array(point.field),
            charge=0.0,
            with_forces=kind == "field",
            scratch=scratch,
            keep=point.is_zero,
        )
        for point in scheme.points(chosen)
    }
    engine.clean(scratch)
    return scheme.labels(atoms, chosen, points)
