"""``aptnn-md driver``: a client for any server of the i-PI protocol."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aptnn_md.cli.model_options import add_charge_option, add_field_option
from aptnn_md.cli.settings_options import checked, option_adder, settings_from
from aptnn_md.settings import NewPath, Positive
from aptnn_md.signals import interrupted

if TYPE_CHECKING:
    from aptnn_md.engines.client.evaluator import Evaluator
    from aptnn_md.engines.client.settings import IncrementSettings

HELP = """\
Serve forces to a server of the i-PI protocol (i-PI, ASE, CP2K), and with them what the APT network
knows: increments of the dipole (and polarizability) as a stream, tensors or Born effective charges
as extras, the force of an electric field. Under mpirun, beads and committee members are divided
among the ranks.

The protocol has no velocities. If i-PI itself can be started as "aptnn-md ipi", or with
drivers/aptnn_md_stream.py, streams are exact and do not need this command."""
EXAMPLE = """\
  aptnn-md driver --address water --unix --template start.xyz --potential water-mace \\
    --model water-apt --stream water.zarr --timestep 0.5
  aptnn-md driver --address node7:31415 --template start.xyz --potential water-mace   (forces only)
  mpirun -n 4 aptnn-md driver --address apt --unix --template start.xyz --model water-apt \\
    --extras tensors                         (tensors for "aptnn-md ipi" in another process)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    from aptnn_md.engines.client.settings import PREFIX, ClientSettings, IncrementSettings

    add, setting = parser.add_argument, option_adder(parser, ClientSettings)
    increment = option_adder(parser, IncrementSettings)
    add("--address", required=True, help="HOST or HOST:PORT, or the name or path of a Unix socket")
    add("--unix", action="store_true", help="--address is that of a Unix socket")
    add("--port", type=int, help="if not in --address")
    add("--prefix", default=PREFIX, help="in front of the name of a Unix socket (%(default)s)")
    add(
        "--template",
        required=True,
        metavar="FILE",
        help="structure with the atoms in the server's order, in any format of ASE",
    )
    add(
        "--potential",
        help="as for aptnn-md md, so a MACE model file runs the code in it and NAME.json of "
        "weights does not; without it energy and forces are zero",
    )
    add(
        "--model",
        help="APT model: file, bundled name or module:callable key=value ...; followed by a comma "
        "and a model of polarizability gradients (water-apt,water-pgt) it "
        "streams increments of the polarizability, too",
    )
    add(
        "--stream",
        type=checked(NewPath),
        metavar="DIR",
        help="stream to write or to continue; needs --model",
    )
    increment(
        "timestep",
        metavar="FS",
        help="fs between two force evaluations of the server; i-PI can send it: "
        "<parameters>{dt_fs: 0.5}</parameters>",
    )
    increment("n_beads", "--beads", metavar="P", help="beads of a path integral (%(default)s)")
    increment("groups", help="as for aptnn-md md (%(default)s)")
    increment(
        "pbc",
        "--no-cell",
        action="store_false",
        help="a molecule or cluster in open space, whose cell the server made up: no periodic "
        "images, and no volume in the stream",
    )
    add(
        "--temperature",
        type=checked(Positive),
        metavar="K",
        help="of the thermostat, for the stream's header",
    )
    add(
        "--extras",
        choices=("none", "tensors", "bec"),
        default="none",
        help="what to send with the forces: tensors for aptnn_md in i-PI, or BEC and dipole for "
        "i-PI's driven dynamics (%(default)s)",
    )
    add_field_option(parser)
    add_charge_option(parser)
    setting("connections", help="to one server, answered together (%(default)s)")
    setting(
        "server",
        help="which program it is, if it cannot be told from what it says (%(default)s)",
    )
    setting(
        "wait",
        metavar="S",
        help="seconds to wait for the server, at first and when it goes (%(default)s)",
    )
    add(
        "--no-stress",
        action="store_true",
        help="go on with a virial of zero where the cell changes and the potential gives no stress",
    )
    add(
        "--mpi",
        action="store_true",
        help="insist on the ranks of MPI: fail if mpi4py finds only this process",
    )
    add("--device", default="cpu", help="where model and potential run (%(default)s)")
    add("--dtype", choices=("float32", "float64"), help="precision of model and potential")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.engines.client.ranks import RankPool, local_device, world
    from aptnn_md.engines.client.settings import ClientSettings

    _check(arguments)
    settings_from(arguments, ClientSettings)  # before anything is loaded
    _increments(arguments)
    communicator = world(insist=arguments.mpi)
    evaluator = _evaluator(arguments, local_device(arguments.device, communicator))
    if communicator is None:
        return _serve(arguments, evaluator, evaluator)
    pool = RankPool(evaluator, communicator)
    if pool.rank > 0:
        pool.serve()
        return 0
    try:
        return _serve(arguments, evaluator, pool)
    finally:
        pool.stop()


