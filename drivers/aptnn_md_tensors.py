"""Atomic polar tensors, and polarizability gradients, for aptnn_md in the i-PI process, no forces.

In i-PI's input::

    <ffdirect name='tensors'><pes>custom</pes><pes_path>aptnn_md_tensors.py</pes_path>
      <parameters>{model: water-apt, template: start.xyz}</parameters></ffdirect>

or as a client: ``i-pi-py_driver -m custom -P aptnn_md_tensors.py
-o model=water-apt,template=start.xyz``; with ``model: water-apt;water-pgt`` it sends both.
``model: module:callable key=value key=value`` is a model by the name of what makes it.
"""

from aptnn_md.engines.ipi.pes import TensorDriver

__DRIVER_NAME__ = "aptnn_md_tensors"
__DRIVER_CLASS__ = "TensorDriver"

__all__ = ["TensorDriver"]
