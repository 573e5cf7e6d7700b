"""Force of a constant electric field, V/Å, as a component in addition to a potential.

In i-PI's input::

    <ffdirect name='field'><pes>custom</pes><pes_path>aptnn_md_field.py</pes_path>
      <parameters>{model: water-apt, efield: 0 0 0.05, template: start.xyz}</parameters></ffdirect>

or as a client: ``i-pi-py_driver -m custom -P aptnn_md_field.py
-o 'model=water-apt,efield=0 0 0.05,template=start.xyz'``. Keyword arguments of a model are words
with blanks between: ``model: module:callable key=value key=value``.
"""

from aptnn_md.engines.ipi.pes import FieldDriver

__DRIVER_NAME__ = "aptnn_md_field"
__DRIVER_CLASS__ = "FieldDriver"

__all__ = ["FieldDriver"]
