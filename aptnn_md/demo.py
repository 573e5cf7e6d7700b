"""The main job on bundled files: water, MACE potential, APT network, stream, spectrum."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.errors import InputError
from aptnn_md.progress import log

BOX, POTENTIAL, MODEL = "water64.extxyz", "water-mace", "water-apt"

_SHORTEST = 0.2
# cm⁻¹: finer than that shows no more of the broad bands of water
_FINEST_RESOLUTION = 20.0
# cm⁻¹: full width of the bend in experiment
_NARROWEST_BAND = 82.0
# cm⁻¹ ps: five segments that overlap by half, enough to estimate errors from
_RESOLUTION_TIMES_LENGTH = 150.0


@dataclass(frozen=True)
class DemoFiles:
    """The files of the demo.

    Attributes
    ----------
    directory, stream, checkpoint, table, picture
    """

    directory: Path

    @property
    def stream(self) -> Path:
        """Ṁ(t)."""
        return self.directory / "water.zarr"

    @property
    def checkpoint(self) -> Path:
        """State of the run."""
        return self.directory / "water.checkpoint.npz"

    @property
    def table(self) -> Path:
        """Spectrum as CSV."""
        return self.directory / "ir.csv"

    @property
    def picture(self) -> Path:
        """Spectrum as a picture."""
        return self.directory / "ir.png"


def run_demo(
    directory: str | os.PathLike[str],
    picoseconds: float = 1.0,
    seed: int = 1,
    say: Callable[[str], None] = print,
    device: str = "cpu",
) -> DemoFiles:
    """Simulate the bundled water box and make its infrared spectrum.

    In a directory of an earlier demo, the run continues where it ended.

    Parameters
    ----------
    directory : for stream, checkpoint, table and picture
    picoseconds : length of the run, ps, at least 0.2
    seed : of the thermostat
    say : gets each line of the report
    device : where model and potential run

    Returns
    -------
    DemoFiles

    Raises
    ------
    InputError
        The length is too short, the directory cannot be written, or another file is in the way.
    RunError
        The run cannot continue, e.g. because the disk is full.
    """
    if not picoseconds >= _SHORTEST:
        raise InputError("demo", "ps", picoseconds, f"at least {_SHORTEST}, to tell bands apart")
    place = DemoFiles(Path(directory))
    _make_directory(place.directory)
    # stochastic velocity rescaling with a long time constant: the energy of one short NVE run
    # would decide its temperature, and a thermostat of single atoms would broaden bands
    settings = MDSettings(picoseconds=picoseconds, seed=seed, checkpoint_seconds=20.0)
    _simulate(place, settings, say, device)
    _analyse(place, say)
    return place


def water_box() -> Atoms:
    """64 water molecules, equilibrated with the bundled potential at 300 K, with velocities."""
    atoms = ase.io.read(bundled_path(BOX))
    assert isinstance(atoms, Atoms)
    return atoms


@contextlib.contextmanager
def _best_threads(atoms: Atoms) -> Iterator[int]:
    """Let torch use all its threads or one, whichever gives forces of ``atoms`` sooner.

    The tensors of 192 atoms are small: on an idle machine a second thread helps, with other
    work running, threads wait for each other.
    """
    import torch

    n_threads = torch.get_num_threads()
    probe = atoms.copy()
    probe.calc = atoms.calc
    probe.get_forces()
    seconds = {}
    try:
        for n in {n_threads, 1}:
            torch.set_num_threads(n)
            start = time.perf_counter()
            for seed in range(2):
                probe.rattle(1e-3, seed=seed)
                probe.get_forces()
            seconds[n] = time.perf_counter() - start
        best = min(seconds, key=seconds.__getitem__)
        torch.set_num_threads(best)
        yield best
    finally:
        torch.set_num_threads(n_threads)


def _simulate(
    place: DemoFiles, settings: MDSettings, say: Callable[[str], None], device: str
) -> None:
    from aptnn_md.engines.ase.calculator import APTCalculator

    atoms = water_box()
    done = DynamicsState.read(place.checkpoint).step if place.checkpoint.exists() else 0
    length = float(atoms.cell.lengths()[0])
    say(f"system     {len(atoms) // 3} H2O in a periodic box of {length:.3f} Å")
    say(f"potential  {POTENTIAL}, a small MACE network for RPBE-D3 water")
    say(f"APTs       {MODEL}, evaluated every {settings.stride} steps and only then")
    say(
        f"dynamics   {settings.n_steps} steps of {settings.timestep:g} fs at "
        f"{settings.temperature:g} K ({settings.ensemble})"
    )
    if done:
        say(f"           {place.directory} has {min(done, settings.n_steps)} of them already")
    if done >= settings.n_steps:
        return
    atoms.calc = APTCalculator(MODEL, POTENTIAL, device=device)
    with _best_threads(atoms) as n_threads:
        log.info("threads: %s", n_threads)
        summary = run_md(
            atoms,
            place.stream,
            settings,
            checkpoint=place.checkpoint,
            restart=True,
            notes="aptnn-md demo",
        )
    if not summary.finished:
        raise KeyboardInterrupt
    say(f"           mean temperature {summary.mean_temperature:.0f} K")


def _analyse(place: DemoFiles, say: Callable[[str], None]) -> None:
    from aptnn_md.spectra import WATER, report, spectrum_of_streams, write_table
    from aptnn_md.spectra.infrared.plot import draw_spectrum
    from aptnn_md.stream import StreamReader

    reader = StreamReader(place.stream)
    picoseconds = 1e-3 * reader.n_frames * reader.spacing
    resolution = max(_FINEST_RESOLUTION, _RESOLUTION_TIMES_LENGTH / picoseconds)
    spectrum = spectrum_of_streams([place.stream], resolution)
    shown = (0.0, 4000.0)
    write_table(place.table, spectrum, shown, "aptnn-md demo")
    draw_spectrum(place.picture, spectrum, reference=WATER, wavenumbers=shown)
    say("")
    for line in report(spectrum, WATER):
        say(line)
    say("")
    say(f"± is one standard error; {picoseconds:.2g} ps of one box is little: a longer run")
    say("(--ps 20) in the same directory continues this one and makes the error smaller")
    if resolution > _NARROWEST_BAND:
        say("bands narrower than the resolution, such as the bend, come out too low and too broad")
    say("")
    size = sum(file.stat().st_size for file in place.stream.rglob("*") if file.is_file())
    say(
        f"stream     {place.stream} ({reader.n_frames} frames, {size / 1000:.0f} kB, no trajectory)"
    )
    say(f"table      {place.table}")
    say(f"picture    {place.picture}")


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        expected = "a directory that exists or can be made"
        raise InputError(directory, "out", error.strerror or error, expected) from error