def _increments(arguments: argparse.Namespace) -> IncrementSettings:
    """What to stream; checked where nothing is streamed, too."""
    from aptnn_md.engines.client.settings import IncrementSettings

    header = {} if arguments.temperature is None else {"temperature": arguments.temperature}
    path = arguments.stream or "stream"
    return settings_from(arguments, IncrementSettings, path=path, header=header)


def _check(arguments: argparse.Namespace) -> None:
    from aptnn_md.errors import InputError

    wanted = [
        name
        for name, used in (
            ("--stream", arguments.stream),
            ("--extras", arguments.extras != "none"),
            ("--efield", arguments.efield),
        )
        if used
    ]
    if arguments.model is None and wanted:
        raise InputError("aptnn-md driver", "--model", "none", f"one for {', '.join(wanted)}")
    if arguments.model is None and arguments.potential is None:
        raise InputError("aptnn-md driver", "--potential", "none", "one, or --model")


def _evaluator(arguments: argparse.Namespace, device: str) -> Evaluator:
    from aptnn_md.engines.client.evaluator import Evaluator
    from aptnn_md.potentials.loading import load_potential
    from aptnn_md.prediction.charges import log_charge
    from aptnn_md.prediction.loading import as_model
    from aptnn_md.structure_files import read_structure
    from aptnn_md.structures import charge_of
    from aptnn_md.targets import APT

    template = read_structure(arguments.template, positions=False)
    options: dict[str, Any] = {"device": device, "dtype": arguments.dtype}
    potential = model = None
    if arguments.potential is not None:
        potential = load_potential(arguments.potential, **options)
    if arguments.model is not None:
        model = as_model(arguments.model, total_charge=arguments.total_charge, **options)
        said = charge_of(template, arguments.total_charge)
        log_charge(model, said, f"the template {arguments.template}")
    # forces in a field and BEC need APTs only
    needs_all = arguments.stream is not None or arguments.extras == "tensors"
    return Evaluator(
        template,
        potential,
        model,
        periodic=arguments.pbc,
        targets=None if needs_all else (APT.name,),
        no_stress=arguments.no_stress,
    )


def _serve(arguments: argparse.Namespace, evaluator: Evaluator, evaluate: Any) -> int:
    from aptnn_md.engines.client.answers import Answers
    from aptnn_md.engines.client.client import Address, Client
    from aptnn_md.engines.client.increments import IncrementStream
    from aptnn_md.engines.client.settings import ClientSettings
    from aptnn_md.engines.potential_identity import check_resumed, potential_fields

    name, sha256 = evaluator.model_name, evaluator.model_sha256
    stream = None
    if arguments.stream is not None:
        settings = _increments(arguments)
        fields = potential_fields(evaluator.potential)
        check_resumed(settings.path, fields)
        settings = replace(settings, header={**(settings.header or {}), **fields})
        stream = IncrementStream(
            settings,
            evaluator.template,
            evaluate,
            model=name,
            sha256=sha256,
            committee_sizes=evaluator.committee_sizes,
            domain=evaluator.domain,
        )
    client = Client(
        Address.parse(
            arguments.address, unix=arguments.unix, port=arguments.port, prefix=arguments.prefix
        ),
        evaluate,
        Answers(arguments.extras, arguments.efield, arguments.n_beads, name, sha256),
        stream,
        settings_from(arguments, ClientSettings),
    )
    # as Ctrl-C: connections are closed in order and the stream is committed
    with interrupted():
        summary = client.run()
    print(f"{summary.n_structures} structures in {summary.n_calls} calls")
    if stream is not None:
        print(f"stream: {stream.settings.path}, {stream.n_steps} steps")
    return 0
