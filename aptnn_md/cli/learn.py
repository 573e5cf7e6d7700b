"""``aptnn-md learn``: from a structure and a reference engine to a spectrum of known error."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptnn_md.cli.executor_options import add_executor_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.cli.toml_options import read_options
from aptnn_md.errors import InputError
from aptnn_md.settings import Count, NewPath, Positive, Seed

if TYPE_CHECKING:
    from aptnn_md.learning.settings import CampaignSettings

HELP = """\
Learn potential and atomic polar tensors of a system from a reference engine, and compute the
spectrum: first frames of the engine's own dynamics, then cycles of sampling on the models,
selection of frames on which their members disagree, labels by the engine, training, and a judgement
of the spectrum. Where labels are cheap, as many are made as take half as long as the training. The
loop stops when error of the tensors and error of the potential together are below --tolerance and
random frames, predicted before they are learned from, and normal modes agree. Then the models are
trained longer from random weights, and the final dynamics and spectra are made.

Everything is in the directory --out: report.md there says at any time what is known, what is
missing and how long it will take. A campaign that was killed is resumed by the same command; one
that has ended only prints its result. All settings can be given in a TOML file."""

EXAMPLE = """\
  aptnn-md learn start.xyz --engine tblite --temperature 300 --charge 0 --out methanol
  aptnn-md learn campaign.toml

  campaign.toml:
    structures = ["start.xyz"]
    engine = "tblite"
    out = "methanol"
    cycles = 4
    [sampling]
    labels = 30
    [judging]
    tolerance = 0.15"""

TABLES = ("sampling", "tensors", "forces", "dynamics", "judging")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    add = parser.add_argument
    add(
        "what",
        nargs="+",
        metavar="START|TOML",
        help="start structures, each a system of its own, in any format of ASE; or one file of "
        "settings, NAME.toml",
    )
    add("--engine", help="reference, as of `aptnn-md label`: tblite, pyscf, cp2k, module:callable")
    add("--out", type=checked(NewPath), metavar="DIR", help="directory of the campaign")
    add(
        "--potential",
        help="learn: a committee of MACE networks from the forces that come with the labels "
        "(default); else a potential that is used as it is, as of `aptnn-md md`: then only "
        "tensors are learned",
    )
    add("--temperature", type=checked(Positive), metavar="K", help="K (default 300)")
    add(
        "--charge",
        type=checked(float),
        metavar="E",
        help="of structures that do not say it, e; must agree with those that do",
    )
    add(
        "--property",
        dest="properties",
        type=lambda text: tuple(text.split(",")),
        metavar="NAMES",
        help="apt (default), or apt,pgt for Raman, too",
    )
    add(
        "--beads",
        type=checked(Count),
        metavar="P",
        help="TRPMD by i-PI with so many beads (16 to 32 at 300 K), with a step of 0.25 fs; for "
        "models that know quantum nuclei, too (default 1: classical atoms)",
    )
    add("--cycles", type=checked(Count), help="most cycles (default 2)")
    add(
        "--tolerance",
        type=checked(Positive),
        metavar="PART",
        help="of the spectrum over its range, relative to the integral (default 0.1)",
    )
    add("--sampler", metavar="ENGINE", help="cheaper engine of the first frames' dynamics")
    add("--start-from", metavar="MODEL", help="tensors begin with the weights of this model")
    add("--seed", type=checked(Seed), help="of everything random (default 0)")
    add_executor_options(parser)
    add("--jobs", type=checked(Count), metavar="N", help="labels and trainings at the same time")
    add("--device", help="torch device (default cpu)")


def run(arguments: argparse.Namespace) -> None:
    """Run the campaign, then print what it found."""
    from aptnn_md.learning.campaign import run_campaign
    from aptnn_md.learning.judgement import WHAT_HELPS
    from aptnn_md.learning.report import band_lines

    settings = make_settings(arguments)
    found = run_campaign(settings)
    for spectrum in found.spectra:
        parts = ", ".join(f"{name} {100.0 * v:.1f} %" for name, v in spectrum.parts.items())
        print(
            f"{spectrum.kind} spectrum of {spectrum.system}, {spectrum.picoseconds:.4g} ps: total "
            f"error {100.0 * spectrum.total:.1f} %{spectrum.left_out} ({parts}); "
            f"{WHAT_HELPS[spectrum.dominant]} would reduce most of it"
        )
        for line in band_lines(spectrum):
            print(line)
    for reason in found.missing:
        print(f"not good enough yet: {reason}")
    print(f"report: {settings.out / 'report.md'}")


def make_settings(arguments: argparse.Namespace) -> CampaignSettings:
    """The campaign that command line and TOML file describe together.

    Raises
    ------
    InputError
        Unknown keys, missing or impossible values.
    """
    from aptnn_md.learning import settings as kinds
    from aptnn_md.settings import settings_from

    file, options, tables = _read(arguments.what)
    names = {field.name for field in dataclasses.fields(kinds.CampaignSettings)} - set(TABLES)
    given = {name: getattr(arguments, name, None) for name in names}
    options |= {name: value for name, value in given.items() if value is not None}
    if arguments.tolerance is not None:
        tables["judging"]["tolerance"] = arguments.tolerance
    if arguments.beads is not None:
        tables["dynamics"] = of_beads(arguments.beads) | tables["dynamics"]
    where = str(file or "learn")
    if file is not None:
        options.setdefault("out", file.with_suffix(""))
    for name in ("engine", "out"):
        if name not in options:
            raise InputError(where, name, "nothing", f"--{name}, or {name} in a TOML file")
    parts = {
        "sampling": settings_from(kinds.SamplingSettings, tables["sampling"], where, "[sampling]"),
        "tensors": settings_from(kinds.TensorSettings, tables["tensors"], where, "[tensors]"),
        "forces": settings_from(kinds.ForceSettings, tables["forces"], where, "[forces]"),
        "dynamics": settings_from(kinds.DynamicsSettings, tables["dynamics"], where, "[dynamics]"),
        "judging": settings_from(kinds.JudgingSettings, tables["judging"], where, "[judging]"),
    }
    return settings_from(kinds.CampaignSettings, options, where, given=parts)


def of_beads(beads: int) -> dict[str, Any]:
    """Settings of the dynamics of ring polymers: frames every 2 fs, as of classical atoms."""
    return {"beads": beads, "timestep": 0.25, "stride": 8} if beads > 1 else {"beads": 1}


def _read(what: list[str]) -> tuple[Path | None, dict[str, Any], dict[str, dict[str, Any]]]:
    """The TOML file with its options and tables; of structures, themselves."""
    if not any(name.endswith(".toml") for name in what):
        return None, {"structures": tuple(what)}, {name: {} for name in TABLES}
    if len(what) > 1:
        expected = "one file of settings, or structures alone"
        raise InputError("learn", "arguments", " ".join(what), expected)
    path = Path(what[0])
    return path, *read_options(path, TABLES)
