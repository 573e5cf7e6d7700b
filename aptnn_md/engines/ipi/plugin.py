"""Streams for plain ``i-pi input.xml``: a custom PES that, when i-PI loads it, attaches one.

It is a forcefield without forces, which a system refers to with weight 0::

    <ffdirect name='stream'>
      <pes>custom</pes> <pes_path>aptnn_md_stream.py</pes_path>
      <parameters>{model: water-apt, stream: water.zarr, stride: 4, estimators: bead+centroid-apt,
                   groups: element}</parameters>
    </ffdirect>
    ...
    <forces> ... <force forcefield='stream' weight='0.0'/> </forces>

``model: water-apt;water-pgt`` streams polarizability rates, too (``;`` stands for a comma, which
i-PI's parameters do not hold), and ``model: module:callable key=value key=value`` is a model by the
name of what makes it.

With multiple time steps i-PI wants ``<mts_weights>`` of each component: zeros here. RESTART keeps
the plugin, so ``i-pi RESTART`` continues the stream.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from ipi.engine.forcefields import FFDirect
from ipi.engine.simulation import Simulation
from ipi.pes.dummy import Dummy_driver
from ipi.utils.softexit import softexit

from aptnn_md.engines.ipi.attach import bind_with_streams
from aptnn_md.engines.ipi.pes import refuse_unknown
from aptnn_md.engines.ipi.remote_tensors import source_of
from aptnn_md.engines.ipi.settings import StreamSettings, one_stream_each
from aptnn_md.engines.ipi.streaming import SystemStream
from aptnn_md.engines.ipi.version import require_ipi
from aptnn_md.engines.ipi.watch import ForceWatch
from aptnn_md.errors import InputError
from aptnn_md.prediction.charges import log_charge
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.progress import log


class StreamPlugin(Dummy_driver):  # type: ignore[misc]  # i-PI has no types
    """Parameters in the input, in i-PI's ``{name: value, ...}``.

    Parameters
    ----------
    stream : directory of the stream; of several systems each gets one of its own
    model : as for :func:`aptnn_md.prediction.loading.as_model`, several names with ``;`` between;
        ``water-apt`` where ``tensors`` is not given
    tensors : in place of ``model``: forcefields whose client sends the tensors, with ``+`` between
    stride : steps between frames
    estimators : one or several with ``+`` between, as i-PI's parameters hold no lists
    groups : see :func:`aptnn_md.atoms.partition.parse_groups`; ``;`` stands for a comma, unless a
        file has this name
    beads_too, velocities, pbc : see :class:`aptnn_md.engines.ipi.settings.StreamSettings`;
        ``pbc: False`` for a molecule or cluster, whose cell is made up
    device, dtype, total_charge : for a model that is loaded here
    """

    def __init__(
        self,
        stream: str = "",
        *,
        model: ModelSource | None = None,
        tensors: str = "",
        stride: int = 4,
        estimators: str = "bead",
        groups: str = "all",
        beads_too: bool = False,
        velocities: bool = False,
        pbc: bool = True,
        device: str = "cpu",
        dtype: str | None = None,
        total_charge: float | None = None,
        **keywords: Any,
    ) -> None:
        require_ipi()
        refuse_unknown("aptnn_md_stream", keywords)
        if not str(stream):
            expected = "stream: NAME.zarr, the directory to write"
            raise InputError("aptnn_md_stream", "parameters", "no stream", expected)
        if tensors and model is not None:
            raise InputError("aptnn_md_stream", "parameters", "model and tensors", "one of them")
        self.settings = StreamSettings(
            path=Path(str(stream)),
            stride=stride,
            estimators=_names(estimators),
            groups=str(groups),
            beads_too=beads_too,
            velocities=velocities,
            pbc=pbc,
        )
        self.forcefields = _names(tensors)
        self.model: TensorModel | None = None
        if not tensors:
            model = "water-apt" if model is None else model
            self.model = as_model(
                model,
                device=device,
                dtype=dtype,
                total_charge=total_charge,
            )
        _show_log()
        if self.model is not None:
            log_charge(self.model, total_charge, "i-PI")
        _attach_when_bound()
        super().__init__(**keywords)

    def streams(self, simulation: Any, name: str) -> list[SystemStream]:
        """Streams of the systems that refer to the forcefield ``name``.

        Raises
        ------
        InputError
            No system does.
        """
        systems = [s for s in simulation.syslist if name in {part.ffield for part in s.fcomp}]
        if not systems:
            expected = f"<force forcefield='{name}' weight='0.0'/> in a system"
            raise InputError(f"forcefield {name}", "force components", "none", expected)
        settings = one_stream_each(self.settings, systems)
        return [
            SystemStream(system, part, source_of(self.model, self.forcefields))
            for system, part in zip(systems, settings, strict=True)
        ]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in str(text).split("+") if name.strip())


def _show_log() -> None:
    """Plain ``i-pi`` has no logging set up, and would hide what is not a warning."""
    if not logging.getLogger().handlers and not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)


def _attach_when_bound() -> None:
    """Let ``Simulation.bind`` look for plugins among the forcefields, from now on."""
    if getattr(Simulation.bind, "looks_for_streams", False):
        return
    original = Simulation.bind

    @functools.wraps(original)
    def bind(self: Any, read_only: bool = False) -> None:
        plugins = {
            name: forcefield.driver
            for name, forcefield in self.fflist.items()
            if isinstance(forcefield, FFDirect) and isinstance(forcefield.driver, StreamPlugin)
        }
        if not plugins or read_only:
            original(self, read_only)
            return

        def make(simulation: Any) -> list[SystemStream]:
            return [
                stream
                for name, plugin in plugins.items()
                for stream in plugin.streams(simulation, name)
            ]

        bind_with_streams(self, functools.partial(original, self, read_only), make)
        watch = ForceWatch(self).start()
        softexit.register_function(watch.stop)

    bind.looks_for_streams = True  # type: ignore[attr-defined]
    Simulation.bind = bind
