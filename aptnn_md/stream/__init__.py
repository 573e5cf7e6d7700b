"""The stream: Ṁ(t) of a run on disk, with ȧ(t) if the model knows it, and no trajectory.

A stream is a directory that holds a Zarr v3 group (format ``aptnn_md.stream``, version 2).

Attributes of the group: ``format``, ``version``, ``package_version``, ``units``, ``index_order``,
the fields of :class:`StreamHeader`, ``first_step``, ``identity`` (random, of this stream), from the
first commit on ``arrays`` (names of all arrays but ``digest``), after a restart ``restarts``, and
``checksum`` (:mod:`aptnn_md.stream.metadata`). Arrays, whose first axis is ``frame``:

===================================  =================  =====================================
``step``                             (frame,) int64     MD step
``time``                             (frame,)           fs
``dipole_rate/<estimator>``          (frame, group, 3)  Ṁ of each group, e Å/fs
``volume``                           (frame,)           Å³, optional like all that follow
``temperature``                      (frame,)           K, instantaneous
``motion_temperature``               (frame, motion)    K, of translation, libration and vibration
                                                        of molecules; 0 where there is none
``coordinate_temperature``           (frame,            K, of each kind of bond, angle and torsion
                                     coordinate)        of a molecule, the mean of those of a
                                                        kind, and of its rotations
``conserved_energy``                 (frame,)           eV, of a run that conserves one: potential
                                                        and kinetic energy less what a thermostat
                                                        has put in; of path integrals per bead
``f_sum``                            (frame, group)     Σᵢ Σ_αβ apt²/(3 mᵢ), e²/amu
``dipole_rate_std``                  (frame, group, 3)  standard deviation of Ṁ over a
                                                        committee, e Å/fs
``extrapolation``                    (frame,)           largest committee deviation of an
                                                        atom's APT, e
``spread_ratio``                     (frame,)           largest committee deviation of an
                                                        atom's tensors in units of its limit;
                                                        above 1 the structure is outside of
                                                        what the model knows
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

``digest`` (frame, array) uint32 holds a digest of each frame of each array, in the order of
``arrays`` (:mod:`aptnn_md.stream.digest`).

Frames are ``stride`` steps apart, without gaps. ``step`` counts what is committed; no other array
is shorter. Every file is replaced as a whole, chunks before the array shapes that count them,
``step`` after the others and the header's ``arrays`` at the very end of the first commit; a restart
cuts ``step`` first. So the process may be killed at any moment, and a reader may look at any
moment. A commit waits for the disk, so it also survives that the power fails, as far as the file
system and the disk keep their promises (``durable`` of :class:`StreamWriter`).

What is damaged is found and named when it is read, by :class:`StreamReader` as by ``aptnn-md info
--check`` (:func:`check_stream`), which reads all of it: each ``zarr.json`` has a checksum of itself
in its attributes and must be what the header says, each chunk has a CRC-32C, and the digests tell
chunks that are in a wrong place, of another stream or of an older copy. A chunk or an array that is
missing is an error, never a shorter stream.

Version 1 has neither checksums of metadata nor digests nor ``identity`` and ``arrays``; the
shortest array counts what is committed. It is read as before, and a run that continues such a
stream writes version 1.

:class:`StreamReader` reads it, and :func:`open_stream` as a dataset of xarray; of the tools of Zarr
``xarray.open_datatree(path, engine="zarr")`` does, because rates lie in groups.

In this package a *frame* is one time of a stream; where the atoms are at one time is a
:class:`aptnn_md.atoms.snapshot.Snapshot`. :mod:`aptnn_md.stream.frame` makes frames of tensors.
"""

from __future__ import annotations

from aptnn_md.stream.check import check_stream
from aptnn_md.stream.dataset import open_stream
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.reader import StreamReader, stream_exists
from aptnn_md.stream.writer import StreamWriter

__all__ = [
    "StreamHeader",
    "StreamReader",
    "StreamWriter",
    "check_stream",
    "open_stream",
    "stream_exists",
]
