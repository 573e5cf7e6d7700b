"""The class from which spectra of streams derive."""

import numpy as np
from helpers import toy_molecules
from helpers.made_up_engine import vibrate

from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.options import InfraredOptions


class OfOneEstimator(InfraredStreams):
    """Sets what its methods need after the class that it derives from."""

    def __init__(self, paths, options, estimator):
        super().__init__(paths, options)
        self.only = estimator

    def _array_of(self, run):
        return run.reader.rate_name(self.only)


def test_a_subclass_sets_its_fields_when_it_likes(tmp_path):
    atoms = toy_molecules.structure(2, pbc=True)

    def tensors_of(structure):
        return {"apt": toy_molecules.polar_tensors(structure.positions)[None]}

    vibrate(tmp_path / "s", atoms, tensors_of, range(400), wavenumber=1600.0, spacing=1.0)
    options = InfraredOptions(resolution=200.0)
    made, plain = (
        OfOneEstimator([tmp_path / "s"], options, "bead"),
        InfraredStreams([tmp_path / "s"], options),
    )
    for streams in (made, plain):
        assert streams.read() == 400
    np.testing.assert_array_equal(made.density().mean, plain.density().mean)
