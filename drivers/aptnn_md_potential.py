"""Forces of any potential of aptnn_md.

In i-PI's input::

    <ffdirect name='potential'><pes>custom</pes><pes_path>aptnn_md_potential.py</pes_path>
      <parameters>{potential: water-mace, template: start.xyz}</parameters></ffdirect>

or as a client: ``i-pi-py_driver -m custom -P aptnn_md_potential.py
-o potential=water-mace,template=start.xyz``
"""

from aptnn_md.engines.ipi.pes import PotentialDriver

__DRIVER_NAME__ = "aptnn_md_potential"
__DRIVER_CLASS__ = "PotentialDriver"

__all__ = ["PotentialDriver"]
