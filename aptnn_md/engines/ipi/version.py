"""The version of i-PI that is needed, the names in it that are, and a message for who lacks them.

i-PI has no interface for what streams and whole checkpoints need, so this room uses names that
i-PI may change at any time. All of them stand in :data:`NAMES` and are looked up before a run, so
that a newer i-PI that lacks one is refused in words, not in the middle of a run; the version
itself is not limited.
"""

from __future__ import annotations

import importlib
import inspect
import re
from importlib import metadata

from aptnn_md.errors import RunError

OLDEST = (3, 3, 1)
"""First i-PI that holds back a soft exit while outputs are written, so that its RESTART never
is ahead of a stream."""


NAMES: dict[str, tuple[str, ...]] = {
    "ipi:ipi_global_settings": (),
    "ipi.utils.units:UnitMap": (),
    "ipi.engine.simulation:Simulation": (
        # replaced, on the object or (bind, run, write_outputs) for the whole process
        *("bind", "run", "run_step", "write_outputs"),
        *("load_from_xml", "stop", "chk", "fflist", "outputs", "syslist", "step", "tsteps"),
        *("exit_status", "exit_message"),
    ),
    "ipi.scripting.interactive:InteractiveSimulation": ("set_structures", "thermalize_momenta"),
    "ipi.engine.outputs:CheckpointOutput": (
        *("write", "active", "filename", "overwrite", "step", "status", "_continued"),
    ),
    "ipi.engine.properties:Properties": ("bind", "property_dict"),
    "ipi.engine.forcefields:FFDirect": ("driver",),
    "ipi.engine.forcefields:FFSocket": ("socket", "requests"),
    "ipi.interfaces.sockets:InterfaceSocket": (
        *("clients", "mode", "address", "sockets_prefix", "pool_update"),
    ),
    "ipi.interfaces.sockets:DriverSocket": ("recv_into",),
    "ipi.pes.dummy:Dummy_driver": ("compute",),
    "ipi.utils.softexit:Softexit": ("cleanup", "flist", "reset", "trigger", "triggered"),
}
"""``module:object`` of i-PI -> attributes of it, or of its instances, that this room relies on."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    "ipi.engine.simulation:Simulation.bind": ("read_only",),
    "ipi.engine.simulation:Simulation.run": ("write_outputs",),
    "ipi.engine.simulation:Simulation.load_from_xml": ("custom_verbosity", "post_init_hook"),
    "ipi.engine.outputs:CheckpointOutput.write": ("store",),
}
"""``module:Class.method`` -> parameters of it that this room relies on."""


def require_ipi() -> str:
    """Return the version of the installed i-PI.

    Raises
    ------
    RunError
        i-PI is not installed, too old, or lacks something that is relied on.
    """
    needed = ".".join(map(str, OLDEST))
    try:
        version = metadata.version("ipi")
    except metadata.PackageNotFoundError:
        raise RunError(
            f'i-PI is not installed: pip install "ipi>={needed}" or "aptnn_md[ipi]"'
        ) from None
    check_version(version)
    check_names(version)
    return version


def check_names(version: str) -> None:
    """Refuse an i-PI that lacks one of :data:`NAMES` or :data:`PARAMETERS`.

    Raises
    ------
    RunError
        It does, by name.
    """
    missing = [lacking for place in NAMES for lacking in _lacking(place)]
    missing += [lacking for place in PARAMETERS for lacking in _lacking_parameters(place)]
    if missing:
        needed = ".".join(map(str, OLDEST))
        raise RunError(
            f"i-PI {version} has no {', '.join(missing)}, on which aptnn_md relies; use a newer "
            f'aptnn_md, or the i-PI that this one was made for: pip install "ipi=={needed}"'
        )


def _lacking(place: str) -> list[str]:
    """What of a place in :data:`NAMES` is not there."""
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return [place.replace(":", ".")]
    # attributes of instances stand in the source of the class or of those it derives from
    text = "".join(map(_source, found.__mro__)) if NAMES[place] else ""
    return [
        f"{name}.{attribute}"
        for attribute in NAMES[place]
        if text
        and not hasattr(found, attribute)
        and not re.search(rf"\bself\.{attribute}\s*(:[^=\n]*)?=[^=]", text)
    ]


def _lacking_parameters(place: str) -> list[str]:
    module, _, names = place.partition(":")
    name, _, method = names.partition(".")
    found = getattr(getattr(importlib.import_module(module), name, None), method, None)
    known = () if found is None else inspect.signature(found).parameters
    return [f"{names}({given})" for given in PARAMETERS[place] if given not in known]


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # without its source, or built in
        return ""


def check_version(version: str) -> None:
    """Refuse a version of i-PI that is too old.

    Raises
    ------
    RunError
        It is.
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise RunError(
            f"i-PI {version} is too old: before {needed} a soft exit may write a RESTART that is "
            f'ahead of the stream; pip install "ipi>={needed}"'
        )
