"""Born effective charges for i-PI's driven dynamics, with or without forces.

In i-PI's input::

    <ffdirect name='bec'><pes>custom</pes><pes_path>aptnn_md_bec.py</pes_path>
      <parameters>{model: water-apt, potential: water-mace, template: start.xyz}</parameters>
    </ffdirect>

or as a client: ``i-pi-py_driver -m custom -P aptnn_md_bec.py
-o model=water-apt,potential=water-mace,template=start.xyz``. Keyword arguments are words with
blanks between: ``potential: module:callable key=value key=value``.
"""

from aptnn_md.engines.ipi.pes import DrivenDriver

__DRIVER_NAME__ = "aptnn_md_bec"
__DRIVER_CLASS__ = "DrivenDriver"

__all__ = ["DrivenDriver"]
