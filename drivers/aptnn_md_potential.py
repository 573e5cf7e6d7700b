"""Forces of any potential of aptnn_md.

In i-PI's input::

    <ffdirect name='potential'><pes>custom</pes><pes_path>aptnn_md_potential.py</pes_path>
      <parameters>{potential: water-mace, template: start.xyz}</parameters></ffdirect>

Any ASE calculator is a potential, with its keyword arguments as words with blanks between, because
commas end a value in i-PI::

      {potential: ase.calculators.lj:LennardJones sigma=3.4 epsilon=0.01, template: start.xyz}

Or as a client: ``i-pi-py_driver -m custom -P aptnn_md_potential.py
-o potential=water-mace,template=start.xyz``
"""

from aptnn_md.engines.ipi.pes import PotentialDriver

__DRIVER_NAME__ = "aptnn_md_potential"
__DRIVER_CLASS__ = "PotentialDriver"

__all__ = ["PotentialDriver"]
