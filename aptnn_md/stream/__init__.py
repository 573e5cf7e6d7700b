"""The stream: Ṁ(t) of a run on disk, with ȧ(t) if the model knows it, and no trajectory.

A stream is a directory that holds a Zarr v3 group (format ``aptnn_md.stream``, version 1).

Attributes of the group: ``format``, ``version``, ``package_version``, ``units``, ``index_order``,
and the fields of :class:`StreamHeader`. Arrays, whose first axis is ``frame``:

===================================  =================  =====================================
``step``                             (frame,) int64     MD step
``time``                             (frame,)           fs
``dipole_rate/<estimator>``          (frame, group, 3)  Ṁ of each group, e Å/fs
``volume``                           (frame,)           Å³, optional like all that follow
``temperature``                      (frame,)           K, instantaneous
``f_sum``                            (frame, group)     Σᵢ Σ_αβ apt²/(3 mᵢ), e²/amu
``dipole_rate_std``                  (frame, group, 3)  standard deviation of Ṁ over a
                                                        committee, e Å/fs
``extrapolation``                    (frame,)           largest committee deviation of an
                                                        atom's APT, e
``dipole_rate_beads``                (frame, bead,      Ṁ of each bead of a path integral,
                                     group, 3)          e Å/fs
``polarizability_rate/<estimator>``  (frame, group, 6)  ȧ of each group, Å³/fs, for each
                                                        estimator: xx, yy, zz, yz, xz, xy
``polarizability_rate_std``          (frame, group, 6)  standard deviation of ȧ over a
                                                        committee, Å³/fs
``velocity``                         (frame, atom, 3)   Å/fs, float32; of the centroids for
                                                        path integrals
===================================  =================  =====================================

The rates of other targets (:data:`aptnn_md.targets.TARGETS`) have arrays like those of ȧ, named
after the target's ``rate_name``.

Frames are ``stride`` steps apart, without gaps. The shortest array counts what is committed. Every
file is replaced as a whole, chunks before the array shapes that count them and ``step`` last, so
the process may be killed at any moment, and a reader may look at any moment.

:class:`StreamReader` reads it, and :func:`open_stream` as a dataset of xarray; of the tools of Zarr
``xarray.open_datatree(path, engine="zarr")`` does, because rates lie in groups.

In this package a *frame* is one time of a stream; where the atoms are at one time is a
:class:`aptnn_md.atoms.snapshot.Snapshot`. :mod:`aptnn_md.stream.frame` makes frames of tensors.
"""

from __future__ import annotations

from aptnn_md.stream.dataset import open_stream
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.reader import StreamReader, stream_exists
from aptnn_md.stream.writer import StreamWriter

__all__ = ["StreamHeader", "StreamReader", "StreamWriter", "open_stream", "stream_exists"]
