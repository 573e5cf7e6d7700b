"""Dipole and polarizability rates of plain ``i-pi input.xml``, streamed and as properties.

In i-PI's input::

    <ffdirect name='stream'><pes>custom</pes><pes_path>aptnn_md_stream.py</pes_path>
      <parameters>{model: water-apt, stream: water.zarr, stride: 4, estimators: bead+centroid-apt,
                   groups: element}</parameters></ffdirect>

and in the forces of the system ``<force forcefield='stream' weight='0.0'/>``. Then ``dipole_rate``,
``dipole_rate_centroid_apt`` and ``dipole_rate_apt_at_centroid`` are names for ``<properties>``, in
atomic units or, as ``dipole_rate{ang/fs}``, in e Å/fs. With ``model: water-apt;water-pgt``, or any
model that gives polarizability gradients, too, so are ``polarizability_rate`` and so on, in atomic
units or, as ``polarizability_rate{ang3/fs}``, in Å³/fs. ``model: module:callable key=value`` is a
model by the name of what makes it.
"""

from aptnn_md.engines.ipi.plugin import StreamPlugin

__DRIVER_NAME__ = "aptnn_md_stream"
__DRIVER_CLASS__ = "StreamPlugin"

__all__ = ["StreamPlugin"]
