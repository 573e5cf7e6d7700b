"""i-PI: rates of dipole and polarizability, streamed from within its process.

The only part of the package that imports i-PI. i-PI works in atomic units with cell vectors in
columns; what leaves this subpackage is in the units of :mod:`aptnn_md.units`.

i-PI's protocol never sends velocities, so the stream is written where they are: in the i-PI
process. Three ways lead there:

==================================  ===============================================================
``aptnn-md ipi INPUT.xml``          :mod:`aptnn_md.engines.ipi.runner`; the input stays as it is
``i-pi INPUT.xml``                  :mod:`aptnn_md.engines.ipi.plugin`, a forcefield of weight 0
either, and the network elsewhere   :mod:`aptnn_md.engines.ipi.remote_tensors`: a client sends
                                    tensors
==================================  ===============================================================

Where the server is not ours, :mod:`aptnn_md.engines.client.client` gives forces and streams
increments.

What the estimators of Ṁ, and those of ȧ by PGTs, (:mod:`aptnn_md.stream.frame`) are worth, with P
beads:

===================  =============================  ====================  =========================
                     ``bead``                       ``centroid-apt``      ``apt-at-centroid``
===================  =============================  ====================  =========================
evaluations a frame  P                              P                     1
linear dipole        exact                          exact                 exact
RPMD                 exact derivative of the mean   approximate           approximate
                     bead dipole, whose Kubo
                     correlation RPMD gives
TRPMD                the same, with a background    approximate, without  approximate, without
                     from the damped inner modes    that background       that background
PA-CMD, CMD          wrong: inner modes have        the one to take       where P evaluations are
                     masses of their own                                  too many
f-sum rule           exact                          lower: |⟨P⟩|² ≤       not obeyed
                                                    ⟨|P|²⟩
===================  =============================  ====================  =========================

With CMD the dipole is a mean over the ring polymer at a fixed centroid. ``centroid-apt`` takes the
beads of the moment for that mean, which PA-CMD justifies by how fast they move. Several estimators
share their evaluations.
"""
